package adaptertest

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// unknownID is an id that nobody was ever given; i makes several.
func unknownID(i int) string { return fmt.Sprintf("an-id-that-was-never-issued-%04d", i) }

// attributesOf returns what follows the value in the only Set-Cookie.
func attributesOf(r *reply) string {
	r.s.Helper()
	lines := r.Header.Values("Set-Cookie")
	if len(lines) != 1 {
		r.s.Fatalf("%s: %d cookies are set, want one", r.path, len(lines))
	}
	_, attributes, _ := strings.Cut(lines[0], "; ")
	return attributes
}

// strict is a cookie with every attribute there is.
func (s *scene) strict() {
	s.tls = true
	s.cfg.Cookie = core.Cookie{
		Path: "/app", Domain: "example.com", Secure: core.SecureAlways, Partitioned: true,
		SameSite: http.SameSiteNoneMode, Priority: core.PriorityHigh,
	}
}

// below starts an app whose routes are below a prefix.
func (s *scene) below(prefix string, routes ...Route) {
	s.Helper()
	s.m = s.manager()
	s.start(App{
		Use:    []Middleware{{Recover: true}, {Session: s.m}},
		Groups: []Group{{Prefix: prefix, Routes: append(routes, usual()...)}},
	})
}

var cookies = []scenario{
	// Standards: ASVS-7.2.1, WSTG-SESS-01
	{"a changed character in the cookie makes a new visitor", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		good := b.cookies()
		for _, i := range []int{len("sid=") + 5, len(good) / 2, len(good) - 10} {
			c := byte('A')
			if good[i] == c {
				c = 'B'
			}
			r := s.sending(good[:i]+string(c)+good[i+1:]).get("/count").is(http.StatusOK, "1")
			if value := r.sets(); "sid="+value == good {
				s.Fatalf("the new visitor was given the old cookie")
			}
		}
		s.sending(good).get("/me").is(http.StatusOK, "user=ann")
	}},
	// Standards: ASVS-9.1.1, ASVS-11.2.5
	{"a forged cookie never reaches the store", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/count")
		good := b.cookies()
		s.store.forget()
		for _, forged := range []string{
			"sid=", "sid=x", "sid=s", "sid=s:", "sid=s%3A", "sid=s%3A.", "sid=%", "sid=%zz", "sid=%ff%fe", `sid="`, `sid=""`,
			sign("another secret of at least 32 bytes", unknownID(0)),
			good[:len(good)-1], good + "x", strings.Replace(good, "s%3A", "", 1), strings.Replace(good, "s%3A", "j%3A", 1),
			strings.ToLower(good), strings.ToUpper(good), "SID" + good[3:], "sid=" + strings.Repeat("a", 100<<10),
		} {
			if forged != good { // which has other parts where it is sealed
				s.sending(forged).get("/read").is(http.StatusOK, "0").silent()
			}
		}
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
	}},
	// Standards: ASVS-7.2.2, WSTG-SESS-03
	{"an unknown id with a good signature is not adopted", func(s *scene) {
		s.serve()
		planted := sign(secret, unknownID(1))
		s.sending(planted).get("/read").is(http.StatusOK, "0").silent()
		r := s.sending(planted).get("/count").is(http.StatusOK, "1")
		if value := r.sets(); "sid="+value == planted || strings.Contains(value, unknownID(1)) {
			s.Fatalf("the visitor's id was adopted")
		}
		s.sending(planted).get("/count").is(http.StatusOK, "1").sets()
		s.sending(planted).get("/login?user=ann").sets()
		s.sending(planted).get("/me").is(http.StatusOK, "user=")
	}},
	// Standards: ASVS-7.2.2
	{"the id of an ended session is not used again", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		old := b.cookies()
		b.get("/logout")
		if value := s.sending(old).get("/count").is(http.StatusOK, "1").sets(); "sid="+value == old {
			s.Fatalf("the old id came back")
		}
	}},
	{"a dead cookie with a good signature does not hide a live one", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		live := b.cookies()
		s.sending(sign(secret, unknownID(1))+"; "+live).get("/me").is(http.StatusOK, "user=ann").silent()
		s.sending(sign(secret, unknownID(1))+"; "+sign(secret, unknownID(2))+"; "+live).get("/me").is(http.StatusOK, "user=ann")
		s.sending(live+"; "+sign(secret, unknownID(1))).get("/me").is(http.StatusOK, "user=ann")
	}},
	{"a forged cookie does not hide a live one", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		live := b.cookies()
		s.sending("sid=nonsense; sid=; "+live).get("/me").is(http.StatusOK, "user=ann").silent()
		s.sending(strings.Repeat("sid=nonsense; ", 7)+live).get("/me").is(http.StatusOK, "user=ann")
	}},
	// Standards: WSTG-SESS-03
	{"as many forged cookies as a browser keeps do not hide a live one", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		live := b.cookies()
		for _, forged := range []string{
			strings.Repeat("sid=nonsense; ", 5_000),
			strings.Repeat(sign("another secret of at least 32 bytes", unknownID(0))+"; ", 200),
			strings.Repeat(live+"A; ", 200),
		} {
			s.store.forget()
			s.sending(forged+live).get("/me").is(http.StatusOK, "user=ann").silent()
			if n := s.store.count("load"); n != 1 {
				s.Fatalf("the store was asked %d times, want once", n)
			}
			s.sending(forged + live).get("/logout")
			b = s.browser()
			b.get("/login?user=ann")
			live = b.cookies()
		}
	}},
	{"cookies with a similar name are not ours", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		live := b.cookies()
		s.sending("x"+live).get("/me").is(http.StatusOK, "user=")
		s.sending("sid2"+live[3:]).get("/me").is(http.StatusOK, "user=")
		s.sending("a=1; "+live+"; b=2").get("/me").is(http.StatusOK, "user=ann")
	}},
	// Standards: ASVS-15.2.2
	{"ten thousand cookies cost at most three lookups", func(s *scene) {
		s.serve()
		var many strings.Builder
		for i := range 10_000 {
			many.WriteString(sign(secret, unknownID(i)) + "; ")
		}
		start := time.Now()
		s.sending(many.String()).get("/read").is(http.StatusOK, "0").silent()
		if n := s.store.count("load"); n > 3 {
			s.Fatalf("the store was asked %d times, want at most 3", n)
		}
		if took := time.Since(start); took > s.patience/2 {
			s.Fatalf("that took %v", took)
		}
	}},
	{"ten thousand forged cookies cost no lookup", func(s *scene) {
		s.serve()
		s.sending(strings.Repeat("sid=nonsense; ", 10_000)).get("/read").is(http.StatusOK, "0").silent()
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
	}},
	// Standards: ASVS-11.2.2
	{"the secret is rotated: an old cookie is good, and is issued anew under the first secret", func(s *scene) {
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		old := b.cookies()
		if err := s.m.SetSecrets([]string{newSecret, secret}); err != nil {
			s.Fatalf("SetSecrets: %v", err)
		}
		b.get("/me").is(http.StatusOK, "user=ann").sets()
		b.get("/me").is(http.StatusOK, "user=ann").silent()
		if b.cookies() == old {
			s.Fatalf("the cookie is the same as before")
		}
		s.sending(old).get("/me").is(http.StatusOK, "user=ann")
		if err := s.m.SetSecrets([]string{newSecret}); err != nil {
			s.Fatalf("SetSecrets: %v", err)
		}
		b.get("/me").is(http.StatusOK, "user=ann").silent()
		s.sending(old).get("/me").is(http.StatusOK, "user=")
	}},
	{"two servers whose secrets are in different order share their sessions", func(s *scene) {
		s.cfg.Secrets = []string{secret, newSecret}
		s.serve()
		b := s.browser()
		s.cfg.Secrets = []string{newSecret, secret}
		s.serve()
		other := b.on(s.url)
		for i := range 3 {
			b.get("/count").is(http.StatusOK, fmt.Sprint(2*i+1))
			other.get("/count").is(http.StatusOK, fmt.Sprint(2*i+2))
		}
		if n := s.live(1); n != 1 {
			s.Fatalf("%d sessions are stored, want 1", n)
		}
	}},
	// Standards: ASVS-14.3.1
	{"every attribute of the cookie, and its deletion with the same ones", func(s *scene) {
		s.strict()
		s.below("/app")
		b := s.browser()
		set := attributesOf(b.get("/app/login?user=ann").is(http.StatusOK, "hello"))
		if want := "Domain=example.com; Path=/app; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"; set != want {
			s.Fatalf("the attributes are %q, want %q", set, want)
		}
		b.get("/app/me").is(http.StatusOK, "user=ann")
		deleted := attributesOf(b.get("/app/logout").deletes())
		if want := strings.Replace(set, "Path=/app", "Path=/app; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", 1); deleted != want {
			s.Fatalf("the attributes of the deletion are %q, want %q", deleted, want)
		}
		if left := b.cookiesFor("/app/x"); left != "" {
			s.Fatalf("the browser still has a cookie")
		}
	}},
	// Standards: ASVS-14.3.1
	{"the deletion has the same attributes on error pages", func(s *scene) {
		s.strict()
		leave := func(c *Context) {
			if err := c.Get().Destroy(c.Request.Context()); err != nil {
				s.Errorf("Destroy: %v", err)
			}
		}
		s.below("/app", at("/boom", func(c *Context) error {
			leave(c)
			panic(errBoom)
		}), at("/fail", func(c *Context) error {
			leave(c)
			return c.Fail(http.StatusInternalServerError)
		}))
		want := "Domain=example.com; Path=/app; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Secure; Partitioned; Priority=High; SameSite=None"
		for _, path := range []string{"/app/boom", "/app/fail"} {
			b := s.browser()
			b.get("/app/login?user=ann")
			if got := attributesOf(b.get(path).status(http.StatusInternalServerError).deletes()); got != want {
				s.Fatalf("%s: the attributes of the deletion are %q, want %q", path, got, want)
			}
			if left := b.cookiesFor("/app/x"); left != "" {
				s.Fatalf("the browser still has a cookie")
			}
		}
	}},
	// Standards: ASVS-3.3.1, ASVS-3.3.3, NIST-5.1.1-secure
	{"a __Host- cookie", func(s *scene) {
		s.tls = true
		s.cfg.Cookie.Name = "__Host-sid"
		s.cfg.Cookie.Secure = core.SecureAlways
		s.serve()
		b := s.browser()
		b.get("/count").is(http.StatusOK, "1")
		b.get("/count").is(http.StatusOK, "2")
		if c := b.get("/logout").cookieNamed("__Host-sid"); c == nil || c.MaxAge >= 0 || b.cookies() != "" {
			s.Fatalf("logout does not delete the cookie")
		}
	}},
	// Standards: ASVS-3.3.3
	{"names that browsers or parsers may take for a __Host- cookie's are others", func(s *scene) {
		s.tls = true
		s.cfg.Cookie.Name = "__Host-sid"
		s.cfg.Cookie.Secure = core.SecureAlways
		s.serve()
		b := s.browser()
		b.get("/login?user=ann")
		live := b.cookies()
		value := strings.TrimPrefix(live, "__Host-sid")
		s.store.forget()
		for _, header := range []string{
			"%5f%5fHost-sid" + value, "__%48ost-sid" + value, "__host-sid" + value, "__HOST-SID" + value, "=__Host-sid" + value, "__Host-" + value,
			"sid" + value, "__Secure-sid" + value, "a=b, __Host-sid" + value, "a=\"x; __Host-sid\"" + value, "__Host-sid.1" + value, "__Host_sid" + value,
		} {
			s.sending(header).get("/me").is(http.StatusOK, "user=").silent()
		}
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		s.sending("=__Host-sid=x; %5f%5fHost-sid=x; __host-sid=x; "+live).get("/me").is(http.StatusOK, "user=ann")
	}},
	// Standards: ASVS-3.3.1, NIST-5.1-channel, WSTG-SESS-09
	{"SecureAlways over plain HTTP: an error, and nothing is stored", func(s *scene) {
		s.cfg.Cookie.Secure = core.SecureAlways
		s.serve()
		s.browser().get("/count").fails(http.StatusInternalServerError)
		s.browser().get("/read").is(http.StatusOK, "0").silent()
		if n := s.live(0); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
		s.logged("TrustedProxies")
	}},
	{"a trusted proxy that ends TLS makes the cookie Secure", func(s *scene) {
		s.cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
		s.serve()
		r := s.browser().with("X-Forwarded-Proto", "http, https").get("/count")
		r.sets()
		if !r.cookie().Secure {
			s.Fatalf("the cookie is not Secure")
		}
		r = s.browser().with("X-Forwarded-Proto", "https, http").get("/count")
		r.sets()
		if r.cookie().Secure {
			s.Fatalf("the cookie is Secure because the client says so")
		}
	}},
	// Standards: ASVS-15.3.4
	{"a peer that nobody trusts does not make the cookie Secure", func(s *scene) {
		s.serve()
		r := s.browser().with("X-Forwarded-Proto", "https").with("X-Forwarded-Ssl", "on").with("X-Url-Scheme", "https").get("/count")
		r.sets()
		if r.cookie().Secure {
			s.Fatalf("the cookie is Secure because the client says so")
		}
		s.logged("TrustedProxies")
	}},
}
