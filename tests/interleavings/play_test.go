package interleavings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

const idle = time.Hour

// An openStore is one that can be looked into.
type openStore interface {
	store.Store
	store.Lister
}

// A setting is what the requests meet, apart from each other.
type setting struct {
	kind      kind
	processes int    // that they come to: one or two
	timing    timing // of extensions
	users     bool   // the store keeps lists, and the session is one of ann's
	cookies   cookies
}

// cookies says when a cookie is sent that the browser has already.
type cookies int

const (
	onChange cookies = iota // never: it changes with the id alone
	rolling                 // with every answer
	rotated                 // with the first answer to a cookie that is signed with a former secret
)

type timing int

const (
	recent  timing = iota // nothing is due
	due                   // the processes know the session, and an extension is due
	unknown               // the processes have not seen the session, and an extension is due
)

func (s setting) String() string {
	text := fmt.Sprintf("store %v, %d processes, %s", s.kind, s.processes, [...]string{"nothing due", "an extension due", "session not seen before"}[s.timing])
	if s.users {
		text += ", of a user"
	}
	return text + [...]string{"", ", rolling cookies", ", rotated secrets"}[s.cookies]
}

// A stage is where it happens: the processes that requests come to, and their
// store.
type stage struct {
	inner   openStore
	gate    *gate
	gated   store.Store
	setting setting
	servers [2]http.Handler // by request
	other   http.Handler    // of another process, which begins the sessions
	admin   *core.Manager   // of it
	elapse  func(time.Duration)
	left    []string // what the last cast left in the store
}

// newStage starts the processes. elapse lets time pass.
func newStage(inner openStore, s setting, elapse func(time.Duration)) (*stage, error) {
	st := &stage{inner: inner, gate: new(gate), setting: s, elapse: elapse}
	if st.gated = s.kind.wrap(inner, st.gate); s.users {
		st.gated = s.kind.withLists(inner, st.gate)
	}
	serve := func(m *core.Manager, who int) http.Handler {
		return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if s.cookies != onChange { // or a request that reads would be over when it has looked
				st.gate.wait(ctx, "works", nil)()
			}
			body, err := ctx.Value(handleKey{}).(handle)(ctx, core.FromContext(ctx), who)
			if err != nil {
				w.WriteHeader(core.HTTPStatus(err))
				return
			}
			_, _ = fmt.Fprint(w, body)
		}))
	}
	var m *core.Manager
	for who := range st.servers {
		if who < s.processes {
			var err error
			if m, err = s.manager(st.gated, secrets); err != nil {
				return nil, err
			}
		}
		st.servers[who] = serve(m, who)
	}
	var err error
	if st.admin, err = s.manager(st.gated, secrets); err != nil {
		return nil, err
	}
	before := st.admin
	if s.cookies == rotated {
		if before, err = s.manager(st.gated, secrets[1:]); err != nil {
			return nil, err
		}
	}
	st.other = serve(before, 0)
	return st, nil
}

var secrets = suite.Hide("a secret of more than thirty-two bytes", "the secret that was the first one before")

func (s setting) manager(st store.Store, secrets []string) (*core.Manager, error) {
	return core.New(core.Config{
		Store: st, Secrets: secrets, IdleTimeout: idle, StoreTimeout: 1000 * idle,
		Rolling: s.cookies == rolling,
	})
}

// A cast is who takes part: two requests about one session.
type cast struct {
	*stage
	ops    [2]op
	id     string // of the session
	cookie string // its

	running sync.WaitGroup
	mu      sync.Mutex
	browser string                        // its cookie
	started [2]bool                       //
	sent    [2]string                     // the cookies that they came with
	order   order                         //
	answers [2]*httptest.ResponseRecorder //
	results [2]error                      // of what is done from outside
	arrived [2]bool                       // or done
	late    error                         // a cookie was sent again that was worth nothing any more

	elsewhere *core.Session // of ann, in another browser
	changed   bool          // ann's password was, by whoever then ends her sessions
	former    [2]bool       // they have read the password that was hers before
}

// newCast begins a session that nobody else has.
func (st *stage) newCast(first, second op) (*cast, error) {
	ctx := context.Background()
	for _, id := range st.left {
		if err := st.inner.Delete(ctx, id); err != nil {
			return nil, err
		}
	}
	st.left = nil
	c := &cast{stage: st, ops: [2]op{first, second}}
	if st.setting.users {
		if err := c.otherBrowser(ctx); err != nil {
			return nil, err
		}
	}
	w := ask(ctx, st.other, "", func(ctx context.Context, s *core.Session, _ int) (any, error) {
		if st.setting.users {
			if err := s.SignIn(ctx, ann); err != nil {
				return nil, err
			}
		}
		old.Set(s, "yes")
		counter.Set(s, 1)
		same.Set(s, "0")
		user.Set(s, "ann")
		ticket.Set(s, "T")
		s.Flash("info", "hello")
		return "ok", nil
	})
	c.id, c.cookie, c.browser = idIn(cookieOf(w)), cookieOf(w), cookieOf(w)
	if c.elsewhere != nil {
		st.gate.rename(map[string]string{c.id: " S", c.elsewhere.ID(): " elsewhere"})
	}
	if w.Code != http.StatusOK || c.cookie == "" {
		return nil, fmt.Errorf("there is no session to begin with: status %d", w.Code)
	}
	if st.setting.timing != unknown {
		for _, server := range st.servers {
			if w := ask(ctx, server, c.cookie, ops[0].handle); w.Body.String() != "1" {
				return nil, fmt.Errorf("the session is not there: %d %q", w.Code, w.Body)
			}
		}
	}
	if st.setting.timing != recent {
		st.elapse(idle / 2)
	}
	return c, nil
}

type handleKey struct{}

// ask sends a request with that cookie.
func ask(ctx context.Context, server http.Handler, cookie string, do handle) *httptest.ResponseRecorder {
	ctx = context.WithValue(ctx, handleKey{}, do)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://example.com/", http.NoBody)
	if err != nil {
		panic(err)
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

// begin has both come to the gate.
func (c *cast) begin() {
	for who, o := range c.ops {
		c.running.Go(func() { c.run(o, who) })
	}
}

func (c *cast) run(o op, who int) {
	ctx := refusing(by(context.Background(), who), o.refused)
	switch {
	case o.expires:
		c.gate.wait(ctx, "time passes", func() { c.elapse(idle + time.Second) })()
		c.note(func() { c.arrived[who] = true })
	case o.outside != nil:
		end := c.gate.wait(ctx, "starts", nil)
		c.note(func() { c.changed = c.changed || o.ends })
		end()
		err := o.outside(c, ctx)
		c.note(func() { c.results[who], c.arrived[who] = err, true })
	default:
		end := c.gate.wait(ctx, "starts", nil)
		var cookie string
		c.note(func() {
			if !o.late {
				cookie = c.browser
			}
			c.sent[who] = cookie
		})
		end()
		answer := ask(context.WithValue(ctx, loginKey{}, login{c, ctx, who}), c.servers[who], cookie, o.handle)
		late := c.checkAgain(cookie, answer)
		c.note(func() { c.answers[who], c.late = answer, errors.Join(c.late, late) })
		end = c.gate.wait(ctx, "arrives", nil)
		c.note(func() {
			c.arrived[who] = true
			if set := answer.Header().Get("Set-Cookie"); strings.Contains(set, "Max-Age=0") {
				c.browser = ""
			} else if set != "" {
				c.browser = cookieOf(answer)
			}
		})
		end()
	}
}

// checkAgain returns an error where an answer sends again the cookie that it was asked with,
// although the id is no session any more: it could put that in the place of a newer
// one. An answer that was on its way before may do so, but not one that is made now.
func (c *cast) checkAgain(sent string, answer *httptest.ResponseRecorder) error {
	id := idIn(sent)
	if id == "" || c.setting.cookies == onChange || idIn(cookieOf(answer)) != id {
		return nil
	}
	rec, err := c.inner.Load(context.Background(), id)
	if err == nil {
		var r record
		if r, err = decode(rec.Data); err == nil && r.life == retired {
			err = store.ErrNotFound
		}
	}
	if err != nil {
		return fmt.Errorf("a cookie is sent again when its session has no such id any more: %w", err)
	}
	return nil
}

// let lets a thing be done.
func (c *cast) let(s *stop) {
	who := int(s.label[0] - '1')
	c.note(func() {
		if other := 1 - who; !c.started[who] && (c.answers[other] != nil || c.arrived[other]) {
			c.order = firstFirst + order(other)
		}
		c.started[who] = true
	})
	c.gate.do(s)
}

func (c *cast) note(what func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what()
}

// choices returns what may come next. That an answer arrives matters to a request
// that has not started, and to another answer that has not arrived; in between
// it waits.
func (c *cast) choices() []*stop {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*stop
	for _, s := range c.gate.stops() {
		other := 1 - int(s.label[0]-'1')
		under := c.started[other] && !c.arrived[other] && c.answers[other] == nil
		if strings.HasSuffix(s.label, "arrives") && under && c.ops[other].isRequest() {
			continue
		}
		all = append(all, s)
	}
	return all
}

// over reports whether both have come to their end.
func (c *cast) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.arrived[0] && c.arrived[1]
}

func cookieOf(r *httptest.ResponseRecorder) string {
	cookie, _, _ := strings.Cut(r.Header().Get("Set-Cookie"), ";")
	return cookie
}

// idIn returns the id in a cookie.
func idIn(cookie string) string {
	value, _ := url.QueryUnescape(valueIn(cookie))
	id, _, _ := strings.Cut(strings.TrimPrefix(value, "s:"), ".")
	return id
}

// valueIn returns the value of a cookie.
func valueIn(cookie string) string {
	_, value, _ := strings.Cut(cookie, "=")
	return value
}

// outcome looks at what there is.
func (c *cast) outcome() (outcome, error) {
	o := outcome{order: c.order}
	if c.changed {
		o.former = c.former
	}
	names := map[string]id{c.id: original}
	var again [2]string // the id of a cookie that was sent again
	for who, r := range c.answers {
		a := &o.answers[who]
		if r == nil {
			switch err := c.results[who]; {
			case c.ops[who].expires:
			case err == nil:
				a.status = http.StatusOK
			case errors.Is(err, store.ErrNotFound):
				a.status = http.StatusNotFound
			default:
				a.status = core.HTTPStatus(err)
			}
			continue
		}
		a.status = r.Code
		if a.status == http.StatusOK {
			a.body = r.Body.String()
		}
		switch set := r.Header()["Set-Cookie"]; {
		case len(set) > 1:
			return o, fmt.Errorf("%d cookies are set", len(set))
		case len(set) == 0:
		case strings.Contains(set[0], "Max-Age=0"):
			a.cookie = deletes
		case idIn(cookieOf(r)) == idIn(c.sent[who]):
			again[who] = idIn(cookieOf(r))
		default:
			a.cookie = sets + setCookie(own(who))
			names[idIn(cookieOf(r))] = own(who)
		}
	}
	for who, id := range again {
		if id != "" {
			o.answers[who].cookie = sets + setCookie(names[id])
		}
	}
	if c.late != nil {
		return o, c.late
	}
	if c.setting.users {
		if err := c.checkList(); err != nil {
			return o, err
		}
	}
	if c.browser != "" {
		var known bool
		if o.browser, known = names[idIn(c.browser)]; !known {
			return o, errors.New("the browser has a cookie that was not given out")
		}
	}
	for rec, err := range c.inner.All(context.Background()) {
		if err != nil {
			return o, err
		}
		c.left = append(c.left, rec.ID)
		if c.elsewhere != nil && rec.ID == c.elsewhere.ID() {
			o.other = true
			continue
		}
		name, known := names[rec.ID]
		if !known {
			return o, fmt.Errorf("a record is stored whose id nobody was given: %s", rec.Data)
		}
		if o.stored[name], err = decode(rec.Data); err != nil {
			return o, err
		}
	}
	c.elapse(3 * idle / 4)
	for id, name := range names {
		if r := &o.stored[name]; r.life == live {
			_, err := c.inner.Load(context.Background(), id)
			if r.fresh = err == nil; err != nil && !errors.Is(err, store.ErrNotFound) {
				return o, err
			}
		}
	}
	return o, nil
}

// decode reads what is stored.
func decode(text []byte) (record, error) {
	var r struct {
		Cookie    json.RawMessage
		Cloakroom struct{ Retired json.RawMessage } `json:"__cloakroom"`

		N                              int
		Same, Key1, Key2, User, Ticket string
		Old                            string
		Flash                          map[string][]string
	}
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	if err := decoder.Decode(&r); err != nil {
		return record{}, err
	}
	if r.Cloakroom.Retired != nil {
		return record{life: retired}, nil
	}
	d := data{n: r.N, same: r.Same, key1: r.Key1, key2: r.Key2, user: r.User, ticket: r.Ticket, flash: strings.Join(r.Flash["info"], ","), old: r.Old}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return record{}, err
	}
	for key := range keys {
		if !strings.Contains(" cookie __cloakroom n same key1 key2 user ticket flash old ", " "+key+" ") {
			d.extra += key + " "
		}
	}
	return record{life: live, data: d}, nil
}
