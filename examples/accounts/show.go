package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// The show: what becomes of a session when requests race, in the worst order there is, and
// when its cookies are stolen. A demonstration has a visitor of its own, so the session of
// whoever looks on is left alone. Its requests go through a Manager to the same store as all
// others, and nothing in them waits for the clock: each goes on when the others have come
// far enough.

// A demonstration is a page with a button, and with what came of it.
type demonstration struct {
	Name, Title string
	Promise     string   // in a sentence
	Script      []string // what the button does
	Button      string
	Why         string

	play func(context.Context, *performance) error
}

func (a *app) demonstrations() []demonstration {
	return []demonstration{
		{
			Name: "lost-updates", Title: "Nothing is lost",
			Promise: "Two tabs put 20 hats each into one cart, all at once.",
			Script: []string{
				"Forty requests start, twenty from each tab.",
				"All forty read the cart, and it is empty.",
				"Only then the first of them adds a hat, and so do all the others.",
			},
			Button: "Add 20 in each tab at once",
			Why:    "The requests of a process take turns at a session, and a store takes a change only if the session is still the one that was read. Where another request was faster, the function that Update was given is called again, with what that one stored. A session that is read, changed and written back whole keeps what the last request wrote, and forgets the rest.",
			play:   a.playLostUpdates,
		},
		{
			Name: "late-request", Title: "Logged out is logged out",
			Promise: "A user logs out while a slow request of theirs is still under way.",
			Script: []string{
				"A slow request starts, and finds its user logged in.",
				"In another tab, that user logs out.",
				"Only then the slow request puts a coat into the cart, and stores its session.",
				"Somebody tries the old cookie once more.",
			},
			Button: "Log out under a slow request",
			Why:    "A logout ends the session in the store, before its answer leaves. A request that comes too late can change a session that is there, and never make one that is gone. So its answer is an error, and not a session that is back.",
			play:   a.playLateRequest,
		},
		{
			Name: "stolen-cookies", Title: "Stolen cookies end",
			Promise: "A thief copies all cookies of a browser that has locked its session to the device.",
			Script: []string{
				"A user logs in. The browser makes a key that stays on the device, and locks the session to it.",
				"Two minutes later a thief copies the cookies, and tries the session cookie, and then both.",
				"Twelve minutes pass.",
				"The thief tries both cookies again.",
				"The browser asks for the same page.",
			},
			Button: "Steal the cookies",
			Why:    "A locked session has a second cookie, which ends after ten minutes. Only who has the key gets another one: the browser signs what the server asks it to, before it asks for the page. A copy of all cookies is good until the second one ends, a copy of the session cookie alone never is. Browsers that cannot do this keep plain sessions. Of yours the page of your devices says whether they are locked, if the app was started with -tls.",
			play:   a.playStolenCookies,
		},
	}
}

// mostPlay is how long a demonstration may take, if the store is slow.
const mostPlay = 20 * time.Second

func (a *app) show(w http.ResponseWriter, r *request) error {
	return a.render(w, r, http.StatusOK, "show", "See it work", a.demonstrations())
}

func (a *app) showOne(w http.ResponseWriter, r *request) error {
	d, err := a.demonstrationOf(r)
	if err != nil {
		return err
	}
	return a.renderShow(w, r, d, nil)
}

// playOne plays a demonstration.
func (a *app) playOne(w http.ResponseWriter, r *request) error {
	d, err := a.demonstrationOf(r)
	if err != nil {
		return err
	}
	leave, err := a.takeStage(r.Context())
	if err != nil {
		return err
	}
	defer leave()
	// Not the request's context, in which the session of whoever looks on would be found.
	ctx, cancel := context.WithTimeout(a.closing, mostPlay)
	defer cancel()
	defer context.AfterFunc(r.Context(), cancel)()
	p := &performance{began: time.Now()}
	p.visitor = &visitor{sessions: a.sessions, like: r.Request}
	if err := d.play(ctx, p); err != nil { //nolint:contextcheck // see above
		return err
	}
	p.took = time.Since(p.began)
	return a.renderShow(w, r, d, p)
}

// takeStage waits until no other demonstration is played in this process: each of them makes
// many requests of one, which anybody can send.
func (a *app) takeStage(ctx context.Context) (leave func(), err error) {
	limit, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case a.stage <- struct{}{}:
		return func() { <-a.stage }, nil
	case <-limit.Done():
	}
	if ctx.Err() != nil { // nobody waits for the answer
		return nil, ctx.Err()
	}
	return nil, errStage
}

func (a *app) renderShow(w http.ResponseWriter, r *request, d demonstration, p *performance) error {
	return a.render(w, r, http.StatusOK, "demonstration", d.Title, map[string]any{"Show": d, "Result": p})
}

func (a *app) demonstrationOf(r *request) (demonstration, error) {
	all := a.demonstrations()
	name := strings.TrimPrefix(r.URL.Path, "/show/")
	if i := slices.IndexFunc(all, func(d demonstration) bool { return d.Name == name }); i >= 0 {
		return all[i], nil
	}
	return demonstration{}, errNotFound
}

// A performance is what came of a demonstration, for its page.
type performance struct {
	*visitor

	Verdict string
	Kept    bool // whether the promise was
	Figures []tally
	Lanes   []*lane // one for each request
	Mark    string  // what happened at the line in the drawing

	Again int // how often a change was made again, on top of that of another request

	began      time.Time
	mark, took time.Duration
}

// A tally is how many of how many there are.
type tally struct {
	Label string
	N, Of int
	Good  bool
}

// A lane is a request on the time line: it begins, has read its session, and has its answer.
type lane struct {
	Track  string // which lanes are drawn together
	Said   string // what came of it
	Failed bool

	begins, read, ends time.Duration
}

// run makes a request of the visitor's, and returns the status of its answer. The handler
// calls read when it knows what is in the session.
func (p *performance) run(ctx context.Context, l *lane, handle func(s *core.Session, r *http.Request, read func()) (status int)) int {
	l.begins = time.Since(p.began)
	status := p.ask(ctx, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(handle(core.FromContext(r.Context()), r, func() { l.read = time.Since(p.began) }))
	})
	l.ends = time.Since(p.began)
	l.Failed = status != http.StatusOK
	return status
}

// naively is a counter that is read, increased and written back, as it has to be where a
// session has no Update.
const naively core.Key[int] = "naively"

// playLostUpdates adds a hat by each of forty requests that have all read the cart before.
func (a *app) playLostUpdates(ctx context.Context, p *performance) error {
	const tabs, each = 2, 20
	if status := p.ask(ctx, func(_ http.ResponseWriter, r *http.Request) { naively.Set(core.FromContext(r.Context()), 0) }); status != http.StatusOK {
		return errShow(status)
	}
	var (
		running sync.WaitGroup
		reading atomic.Int32
		calls   atomic.Int32 // of the function that is given to Update
		allRead = make(chan struct{})
	)
	reading.Store(tabs * each)
	for tab := range tabs {
		for range each {
			l := &lane{Track: fmt.Sprintf("Tab %d", tab+1)}
			p.Lanes = append(p.Lanes, l)
			running.Go(func() {
				has := sync.OnceFunc(func() {
					if reading.Add(-1) == 0 {
						p.mark = time.Since(p.began)
						close(allRead)
					}
				})
				defer has() // one that fails before keeps nobody waiting
				status := p.run(ctx, l, func(s *core.Session, r *http.Request, read func()) int {
					n := naively.Get(s)
					read()
					has()
					select {
					case <-allRead:
					case <-r.Context().Done():
						return http.StatusServiceUnavailable
					}
					cartOf.Update(s, func(cart map[string]int) map[string]int {
						calls.Add(1)
						return withOneMore(cart, "hat")
					})
					naively.Set(s, n+1)
					return http.StatusOK
				})
				l.Said = fmt.Sprintf("answered %d", status)
			})
		}
	}
	running.Wait()

	counted, naive := 0, 0
	status := p.ask(ctx, func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		counted, naive = inCart(s), naively.Get(s)
		if s.Destroy(r.Context()) != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if status != http.StatusOK {
		return errShow(status)
	}
	p.Kept = counted == tabs*each
	p.Verdict = fmt.Sprintf("%d of %d hats are in the cart.", counted, tabs*each)
	p.Figures = []tally{
		{"counted by Update, as the shop's cart does", counted, tabs * each, true},
		{"counted by reading, adding one and writing back, in the same requests", naive, tabs * each, false},
	}
	p.Mark, p.Again = "all have read the cart", int(calls.Load())-tabs*each
	return nil
}

// playLateRequest logs a user out while a request of theirs is under way.
func (a *app) playLateRequest(ctx context.Context, p *performance) error {
	user := showUser + rand.Text()
	if status := p.ask(ctx, func(w http.ResponseWriter, r *http.Request) {
		if err := core.FromContext(r.Context()).SignIn(r.Context(), user); err != nil {
			w.WriteHeader(core.HTTPStatus(err))
		}
	}); status != http.StatusOK {
		return errShow(status)
	}
	slow, logout, again := &lane{Track: "The slow request"}, &lane{Track: "The logout"}, &lane{Track: "The old cookie"}
	p.Lanes = []*lane{slow, logout, again}
	var (
		underWay, loggedOut = make(chan struct{}), make(chan struct{})
		late                sync.WaitGroup
		lateStatus          int
	)
	late.Go(func() {
		has := sync.OnceFunc(func() { close(underWay) })
		defer has()
		lateStatus = p.run(ctx, slow, func(s *core.Session, _ *http.Request, read func()) int {
			if s.User() != user {
				return http.StatusUnauthorized
			}
			read()
			has()
			<-loggedOut
			putIntoCart(s, "coat")
			return http.StatusOK
		})
	})
	<-underWay
	logoutStatus := p.run(ctx, logout, func(s *core.Session, r *http.Request, read func()) int {
		read()
		if err := s.SignOut(r.Context()); err != nil {
			return core.HTTPStatus(err)
		}
		return http.StatusOK
	})
	p.mark, p.Mark = time.Since(p.began), "the user is logged out"
	close(loggedOut)
	late.Wait()
	found := ""
	status := p.run(ctx, again, func(s *core.Session, _ *http.Request, read func()) int {
		found = s.User()
		read()
		if found == "" {
			return http.StatusUnauthorized
		}
		return http.StatusOK
	})
	if logoutStatus != http.StatusOK || status >= http.StatusInternalServerError {
		return errShow(max(logoutStatus, status))
	}
	left := 0
	for _, err := range a.sessions.Sessions(ctx, user) {
		if err != nil {
			return err
		}
		left++
	}
	slow.Said = fmt.Sprintf("answered %d: its session has ended, and nothing was stored", lateStatus)
	logout.Said = fmt.Sprintf("answered %d: the session is gone", logoutStatus)
	again.Said = fmt.Sprintf("answered %d: it belongs to nobody", status)
	if found != "" {
		again.Said = fmt.Sprintf("answered %d: it is the user's", status)
	}
	p.Kept = lateStatus == http.StatusConflict && found == "" && left == 0
	p.Verdict = "The user is logged out, and stays logged out."
	if !p.Kept {
		p.Verdict = "The session came back."
	}
	p.Figures = []tally{{"sessions of this user are left", left, 1, true}}
	return nil
}

// showUser is what the names of users begin with who are made up for a demonstration.
const showUser = "show:"

// errShow is the error for an answer that a demonstration cannot go on with.
func errShow(status int) error {
	if status == http.StatusServiceUnavailable {
		return problemOutage
	}
	return fmt.Errorf("%w: a request of the show was answered %d", errBroken, status)
}

// A visitor is a browser that is made up: it has a session of its own.
type visitor struct {
	sessions *core.Manager
	like     *http.Request // whose address, host and encryption its requests have

	mu     sync.Mutex
	cookie *http.Cookie
}

// ask has a handler answer a request of the visitor's, behind the middleware, and returns
// the status of the answer. Of several cookies it keeps the last, and one that is deleted
// too: see what is good of it.
func (v *visitor) ask(ctx context.Context, handle http.HandlerFunc) (status int) {
	r := v.like.Clone(ctx)
	r.Body = http.NoBody
	r.Header.Del("Cookie")
	v.mu.Lock()
	if v.cookie != nil {
		r.AddCookie(v.cookie)
	}
	v.mu.Unlock()
	w := &answer{header: make(http.Header), status: http.StatusOK}
	v.sessions.Handler(handle).ServeHTTP(w, r)
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range (&http.Response{Header: w.header}).Cookies() {
		if c.MaxAge >= 0 {
			v.cookie = c
		}
	}
	return w.status
}

// An answer is a response of which the status and the header are looked at.
type answer struct {
	header http.Header
	status int
	begun  bool
}

// Header implements http.ResponseWriter.
func (w *answer) Header() http.Header { return w.header }

// Write implements http.ResponseWriter.
func (w *answer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return len(p), nil
}

// WriteHeader implements http.ResponseWriter.
func (w *answer) WriteHeader(status int) {
	if !w.begun {
		w.status, w.begun = status, true
	}
}

// What the page draws.

const (
	drawnWidth = 1000 // units of the drawing
	laneHeight = 8    // with the gap below it
	soleHeight = 16   // of one that has a drawing of its own
)

// A track is a drawing of some lanes, one below the other.
type track struct {
	Name, Said string
	Height     int
	Bar        int // the height of one
	Bars       []drawnBar
	Mark       float64 // where the line is
}

// A drawnBar is a lane: the part until its session was read, and the part until its answer.
type drawnBar struct {
	Y               int
	X, Read, Answer float64 // where the first part begins, and how wide both are
	AnswerX         float64
	Failed          bool
	Label           string
}

// Took is how long all of it lasted.
func (p *performance) Took() time.Duration { return p.took }

// Refused reports whether a request was.
func (p *performance) Refused() bool {
	return slices.ContainsFunc(p.Lanes, func(l *lane) bool { return l.Failed })
}

// Tracks returns the drawings of all lanes, on one scale.
func (p *performance) Tracks() []track {
	var all []track
	from, to := p.Lanes[0].begins, time.Duration(0)
	for _, l := range p.Lanes {
		from, to = min(from, l.begins), max(to, l.ends)
	}
	x := func(at time.Duration) float64 { return float64(at-from) / float64(max(to-from, 1)) * drawnWidth }
	for _, l := range p.Lanes {
		if len(all) == 0 || all[len(all)-1].Name != l.Track {
			all = append(all, track{Name: l.Track, Mark: x(p.mark)})
		}
		t := &all[len(all)-1]
		read := max(l.read, l.begins)
		t.Bars = append(t.Bars, drawnBar{
			Y: len(t.Bars) * laneHeight, X: x(l.begins), Read: max(x(read)-x(l.begins), 2),
			AnswerX: x(read), Answer: max(x(l.ends)-x(read), 4), Failed: l.Failed,
			Label: fmt.Sprintf("%s after it began: %s", millis(l.ends-l.begins), l.Said),
		})
		t.Said = l.Said
	}
	for i := range all {
		t := &all[i]
		t.Height, t.Bar = soleHeight, soleHeight
		if n := len(t.Bars); n > 1 {
			t.Height, t.Bar, t.Said = n*laneHeight, laneHeight-2, count(n, "request")+" at once"
		}
	}
	return all
}
