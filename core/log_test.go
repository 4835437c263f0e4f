package core_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// lines returns the lines of the log that have text.
func (l *stageLog) lines(text string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// An operator finds the request that a line is about, and not what its path holds.
func TestALineOfTheLogSaysMethodAndRoute(t *testing.T) {
	t.Parallel()
	log := new(stageLog)
	down := &failing{Store: new(mapstore.Store)}
	m, err := core.New(core.Config{Store: down, Secrets: []string{stageSecret}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /reset/{token}", func(_ http.ResponseWriter, r *http.Request) {
		down.fails = true
		core.FromContext(r.Context()).Set("n", 1)
	})
	m.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/reset/of-a-password", http.NoBody))
	said := log.lines("session could not be saved")
	if len(said) != 1 || !strings.Contains(said[0], `method=POST route="POST /reset/{token}"`) || strings.Contains(log.String(), "of-a-password") {
		t.Errorf("the log has %q", log.String())
	}

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Pattern = "/known/before" // as adapters say it
	r.Header.Set("Cookie", "sid="+core.Sign(stageSecret, "some-id-of-a-session"))
	m.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
	if said := log.lines("session could not be loaded"); len(said) != 1 || !strings.Contains(said[0], `method=GET route=/known/before`) {
		t.Errorf("the log has %q", log.String())
	}
}

// A failing store fails where it is told to.
type failing struct {
	store.Store
	fails bool
}

func (f *failing) Load(ctx context.Context, id string) (store.Record, error) {
	if f.fails {
		return store.Record{}, &store.Error{Store: "test store", Verb: "load"}
	}
	return f.Store.Load(ctx, id)
}

func (f *failing) Create(ctx context.Context, rec store.Record) error {
	if f.fails {
		return &store.Error{Store: "test store", Verb: "create", Outcome: store.OutcomeNotApplied}
	}
	return f.Store.Create(ctx, rec)
}

// A store that is down is one line a second, however many requests there are.
func TestAnOutageIsALineASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log, d := new(stageLog), new(diary)
		m, err := core.New(core.Config{
			Store: &failing{Store: new(mapstore.Store), fails: true}, Secrets: []string{stageSecret}, Logger: slog.New(slog.NewTextHandler(log, nil)),
			Observer: d,
		})
		if err != nil {
			t.Fatal(err)
		}
		visit := func() {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Header.Set("Cookie", "sid="+core.Sign(stageSecret, "some-id-of-a-session"))
			w := httptest.NewRecorder()
			m.Handler(http.NotFoundHandler()).ServeHTTP(w, r)
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("status %d", w.Code)
			}
		}
		for range 10 {
			visit()
		}
		if said := log.lines(""); len(said) != 1 || strings.Contains(said[0], "unsaid") {
			t.Errorf("ten requests at once: the log has %q", said)
		}
		time.Sleep(time.Second - time.Nanosecond)
		visit()
		time.Sleep(time.Nanosecond)
		visit()
		visit()
		if said := log.lines(""); len(said) != 2 || !strings.Contains(said[1], "unsaid=10") {
			t.Errorf("a second later: the log has %q", said)
		}
		told := make(map[string]int)
		for _, line := range d.took() {
			told[line]++
		}
		if want := map[string]int{"store-failed": 13, "outage cause=logged": 2, "outage cause=unsaid": 11}; !maps.Equal(told, want) {
			t.Errorf("the Observer is told %v, want %v", told, want)
		}
	})
}

func TestDroppedChangesAreNamed(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	st.visit(st.signIn(), func(s *core.Session) {
		_ = s.Destroy(t.Context())
		s.Set("basket", "of apples")
	})
	if said := st.log.lines("changes to a session were dropped"); len(said) != 1 || !strings.Contains(said[0], "keys=basket") {
		t.Errorf("the log has %q", st.log.String())
	}
}

// Two instances with different secrets log everybody out: that is to be seen.
func TestCookiesOfAnotherSecretAreToldOf(t *testing.T) {
	t.Parallel()
	const text = "no secret in Config.Secrets verifies them"
	st := newStage(t, core.Config{})
	mine := st.signIn()
	visit := func(times int, cookie func(i int) string) {
		for i := range times {
			st.visit(cookie(i), func(*core.Session) {})
		}
	}
	foreign := func(i int) string {
		return "sid=" + core.Sign("the secret of another instance", fmt.Sprintf("an-id-of-another-instance-%d", i))
	}
	visit(100, func(int) string { return "sid=nonsense" })
	visit(19, foreign)
	if said := st.log.lines(text); len(said) != 0 {
		t.Errorf("after few of them: %q", said)
	}
	visit(30, foreign)
	if said := st.log.lines(text); len(said) != 1 {
		t.Errorf("after many of them: %q", said)
	}
	st.clock.advance(30 * time.Minute)
	visit(30, foreign)
	if said := st.log.lines(text); len(said) != 1 {
		t.Errorf("within an hour: %q", said)
	}
	st.clock.advance(40 * time.Minute)
	visit(1, foreign)
	visit(200, func(int) string { return mine })
	visit(30, foreign)
	if said := st.log.lines(text); len(said) != 1 {
		t.Errorf("among many more that are genuine: %q", said)
	}
	st.clock.advance(2 * time.Minute)
	visit(30, foreign)
	if said := st.log.lines(text); len(said) != 2 {
		t.Errorf("an hour later: %q", said)
	}
}

// They are told of where there are twenty within a minute, and as many as a fifth of all
// that are like ours.
func TestHowManyCookiesOfAnotherSecretAreToldOf(t *testing.T) {
	t.Parallel()
	type step struct {
		foreign, genuine int           // cookies, in that order
		later            time.Duration // before them
	}
	for _, tt := range []struct {
		name  string
		steps []step
		told  bool
	}{
		{name: "nineteen", steps: []step{{foreign: 19}}},
		{name: "twenty", steps: []step{{foreign: 20}}, told: true},
		{name: "twenty within a minute", steps: []step{{foreign: 19}, {foreign: 1, later: time.Minute - 1}}, told: true},
		{name: "twenty in more than a minute", steps: []step{{foreign: 19}, {foreign: 1, later: time.Minute}}},
		{name: "less than a fifth", steps: []step{{foreign: 1, genuine: 100}, {foreign: 23}}},
		{name: "a fifth", steps: []step{{foreign: 1, genuine: 100}, {foreign: 24}}, told: true},
	} {
		st := newStage(t, core.Config{})
		mine, foreign := st.signIn(), "sid="+core.Sign("the secret of another instance", "an-id-of-another-instance")
		for _, s := range tt.steps {
			st.clock.advance(s.later)
			for range s.foreign {
				st.visit(foreign, nil)
			}
			for range s.genuine {
				st.visit(mine, nil)
			}
		}
		if told := st.log.count("no secret in Config.Secrets verifies them") > 0; told != tt.told {
			t.Errorf("%s: told %v, want %v", tt.name, told, tt.told)
		}
	}
}

// Browsers drop a cookie of another domain without a word.
func TestADomainThatIsNotTheHostsIsToldOf(t *testing.T) {
	t.Parallel()
	for host, within := range map[string]bool{
		"example.com": true, "EXAMPLE.com:8080": true, "www.example.com": true, "example.com.": true,
		"badexample.com": false, "example.org": false, "127.0.0.1": false, "com": false,
	} {
		log := new(stageLog)
		m, err := core.New(core.Config{
			Store: new(mapstore.Store), Secrets: []string{stageSecret}, Cookie: core.Cookie{Domain: "example.com"},
			Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.Host = host
			m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				core.FromContext(r.Context()).Set("n", 1)
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
		said := log.lines("browsers drop the cookie")
		if within && len(said) != 0 || !within && (len(said) != 1 || !strings.Contains(said[0], "host="+host+" domain=example.com")) {
			t.Errorf("%s: the log has %q", host, log.String())
		}
	}
}

func TestAProxyThatIsNotTrustedIsNamed(t *testing.T) {
	t.Parallel()
	log := new(stageLog)
	m, err := core.New(core.Config{Store: new(mapstore.Store), Secrets: []string{stageSecret}, Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("X-Forwarded-Proto", "https")
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		core.FromContext(r.Context()).Set("n", 1)
	})).ServeHTTP(httptest.NewRecorder(), r)
	if said := log.lines("not in Config.TrustedProxies"); len(said) != 1 || !strings.Contains(said[0], "peer=192.0.2.7 ") {
		t.Errorf("the log has %q", log.String())
	}
}

func TestTrustInEveryAddressIsWarnedAbout(t *testing.T) {
	t.Parallel()
	for network, warned := range map[string]bool{"0.0.0.0/0": true, "::/0": true, "10.0.0.0/8": false} {
		log := new(stageLog)
		if _, err := core.New(core.Config{
			Store: new(mapstore.Store), Secrets: []string{stageSecret}, Logger: slog.New(slog.NewTextHandler(log, nil)),
			TrustedProxies: []netip.Prefix{netip.MustParsePrefix(network)},
		}); err != nil {
			t.Fatal(err)
		}
		if said := log.lines("network=" + network); (len(said) == 1) != warned {
			t.Errorf("%s: the log has %q", network, log.String())
		}
	}
}

// Whoever rotates secrets sees when the old one is not in use any more.
func TestAnOlderSecretIsAnEvent(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	if err := st.SetSecrets([]string{"the next secret, which has 32 bytes.", stageSecret}); err != nil {
		t.Fatal(err)
	}
	a := st.visit(cookie, func(*core.Session) {})
	if n := st.events.count(core.EventOldSecret); n != 1 {
		t.Errorf("%d events, want one for the cookie under the old secret", n)
	}
	if n := st.events.count(core.EventReissued); n != 1 {
		t.Errorf("%d events, want one for the cookie under the new secret", n)
	}
	st.visit(cookie, func(s *core.Session) { _ = s.Renew() })
	if n := st.events.count(core.EventReissued); n != 1 {
		t.Errorf("%d cookies sent again, want no other: the session has a new id, and that cookie is another", n)
	}
	st.visit(a.cookie, func(*core.Session) {})
	if n := st.events.count(core.EventOldSecret); n != 2 {
		t.Errorf("%d events after the cookie was signed anew, want no more", n)
	}
}
