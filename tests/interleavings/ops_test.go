package interleavings

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
)

const (
	counter core.Key[int]    = "n"
	same    core.Key[string] = "same"
	key1    core.Key[string] = "key1"
	key2    core.Key[string] = "key2"
	user    core.Key[string] = "user"
	ticket  core.Key[string] = "ticket"
	old     core.Key[string] = "old"
)

// ann is who signs in.
const ann = "ann"

// A handle is what a handler does; it returns the body, or what failed.
type handle func(ctx context.Context, s *core.Session, who int) (body any, err error)

// An op is what a request does, or what is done from outside: the real thing and,
// beside it, the steps of the model that it stands for.
type op struct {
	name    string
	handle  handle
	outside func(c *cast, ctx context.Context) error // in place of handle
	expires bool                                     // in place of both: time passes
	late    bool                                     // it was sent before the browser had a cookie
	refused string                                   // the calls of the store that are refused
	ends    bool                                     // it ends sessions of ann: the model does not know it, see users_test.go
	spec    []step
}

func (o op) isRequest() bool { return o.handle != nil }

func ok(data) any { return "ok" }

func signInAs(ctx context.Context, s *core.Session, who int) (any, error) {
	user.Set(s, name(who))
	return "ok", s.SignIn(ctx, ann)
}

func renewAs(_ context.Context, s *core.Session, who int) (any, error) {
	user.Set(s, name(who))
	return "ok", s.Renew()
}

var ops = []op{
	{
		name:   "read",
		handle: func(_ context.Context, s *core.Session, _ int) (any, error) { return counter.Get(s), nil },
		spec:   []step{start, look, reads(func(seen data) any { return seen.n }), arrive},
	},
	{
		name: "change a key",
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			[]core.Key[string]{key1, key2}[who].Set(s, name(who))
			return "ok", nil
		},
		spec: []step{start, look, changes(func(d *data, _ *request, who int) {
			*[]*string{&d.key1, &d.key2}[who] = name(who)
		}, ok), arrive},
	},
	{
		name: "change the same key",
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			same.Set(s, name(who))
			return "ok", nil
		},
		spec: []step{start, look, changes(func(d *data, _ *request, who int) { d.same = name(who) }, ok), arrive},
	},
	{
		name: "update", // what it returns is provisional until the commit
		handle: func(_ context.Context, s *core.Session, _ int) (any, error) {
			return counter.Update(s, func(n int) int { return n + 1 }), nil
		},
		spec: []step{start, look, changes(func(d *data, _ *request, _ int) { d.n++ }, func(seen data) any { return seen.n + 1 }), arrive},
	},
	{
		name: "flash",
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			s.Flash("info", "from "+name(who))
			return "ok", nil
		},
		spec: []step{start, look, changes(func(d *data, _ *request, who int) {
			d.flash = strings.TrimPrefix(d.flash+",from "+name(who), ",")
		}, ok), arrive},
	},
	{
		name: "show flashes",
		handle: func(_ context.Context, s *core.Session, _ int) (any, error) {
			return strings.Join(s.Flashes("info"), ","), nil
		},
		spec: []step{start, look, shows, arrive},
	},
	{
		name: "take",
		handle: func(ctx context.Context, s *core.Session, _ int) (any, error) {
			v, err := ticket.Take(ctx, s)
			if errors.Is(err, core.ErrAbsent) {
				return v, nil
			}
			return v, err
		},
		spec: []step{start, look, takes, reads(func(seen data) any { return seen.ticket }), arrive},
	},
	{
		name: "touch",
		handle: func(_ context.Context, s *core.Session, _ int) (any, error) {
			s.Touch()
			return "ok", nil
		},
		spec: []step{start, look, touches, reads(ok), arrive},
	},
	{
		name:   "renew",
		handle: renewAs,
		spec:   []step{start, look, renews(true), arrive},
	},
	{
		name: "rotate",
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			user.Set(s, name(who))
			return "ok", s.Rotate()
		},
		spec: []step{start, look, rotates, arrive},
	},
	{
		name:   "sign in",
		handle: signInAs,
		spec:   []step{start, look, signsIn, arrive},
	},
	{
		name:    "sign in, the record refused",
		handle:  signInAs,
		refused: "create, replace",
		spec:    []step{start, look, fails, arrive},
	},
	{
		name:    "sign in, the retired record refused",
		handle:  signInAs,
		refused: "update, replace",
		spec:    []step{start, look, failsToRetire, arrive},
	},
	{
		name: "regenerate",
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			err := s.Regenerate()
			user.Set(s, name(who))
			return "ok", err
		},
		spec: []step{start, look, renews(false), arrive},
	},
	{
		name: "destroy",
		handle: func(ctx context.Context, s *core.Session, _ int) (any, error) {
			return "ok", s.Destroy(ctx)
		},
		spec: []step{start, look, destroys, reads(ok), arrive},
	},
	{
		name: "anonymous write, late", late: true,
		handle: func(_ context.Context, s *core.Session, who int) (any, error) {
			same.Set(s, name(who))
			return "ok", nil
		},
		spec: []step{startWithout, look, changes(func(d *data, _ *request, who int) { d.same = name(who) }, ok), arrive},
	},
	{
		name: "expire", expires: true,
		spec: []step{expires},
	},
	{
		name:    "revoke by Store.Delete",
		outside: func(c *cast, ctx context.Context) error { return c.gated.Delete(ctx, c.id) },
		spec:    []step{startOutside, revokes, only(func(_ *world, r *request, _ int) { r.status = http.StatusOK })},
	},
	{
		name: "revoke by Manager.Edit",
		outside: func(c *cast, ctx context.Context) error {
			return c.admin.Edit(ctx, c.id, func(s *core.Session) error { return s.Destroy(ctx) })
		},
		spec: []step{startOutside, looksOutside, revokesOutside},
	},
}

// shows is the commit of a request that showed the flashes: it removes those that
// it has shown, and no others.
func shows(w world, who int) []world {
	seen := func(seen data) any { return seen.flash }
	if w.requests[who].seen.flash == "" {
		return reads(seen)(w, who)
	}
	return changes(func(d *data, r *request, _ int) { d.flash = without(d.flash, r.seen.flash) }, seen)(w, who)
}

// touches is before the commit.
var touches = only(func(w *world, r *request, _ int) {
	if rec := &w.stored[r.cookie]; r.found && rec.life == live {
		rec.fresh = true
	}
})
