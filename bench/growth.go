package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// mostGrowth is how much longer ten times as much may take.
const mostGrowth = 12

// A growth is something of which a session or a user can have many.
type growth struct {
	what  string
	few   int // beside ten times as many
	slice int // how often it is done with few; a fifth of that with many

	// get returns what is done with n of them.
	get func(ctx context.Context, n int) (func() error, error)

	small, large []time.Duration // processor time, by round
}

// growths are what is compared with ten times as much.
type growths []*growth

func newGrowths() growths {
	return growths{
		{what: "messages left by one request and shown by the next", few: 10, slice: 50, get: flashing},
		{what: "keys read by one request", few: 90, slice: 50, get: readingKeys},
		{what: "sessions of a user, listed", few: 99, slice: 10, get: listing},
		{what: "bytes of a session, of which one key is read", few: 6_400, slice: 500, get: sized(pathRead)},
		{what: "bytes of a session, of which one key is changed", few: 6_400, slice: 200, get: sized(pathCount)},
	}
}

func measureGrowth(ctx context.Context, o options) (growths, error) {
	all := newGrowths()
	for _, g := range all {
		if err := g.measure(ctx, o); err != nil {
			return nil, fmt.Errorf("%s: %w", g.what, err)
		}
	}
	return all, ctx.Err()
}

func (g *growth) measure(ctx context.Context, o options) error {
	o.progress("ten times the %s", g.what)
	few, err := g.get(ctx, g.few)
	if err != nil {
		return err
	}
	many, err := g.get(ctx, 10*g.few)
	if err != nil {
		return err
	}
	for range o.rounds {
		small, err := each(g.slice, few)
		if err != nil {
			return err
		}
		large, err := each(max(1, g.slice/5), many)
		if err != nil {
			return err
		}
		g.small, g.large = append(g.small, small), append(g.large, large)
	}
	return nil
}

// each returns the processor time that each of n calls takes.
func each(n int, do func() error) (time.Duration, error) {
	runtime.GC() // nobody pays for what another one left behind
	from := processorTime()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return (processorTime() - from) / time.Duration(n), nil
}

// inMemory returns a Manager over a store in memory.
func inMemory() (*core.Manager, error) {
	return core.New(core.Config{
		Store: memorystore.New(memorystore.Options{}), Secrets: []string{secret}, Logger: slog.New(slog.DiscardHandler),
	})
}

// asking returns a function that sends one request to each of the paths, with the session
// that the first one made.
func asking(h http.Handler, first string, paths ...string) (func() error, error) {
	a := &app{handler: h}
	v := a.visitor()
	ask := func(path, cookie string) error {
		v.ask(path, cookie)
		if status := v.send(); status != http.StatusOK {
			return fmt.Errorf("%s answers %d %q", path, status, v.body())
		}
		return nil
	}
	if err := ask(first, ""); err != nil {
		return nil, err
	}
	cookie := string(v.setCookie(nil))
	return func() error {
		for _, path := range paths {
			if err := ask(path, cookie); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// answering answers 200 where do says that all is as it should be.
func answering(m *core.Manager, do func(s *core.Session, path string) bool) http.Handler {
	return m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = answer(w, do(core.FromContext(r.Context()), r.URL.Path))
	}))
}

func flashing(_ context.Context, n int) (func() error, error) {
	m, err := inMemory()
	if err != nil {
		return nil, err
	}
	return asking(answering(m, func(s *core.Session, path string) bool {
		switch path {
		case pathShow:
			return len(s.Flashes("info")) == n
		case pathCount:
			for range n {
				s.Flash("info", "Your changes are saved.")
			}
		default:
			userOf.Set(s, userName)
		}
		return true
	}), pathMake, pathCount, pathShow)
}

func readingKeys(_ context.Context, n int) (func() error, error) {
	m, err := inMemory()
	if err != nil {
		return nil, err
	}
	keys := make([]core.Key[string], n)
	for i := range keys {
		keys[i] = core.Key[string]("key-" + strconv.Itoa(i))
	}
	return asking(answering(m, func(s *core.Session, path string) bool {
		for _, key := range keys {
			if path == pathMake {
				key.Set(s, userName)
			} else if key.Get(s) != userName {
				return false
			}
		}
		return true
	}), pathMake, pathRead)
}

func listing(ctx context.Context, n int) (func() error, error) {
	m, err := inMemory()
	if err != nil {
		return nil, err
	}
	h := answering(m, func(s *core.Session, _ string) bool { return s.SignIn(ctx, userName) == nil })
	for range n {
		if _, err := asking(h, pathSignIn); err != nil {
			return nil, err
		}
	}
	return func() error {
		found := 0
		for _, err := range m.Sessions(ctx, userName) {
			if err != nil {
				return err
			}
			found++
		}
		if found != n {
			return fmt.Errorf("%d sessions, want %d", found, n)
		}
		return nil
	}, nil
}

func sized(path string) func(context.Context, int) (func() error, error) {
	return func(_ context.Context, n int) (func() error, error) {
		m, err := inMemory()
		if err != nil {
			return nil, err
		}
		return asking(cloakroomHTTP(m), pathMake+"?filler="+strconv.Itoa(n), path)
	}
}

// say implements part.
func (all growths) say(p *page) {
	p.say("## Ten times as much\n")
	p.say("Processor time in microseconds, net/http and the store in memory.\n")
	p.head("", "so many", "of them", "ten times as many", "ratio")
	for _, g := range all {
		p.row(g.what, thousands(int64(g.few)), microseconds(g.small), microseconds(g.large), fmt.Sprintf("%.1f", ratio(g.large, g.small)))
	}
	p.say("")
}

// targets implements part.
func (all growths) targets() (list []target) {
	for _, g := range all {
		times := ratio(g.large, g.small)
		list = append(list, target{
			fmt.Sprintf("ten times the %s (%s to %s)", g.what, thousands(int64(g.few)), thousands(int64(10*g.few))),
			fmt.Sprintf("at most %d x the time", mostGrowth), fmt.Sprintf("%.1f x", times), times <= mostGrowth,
		})
	}
	return list
}
