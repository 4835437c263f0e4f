package core_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is bound, to what, for how long and who is told, where it comes to a single line.

// rewrite changes the record of a session by hand.
func (b *bindStage) rewrite(key string, change func(data string) string) {
	b.t.Helper()
	old, err := b.store.Store.Load(b.t.Context(), key)
	if err != nil {
		b.t.Fatal(err)
	}
	data := change(string(old.Data))
	if data == string(old.Data) {
		b.t.Fatalf("nothing of %s changes", data)
	}
	if err := b.store.Store.Update(b.t.Context(), old, store.Record{ID: key, Data: []byte(data), TTL: store.KeepTTL}); err != nil {
		b.t.Fatal(err)
	}
}

// keyOf returns what the store calls the session that a cookie leads to.
func (b *bindStage) keyOf(cookie string) string {
	b.t.Helper()
	_, value, _ := strings.Cut(cookie, "=")
	id, _, ok := core.Verify([]string{stageSecret}, value)
	if !ok {
		b.t.Fatal("the cookie is not ours")
	}
	return id
}

// withBinding returns a record with another member that says what it is bound to.
func withBinding(member string) func(string) string {
	return func(data string) string {
		before, rest, _ := strings.Cut(data, `"bind":`)
		depth := 0
		for i, c := range rest {
			switch c {
			case '{':
				depth++
			case '}':
				if depth--; depth == 0 {
					return before + `"bind":` + member + rest[i+1:]
				}
			}
		}
		return data
	}
}

// A record of which nobody can tell to what it is bound belongs to nobody.
func TestWhatCannotBeReadOfABindingIsAKeyThatNobodyHas(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	id, bound := idCookie(t, b.browser), boundCookie(t, b.browser)
	key := b.keyOf(id)
	for _, tt := range []struct{ member, want string }{
		{`{"offered":1}`, "ann unbound"},
		{`{}`, "unproven"},
		{`{"since":1}`, "unproven"},
		{`{"since":1,"offered":1}`, "unproven"},
		{`{"since":1,"thumbprint":""}`, "unproven"},
		{`{"since":1,"thumbprint":1}`, "unproven"},
		{`{"since":1,"thumbprint":null,"jwk":{}}`, "unproven"},
		{`{"since":"now","thumbprint":"x"}`, "unproven"},
		{`{"thumbprint":"x","jwk":{}}`, "unproven"},
	} {
		b.rewrite(key, withBinding(tt.member))
		b.is(b.another(), "/who", tt.want, func(r *http.Request) { r.Header.Set("Cookie", id+"; sid-bound="+bound) })
		if t.Failed() {
			t.Fatal(tt.member)
		}
	}
}

// Somebody who can set cookies cannot have many verified, nor hide the good one with a few.
func TestAFewBoundCookiesAreLookedAt(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	id, good := idCookie(t, b.browser), "; sid-bound="+boundCookie(t, b.browser)
	const bad = "; sid-bound=1.x"
	for cookies, want := range map[string]string{
		id + good:                                    "ann bound",
		id + strings.Repeat(bad, 3) + good:           "ann bound",
		id + good + strings.Repeat(bad, 9):           "ann bound",
		id + strings.Repeat(bad, 4) + good:           "unproven",
		id + strings.Repeat(bad, 4) + good + good:    "unproven",
		id + "; sid-bounds=x; xsid-bound=x" + good:   "ann bound",
		id + strings.Repeat("; sid=abc", 5) + good:   "ann bound",
		strings.TrimPrefix(good, "; ") + "; " + id:   "ann bound",
		id + strings.ReplaceAll(good, "-bound", "x"): "unproven",
	} {
		for range 3 { // remembered or not
			b.is(b.another(), "/who", want, func(r *http.Request) { r.Header.Set("Cookie", cookies) })
		}
	}
}

// Who has one key in two sessions has a bound cookie for each.
func TestTheBoundCookieIsThatOfOneSession(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	d := newDevice()
	var ids, bound [2]string
	for i := range ids {
		var challenge string
		challenge, ids[i] = b.offered()
		a := b.send("", d.register(challenge))
		bound[i] = "; " + strings.SplitN(a.header.Get("Set-Cookie"), ";", 2)[0]
	}
	b.clock.advance(2 * time.Minute)
	for i := range ids {
		for range 3 {
			for cookies, want := range map[string]string{ids[i] + bound[i]: "ann bound", ids[i] + bound[1-i]: "unproven"} {
				b.is(b.another(), "/who", want, func(r *http.Request) { r.Header.Set("Cookie", cookies) })
			}
		}
	}
}

// Grace, and what an instance has made, count from a moment that a clock may be before, for
// a minute and no more.
func TestHowFarTheClocksOfABindingMayBeApart(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		apart   time.Duration
		bound   string // what a request without the bound cookie finds
		offer   int    // how a registration is answered
		refresh int    // and how a proof is
	}{
		{-time.Minute, "unproven", http.StatusBadRequest, http.StatusForbidden},
		{-time.Minute + time.Millisecond, "ann bound", http.StatusOK, http.StatusOK},
		{time.Minute - time.Millisecond, "ann bound", http.StatusOK, http.StatusOK},
		{time.Minute, "unproven", http.StatusOK, http.StatusOK},
		{2*time.Minute - time.Millisecond, "unproven", http.StatusOK, http.StatusOK},
		{2 * time.Minute, "unproven", http.StatusOK, http.StatusForbidden},
		{5*time.Minute - time.Millisecond, "unproven", http.StatusOK, http.StatusForbidden},
		{5 * time.Minute, "unproven", http.StatusBadRequest, http.StatusForbidden},
	} {
		b := newBindStage(t)
		d := newDevice()
		offer, cookie := b.offered()
		id := between(b.send("", d.register(offer)).body, `"session_identifier":"`, `"`)
		next, _ := b.offered()
		challenge := between(b.send(id, "").header.Get("Secure-Session-Challenge"), `"`, `"`)
		b.clock.advance(tt.apart)
		b.is(b.another(), "/who", tt.bound, func(r *http.Request) { r.Header.Set("Cookie", cookie) })
		if a := b.send(id, d.prove(challenge)); a.status != tt.refresh {
			t.Errorf("%v: a proof is answered %d, want %d", tt.apart, a.status, tt.refresh)
		}
		if a := b.send("", d.register(next)); a.status != tt.offer {
			t.Errorf("%v: a registration is answered %d, want %d", tt.apart, a.status, tt.offer)
		}
	}
}

func TestWhoHasSignedOutIsNotBound(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	challenge, cookie := b.offered()
	b.rewrite(b.keyOf(cookie), func(data string) string { // as another app on the same store would
		before, rest, _ := strings.Cut(data, `"user":{`)
		_, after, _ := strings.Cut(rest, "},")
		return before + after
	})
	b.store.took()
	if a := b.send("", newDevice().register(challenge)); a.status != http.StatusBadRequest || len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("a registration is answered %d", a.status)
	}
	if got := b.store.verbs(); got != "load" {
		t.Errorf("the store is asked to %s", got)
	}
	b.is(b.another(), "/who", "unbound", func(r *http.Request) { r.Header.Set("Cookie", cookie) })
}

// A session that is as large as it may be stays a plain one.
func TestASessionWithoutRoomForAKeyStaysPlain(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.MaxBytes = 600 })
	var challenge, cookie string
	for n := 500; challenge == ""; n-- { // the largest one that fits
		a := b.request("", func(w http.ResponseWriter, r *http.Request) {
			core.FromContext(r.Context()).Set("n", strings.Repeat("x", n))
			b.page(w, r)
		}, func(r *http.Request) { r.URL.Path = "/login" })
		challenge, cookie = between(a.header.Get("Secure-Session-Registration"), `challenge="`, `"`), a.cookie
	}
	if a := b.send("", newDevice().register(challenge)); a.status != http.StatusBadRequest || len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("a registration is answered %d", a.status)
	}
	b.is(b.another(), "/who", "ann unbound", func(r *http.Request) { r.Header.Set("Cookie", cookie) })
}

// A session that somebody has bound, and unbound by hand, is proven by nothing.
func TestARefreshOfWhatIsNotBoundEndsTheBinding(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	d := newDevice()
	challenge, cookie := b.offered()
	id := between(b.send("", d.register(challenge)).body, `"session_identifier":"`, `"`)
	challenge = between(b.send(id, "").header.Get("Secure-Session-Challenge"), `"`, `"`)
	for _, member := range []string{`{"offered":1}`, `{"since":1,"thumbprint":"x"}`, `{"since":1,"thumbprint":"x","jwk":{}}`, `{}`} {
		b.rewrite(b.keyOf(cookie), withBinding(member))
		if a := b.send(id, d.prove(challenge)); a.status != http.StatusNotFound || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%s: a refresh is answered %d", member, a.status)
		}
	}
}

// Of many sessions that come at once nobody can tell that the bound one is not among them.
func TestABindingIsKeptWhereMoreSessionsComeThanAreLookedAt(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	id := b.registered(newDevice())
	const manySessions = 8 // as many as a logout ends
	var cookies []string
	for range manySessions {
		_, cookie := b.offered()
		cookies = append(cookies, cookie)
	}
	for n, want := range map[int]int{0: http.StatusForbidden, 1: http.StatusNotFound, manySessions - 1: http.StatusNotFound, manySessions: http.StatusForbidden} {
		if a := b.sendWith(strings.Join(cookies[:n], "; "), id, ""); a.status != want {
			t.Errorf("with %d other sessions: %d, want %d", n, a.status, want)
		}
	}
}

func TestWhomTheEventsOfABindingAreAbout(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	d, other := newDevice(), newDevice()
	offer, cookie := b.offered()
	var handle string
	b.request(cookie, func(_ http.ResponseWriter, r *http.Request) { handle = core.FromContext(r.Context()).Handle() })
	id := between(b.send("", d.register(offer)).body, `"session_identifier":"`, `"`)
	is := func(what string, kind core.EventKind, cause core.Cause) {
		t.Helper()
		if e := b.refused.last(); e.Kind != kind || e.Cause != cause || e.User != "ann" || e.Handle != handle || handle == "" {
			t.Errorf("%s: the Observer is told %+v", what, e)
		}
	}
	is("a registration", core.EventBound, "")
	b.send("", other.register(offer))
	is("a second one", core.EventRefused, core.CauseBound)
	challenge := between(b.send(id, "").header.Get("Secure-Session-Challenge"), `"`, `"`)
	b.send(id, d.prove(challenge))
	is("a refresh", core.EventRefreshed, "")
	b.send(id, other.prove(challenge))
	is("a proof by another key", core.EventRefused, core.CauseForged)
	b.clock.advance(2 * time.Minute)
	b.request(cookie, b.page)
	is("a request without a proof", core.EventRefused, core.CauseUnproven)
	b.request(cookie, b.page, func(r *http.Request) { r.URL.Path = "/logout" })
	is("a logout without a proof", core.EventDestroyed, "")
}

// A bindTracer writes down what it is told.
type bindTracer struct {
	refusals
	spans []core.Operation
}

func (b *bindTracer) Start(ctx context.Context, op core.Operation) (context.Context, func(error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spans = append(b.spans, op)
	return ctx, func(error) {}
}

func TestTheTracerIsToldOfABinding(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	tracer := new(bindTracer)
	traced := b.restarted(boundConfig(func(c *core.Config) { c.Observer = tracer }))
	d := newDevice()
	offer, _ := b.offered()
	post := func(id, proof string) answer {
		return traced.request("", nil, func(r *http.Request) {
			r.Method, r.URL.Path = http.MethodPost, "/.session/bind"
			r.Header.Set("Sec-Secure-Session-Id", id)
			r.Header.Set("Secure-Session-Response", proof)
		})
	}
	id := between(post("", d.register(offer)).body, `"session_identifier":"`, `"`)
	challenge := between(post(id, "").header.Get("Secure-Session-Challenge"), `"`, `"`)
	post(id, d.prove(challenge))
	tracer.mu.Lock()
	defer tracer.mu.Unlock()
	if !slices.Equal(tracer.spans, []core.Operation{core.OpBind, core.OpBind}) || core.OpBind != "bind" {
		t.Errorf("it is told of %q", tracer.spans)
	}
}

// Each commit of a request says anew what the browser may bind, and leaves alone what the app
// says.
func TestTheOfferFollowsTheSession(t *testing.T) {
	t.Parallel()
	const registration = "Secure-Session-Registration"
	for _, own := range []string{"", `(ES256);path="/of/the/app"`} {
		b := newBindStage(t)
		r := httptest.NewRequest(http.MethodPost, app+"/", http.NoBody)
		_, cookie := b.offered()
		r.Header.Set("Cookie", cookie+"; sid-bound=x")
		x, err := b.Begin(r)
		if err != nil {
			t.Fatal(err)
		}
		s, h := core.FromContext(x.Request(r).Context()), http.Header{}
		if own != "" {
			h.Set(registration, own)
		}
		commit := func(want int) (offer string) {
			t.Helper()
			if err := x.Commit(h); err != nil {
				t.Fatal(err)
			}
			lines := slices.DeleteFunc(slices.Clone(h[registration]), func(line string) bool { return line == own })
			if len(lines) != want || len(h[registration]) != want+min(len(own), 1) {
				t.Fatalf("the headers are %q, want %d offers", h, want)
			}
			if _, has := h[registration]; !has && own+strings.Join(lines, "") != "" || has && len(h[registration]) == 0 {
				t.Errorf("the headers are %q", h)
			}
			return strings.Join(lines, "")
		}
		commit(0)
		s.Set("n", 1)
		commit(0)
		if err := s.SignIn(t.Context(), "ann"); err != nil {
			t.Fatal(err)
		}
		first := commit(1)
		if again := commit(1); again != first {
			t.Error("the same id is offered twice")
		}
		if err := s.Renew(); err != nil {
			t.Fatal(err)
		}
		if second := commit(1); second == first {
			t.Error("the id that was given up is offered")
		}
		for range 2 {
			if err := s.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			commit(0)
			gone := slices.DeleteFunc(slices.Clone(h["Set-Cookie"]), func(line string) bool { return !strings.HasPrefix(line, "sid-bound=;") })
			if len(gone) != 1 {
				t.Errorf("the bound cookie is deleted by %q", h["Set-Cookie"])
			}
		}
	}
}

// What sends the cookie again gives the session no other id.
func TestACookieThatIsSentAgainOffersNothing(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.Rolling = true })
	_, cookie := b.offered()
	for _, path := range []string{"/who", "/set"} {
		a := b.request(cookie, b.page, func(r *http.Request) { r.URL.Path = path })
		if a.setCookie == "" || a.header.Get("Secure-Session-Registration") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

// Only a browser with a user's session is offered anything, and only then the record says so.
func TestWhoseRecordsSayThatABindingWasOffered(t *testing.T) {
	t.Parallel()
	login := func(r *http.Request) { r.URL.Path = "/login" }
	for name, tt := range map[string]struct {
		edit    func(*core.Config)
		request func(*http.Request)
		want    bool
	}{
		"a user's":             {func(*core.Config) {}, login, true},
		"a visitor's":          {func(*core.Config) {}, func(r *http.Request) { r.URL.Path = "/set" }, false},
		"without the setting":  {func(c *core.Config) { c.Bind = nil }, login, false},
		"a client's, a header": {func(c *core.Config) { c.Header = &core.Header{} }, func(r *http.Request) { login(r); r.Header.Set("Authorization", "Bearer") }, false},
	} {
		b := newBindStage(t, tt.edit)
		a := b.request("", b.page, tt.request)
		calls := b.store.took()
		if a.status >= 400 || len(calls) != 1 || strings.Contains(calls[0].data, `"bind":{"offered":`) != tt.want || (a.header.Get("Secure-Session-Registration") != "") != tt.want {
			t.Errorf("%s: %d %v %+v", name, a.status, a.header, calls)
		}
	}
}

// A user whom an Express app signed in is one, once the session gets an id of ours.
func TestTheUserOfAnExpressAppIsOfferedABinding(t *testing.T) {
	t.Parallel()
	users := newUserStore()
	b := newBindStage(t, func(c *core.Config) {
		c.Store, c.UserKey, c.ShareWithExpress, c.Bind.ExpressChecks = users, "userId", true, true
	})
	rec := store.Record{ID: "made by Express", Data: []byte(`{"cookie":{},"userId":"ann"}`), TTL: time.Hour}
	if err := users.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path    string
		offered bool
	}{{"/set", false}, {"/renew", true}} {
		a := b.request(b.put2(rec.ID), b.page, func(r *http.Request) { r.URL.Path = tt.path })
		if a.status >= 400 || (a.header.Get("Secure-Session-Registration") != "") != tt.offered {
			t.Errorf("%s: %d %v", tt.path, a.status, a.header)
		}
	}
}

// Where no cookie can be set, none can be bound, and one that is not there is not deleted.
func TestWhatTheBrowserDoesNotGetItIsNotOfferedToBind(t *testing.T) {
	t.Parallel()
	b := newBindStage(t, func(c *core.Config) { c.IsHTTPS = func(r *http.Request) bool { return r.Header.Get("Plain") == "" } })
	a := b.request("", b.page, func(r *http.Request) { r.URL.Path = "/login"; r.Header.Set("Plain", "1") })
	if a.setCookie != "" || a.header.Get("Secure-Session-Registration") != "" {
		t.Errorf("over plain HTTP: %v", a.header)
	}
	_, cookie := b.offered()
	a = b.request(cookie, b.page, func(r *http.Request) { r.URL.Path = "/logout" })
	if lines := a.header["Set-Cookie"]; len(lines) != 1 || !strings.HasPrefix(lines[0], "sid=;") {
		t.Errorf("a logout without a bound cookie sets %q", lines)
	}
}

// Who has just signed in has shown more than a proof, whether the browser can bind sessions
// or not.
func TestAPageThatWantsAProofTakesAFreshLogin(t *testing.T) {
	t.Parallel()
	for _, bind := range []*core.Bind{{}, nil} {
		b := newBindStage(t, func(c *core.Config) { c.Bind = bind })
		pay := core.RequireProof(time.Minute, core.SignInPage{}).Handler(http.HandlerFunc(b.page))
		a := b.request("", b.page, func(r *http.Request) { r.URL.Path = "/login" })
		for _, tt := range []struct {
			passes time.Duration
			want   int
		}{{0, http.StatusOK}, {time.Minute - time.Millisecond, http.StatusOK}, {time.Millisecond, http.StatusUnauthorized}} {
			b.clock.advance(tt.passes)
			want := tt.want
			if bind == nil {
				want = http.StatusUnauthorized // nobody can prove anything
			}
			if got := b.request(a.cookie, pay.ServeHTTP); got.status != want {
				t.Errorf("bound by %v, after %v more: %d, want %d", bind, tt.passes, got.status, want)
			}
		}
	}
}

// What is remembered of a bound cookie is worth nothing for another key of the same session.
func TestABoundCookieThatIsRememberedIsThatOfItsKey(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	challenge, cookie := b.offered()
	register := func() string {
		a := b.send("", newDevice().register(challenge))
		return cookie + "; " + strings.SplitN(a.header.Get("Set-Cookie"), ";", 2)[0]
	}
	first := register()
	for range 3 {
		b.is(b.another(), "/who", "ann bound", func(r *http.Request) { r.Header.Set("Cookie", first) })
	}
	b.rewrite(b.keyOf(cookie), withBinding(`{"offered":1}`))
	register()
	b.clock.advance(time.Minute)
	b.is(b.another(), "/who", "unproven", func(r *http.Request) { r.Header.Set("Cookie", first) })
}

func TestTheInstructionsAreThoseOfTheConfigurationThatWasGiven(t *testing.T) {
	t.Parallel()
	exclude := []string{"/static"}
	b := newBindStage(t, func(c *core.Config) { c.Bind = &core.Bind{Exclude: exclude} })
	exclude[0] = "/"
	challenge, _ := b.offered()
	if a := b.send("", newDevice().register(challenge)); !strings.Contains(a.body, `"path":"/static"`) {
		t.Error(a.body)
	}
}

// Outside of net/http there is no browser that could bind anything.
func TestManagerCommitOffersNothing(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	s, err := b.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignIn(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	line, err := b.Commit(t.Context(), s, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range b.store.took() {
		if strings.Contains(c.data, `"bind":`) {
			t.Errorf("the record says %s", c.data)
		}
	}
	if s, err = b.Load(t.Context(), between(line, "=", ";")); err != nil || s.User() != "ann" {
		t.Fatalf("%q, %v", s.User(), err)
	}
	if err := s.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if line, err := b.Commit(t.Context(), s, true); err != nil || !strings.Contains(line, "Max-Age=0") {
		t.Errorf("a logout: %q, %v", line, err)
	}
}

// In a function given to Update nothing of the session can be asked.
func TestBindingInsideOfUpdateIsUnbound(t *testing.T) {
	t.Parallel()
	b := newBindStage(t)
	b.login()
	cookies := cookieHeader(b.browser)
	b.request(cookies, func(_ http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		if got := s.Binding(); got != core.Bound {
			t.Errorf("%v", got)
		}
		counter.Update(s, func(n int) int {
			if got := s.Binding(); got != core.Unbound {
				t.Errorf("inside: %v", got)
			}
			return n
		})
	})
}
