package adaptertest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// byHeader is in front of the names of scenarios that are run a second time, for a client
// without cookies.
const byHeader = "by header: "

// onlyCookies are the scenarios that say nothing of such a client, with the reason.
var onlyCookies = map[string]string{
	"a first visit sets one cookie, and the counter counts":           "is about the attributes of a cookie",
	"HTTP/2 and TLS: the cookie is Secure":                            "likewise",
	"SetMaxAge makes the cookie outlive the browser":                  "a token has no max age in the client",
	"with Cookie.MaxAge the cookie is sent again after a tenth of it": "likewise",
	"Rolling sends the cookie with each response of a session":        "likewise",
	"the status of the session is known":                              "has a cookie that is not of our form, which as a token is somebody else's",
	"requests in a batch each have an answer of their own":            "its handler hands the cookie of the request on",
}

// carriedByHeader returns the same scenarios for a client without cookies.
func carriedByHeader(groups ...[]scenario) (all []scenario) {
	for _, sc := range slices.Concat(groups...) {
		if _, ok := onlyCookies[sc.name]; ok {
			continue
		}
		all = append(all, scenario{byHeader + sc.name, func(s *scene) {
			s.header = true
			s.cfg.Header = &core.Header{}
			sc.play(s)
		}})
	}
	return all
}

// asBearer returns the request of a client that has in a header what a browser has in a
// cookie, and says so also where it has nothing.
func asBearer(req *http.Request) *http.Request {
	req = req.Clone(req.Context())
	var others []string
	for pair := range strings.SplitSeq(req.Header.Get("Cookie"), ";") {
		pair = strings.TrimSpace(pair)
		if token, ok := strings.CutPrefix(pair, "sid="); ok {
			req.Header.Add("Authorization", "Bearer "+token)
		} else if pair != "" {
			others = append(others, pair)
		}
	}
	if req.Header.Get("Authorization") == "" {
		req.Header.Set("Authorization", "Bearer")
	}
	req.Header.Del("Cookie")
	if len(others) > 0 {
		req.Header.Set("Cookie", strings.Join(others, "; "))
	}
	return req
}

// asCookie puts the token that a response brings where scenarios look for it, once it is
// seen to come as it should.
func (s *scene) asCookie(h http.Header) {
	for _, line := range h["Set-Cookie"] {
		if strings.HasPrefix(line, "sid=") {
			s.Errorf("a response to a request with the header sets or deletes the cookie")
		}
	}
	tokens, exposed := h["Session-Token"], strings.Contains(h.Get("Access-Control-Expose-Headers"), "Session-Token")
	if len(tokens) > 1 || (len(tokens) == 1) != exposed {
		s.Errorf("a response has %d tokens, and exposes them: %v", len(tokens), exposed)
	}
	if len(tokens) == 1 {
		line := "sid=" + tokens[0] + "; Path=/; HttpOnly; SameSite=Lax"
		if tokens[0] == "" {
			line += "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0"
		}
		h.Add("Set-Cookie", line)
		h.Del("Session-Token")
		h.Del("Access-Control-Expose-Headers")
	}
	for i, line := range h["Vary"] {
		h["Vary"][i] = strings.Replace(line, "Authorization", "Cookie", 1)
	}
}

// bearer returns a client that sends this token whatever it is told.
func (s *scene) bearer(token string) *browser {
	return s.sending("").with("Authorization", strings.TrimSpace("Bearer "+token))
}

// gives checks that the response has a token and nothing of a cookie, and returns it.
func (r *reply) gives() string {
	r.s.Helper()
	tokens := r.lacks("Set-Cookie").Header["Session-Token"]
	if len(tokens) != 1 || tokens[0] == "" {
		r.s.Fatalf("%s: the response has no token", r.path)
	}
	return tokens[0]
}

// gaveNothing checks that the response says nothing of a token or a cookie.
func (r *reply) gaveNothing() *reply {
	r.s.Helper()
	return r.lacks("Set-Cookie", "Session-Token", "Access-Control-Expose-Headers")
}

// carriers are what there is to say of tokens in headers alone.
var carriers = []scenario{
	{"a token comes with the first change and with each new id, and with nothing else", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		anonymous := s.bearer("")
		anonymous.get("/read").is(http.StatusOK, "0").gaveNothing().has("Vary", "Authorization")
		anonymous.get("/static").is(http.StatusOK, "static").gaveNothing().lacks("Vary")
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times for nobody", n)
		}
		r := anonymous.get("/count").is(http.StatusOK, "1").has("Access-Control-Expose-Headers", "Session-Token").has("Cache-Control", "no-store")
		first := r.gives()
		s.bearer(first).get("/count").is(http.StatusOK, "2").gaveNothing()
		s.bearer(first).get("/read").is(http.StatusOK, "2").gaveNothing().has("Vary", "Authorization")
		second := s.bearer(first).get("/login?user=ann").is(http.StatusOK, "hello").gives()
		if second == first {
			s.Fatalf("the token is the same after login")
		}
		s.bearer(second).get("/me").is(http.StatusOK, "user=ann").gaveNothing()
		s.bearer(first).get("/me").is(http.StatusOK, "user=").gaveNothing()
	}},
	// Standards: ASVS-7.4.1
	{"a logout answers with an empty token, and the token is worthless", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		token := s.bearer("").get("/login?user=ann").gives()
		s.bearer(token).get("/logout").is(http.StatusOK, "bye").has("Session-Token", "").lacks("Set-Cookie")
		s.bearer(token).get("/me").is(http.StatusOK, "user=").gaveNothing()
		s.bearer(token).get("/logout").is(http.StatusOK, "bye").has("Session-Token", "")
		s.bearer("").get("/logout").is(http.StatusOK, "bye").gaveNothing()
		if n := s.store.live(); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"the token is what the cookie holds, and serves either way", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		b := s.browser()
		value := b.get("/login?user=ann").lacks("Session-Token").sets()
		s.bearer(value).get("/me").is(http.StatusOK, "user=ann").gaveNothing()
		renewed := s.bearer(value).get("/login?user=ann").gives()
		b.get("/me").is(http.StatusOK, "user=").silent()
		s.sending("sid="+renewed).get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	// Standards: ASVS-3.5.1
	{"a request with a token has no cookie looked at, nor set", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		b := s.browser()
		b.get("/login?user=ann").sets()
		token := s.bearer("").get("/login?user=bob").gives()
		b.with("Authorization", "Bearer "+token).get("/me").is(http.StatusOK, "user=bob").gaveNothing()
		b.with("Authorization", "Bearer "+token[:len(token)-4]).get("/me").is(http.StatusOK, "user=").gaveNothing()
		b.with("Authorization", "Bearer "+token).get("/logout").has("Session-Token", "").lacks("Set-Cookie")
		b.get("/me").is(http.StatusOK, "user=ann").silent()
	}},
	// Standards: ASVS-7.2.2, ASVS-9.1.1
	{"a bad token of our form makes a new visitor, who is told another", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		token := s.bearer("").get("/login?user=ann").gives()
		unknown := strings.TrimPrefix(sign(secret, unknownID(1)), "sid=")
		for _, bad := range []string{token + "x", token[:len(token)-1], "s:", "s%3a", "s:" + token, unknown, strings.TrimPrefix(sign("another secret of at least 32 bytes", unknownID(0)), "sid=")} {
			s.bearer(bad).get("/me").is(http.StatusOK, "user=").gaveNothing()
			if next := s.bearer(bad).get("/count").is(http.StatusOK, "1").gives(); next == bad || next == token {
				s.Fatalf("a bad token is used again")
			}
		}
		s.bearer(token).get("/me").is(http.StatusOK, "user=ann")
	}},
	{"somebody else's credentials are no session, and keep no cookie from its work", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		b := s.browser()
		b.get("/login?user=ann").sets()
		s.store.forget()
		for _, foreign := range []string{
			"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4ifQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
			"Basic YW5uOnNlY3JldA==", "Digest username=\"ann\"", "bearer-of-news", "Bearer\tx", strings.Repeat("Bearer x, ", 5_000),
			"Bearer " + strings.Repeat("a", 100<<10),
		} {
			s.sending("").with("Authorization", foreign).get("/read").is(http.StatusOK, "0").gaveNothing()
		}
		if n := s.store.count(); n != 0 {
			s.Fatalf("the store was called %d times", n)
		}
		r := b.with("Authorization", "Bearer eyJhbGciOiJub25lIn0.e30.").get("/me").is(http.StatusOK, "user=ann").gaveNothing()
		if got := strings.Join(r.Header.Values("Vary"), ", "); got != "Cookie, Authorization" {
			s.Fatalf("Vary is %q", got)
		}
		s.sending("").with("Authorization", "Basic YW5uOnNlY3JldA==").get("/count").is(http.StatusOK, "1").sets()
	}},
	{"the scheme is Bearer in any letters, with any spaces", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		token := s.bearer("").get("/login?user=ann").gives()
		for _, scheme := range []string{"bearer ", "BEARER ", "Bearer   ", "Bearer \t"} {
			s.sending("").with("Authorization", scheme+token).get("/me").is(http.StatusOK, "user=ann").gaveNothing()
		}
		s.sending("").with("Authorization", token).get("/me").is(http.StatusOK, "user=").gaveNothing()
	}},
	{"of several lines of the header a dead one does not hide a live one, and a logout ends all", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		ann, bob := s.bearer("").get("/login?user=ann").gives(), s.bearer("").get("/login?user=bob").gives()
		s.bearer(ann).get("/logout")
		several := s.sending("")
		several.header["Authorization"] = []string{"Basic eDp5", "Bearer " + ann, "Bearer " + bob}
		several.get("/me").is(http.StatusOK, "user=bob").gaveNothing()
		several.get("/logout").has("Session-Token", "")
		s.bearer(bob).get("/me").is(http.StatusOK, "user=")
	}},
	{"a header of a name of its own goes both ways", func(s *scene) {
		s.cfg.Header = &core.Header{Request: "x-auth-token"}
		s.serve()
		send := func(token string) *browser {
			b := s.sending("")
			b.header["X-Auth-Token"] = []string{token}
			return b
		}
		r := send("").get("/login?user=ann").has("Access-Control-Expose-Headers", "X-Auth-Token").lacks("Set-Cookie", "Session-Token")
		token := r.Header.Get("X-Auth-Token")
		send(token).get("/me").is(http.StatusOK, "user=ann").has("Vary", "X-Auth-Token").lacks("X-Auth-Token")
		s.bearer(token).get("/me").is(http.StatusOK, "user=")
		send(token).get("/logout").has("X-Auth-Token", "")
	}},
	{"Header.Only: neither is a cookie looked at, nor set", func(s *scene) {
		s.cfg.Header = &core.Header{Only: func(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/me") || r.URL.Path == "/login" }}
		s.serve()
		b := s.browser()
		b.get("/count").sets()
		token := b.get("/login?user=ann").is(http.StatusOK, "hello").gives()
		b.get("/me").is(http.StatusOK, "user=").gaveNothing().has("Vary", "Authorization")
		b.get("/count").is(http.StatusOK, "2").silent()
		s.bearer(token).get("/me").is(http.StatusOK, "user=ann")
		s.sending("").with("Authorization", "Bearer e30").get("/login?user=ann").gives()
		s.sending("sid="+token).get("/me").is(http.StatusOK, "user=")
	}},
	{"the token is added to what may be read by other origins already", func(s *scene) {
		for _, list := range []struct{ said, exposed string }{
			{"X-Total", "X-Total, Session-Token"}, {"*", "*, Session-Token"}, {"X-Total, session-token", "X-Total, session-token"},
		} {
			s.cfg.Header = &core.Header{}
			s.around = outside("Access-Control-Expose-Headers", list.said)
			s.serve()
			r := s.bearer("").get("/count")
			r.gives()
			if got := strings.Join(r.Header.Values("Access-Control-Expose-Headers"), ", "); got != list.exposed {
				s.Fatalf("exposed are %q, want %q", got, list.exposed)
			}
			s.bearer("").get("/read").has("Access-Control-Expose-Headers", list.said)
		}
	}},
	{"a response with a token is not cached, unless the handler says that its own client may", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve(answering("Cache-Control", "public, max-age=60"))
		r := s.bearer("").get("/answer").has("Cache-Control", "private, max-age=60")
		s.bearer(r.gives()).get("/read").lacks("Cache-Control")
	}},
	{"a token under a secret that is not the first is given anew", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		old := s.bearer("").get("/login?user=ann").gives()
		if err := s.m.SetSecrets([]string{newSecret, secret}); err != nil {
			s.Fatalf("SetSecrets: %v", err)
		}
		next := s.bearer(old).get("/me").is(http.StatusOK, "user=ann").gives()
		s.bearer(next).get("/me").is(http.StatusOK, "user=ann").gaveNothing()
		if err := s.m.SetSecrets([]string{newSecret}); err != nil {
			s.Fatalf("SetSecrets: %v", err)
		}
		s.bearer(next).get("/me").is(http.StatusOK, "user=ann")
		s.bearer(old).get("/me").is(http.StatusOK, "user=")
	}},
	{"nothing sends a token again: not Rolling, not a max age", func(s *scene) {
		var passed atomic.Int64
		s.cfg.Now = func() time.Time { return time.Now().Add(time.Duration(passed.Load())) }
		s.cfg.Header, s.cfg.Rolling, s.cfg.Cookie.MaxAge = &core.Header{}, true, time.Hour
		s.serve()
		token := s.bearer("").get("/login?user=ann").gives()
		for range 3 {
			passed.Add(int64(40 * time.Minute))
			s.bearer(token).get("/me").is(http.StatusOK, "user=ann").gaveNothing()
			s.bearer(token).get("/count").status(http.StatusOK).gaveNothing()
		}
	}},
	{"SecureAlways over plain HTTP: no token is sent, and nothing is stored", func(s *scene) {
		s.cfg.Header, s.cfg.Cookie.Secure = &core.Header{}, core.SecureAlways
		s.serve()
		s.bearer("").get("/count").status(http.StatusInternalServerError).gaveNothing()
		if n := s.store.live(); n != 0 {
			s.Fatalf("%d sessions are stored, want none", n)
		}
	}},
	{"another site that leads a client here withholds nothing from it", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve()
		b := s.bearer("").with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate")
		b.do(s.Context(), "POST", "/count").is(http.StatusOK, "1").gives()
	}},
	{"the token of what was done at once comes with the error page of a Manager around", func(s *scene) {
		s.cfg.Header = &core.Header{}
		inner := s.manager()
		s.cfg.Cookie.Name, s.cfg.Header = "outer", nil
		s.m = s.manager()
		s.start(App{Use: []Middleware{{Session: s.m}, {Session: inner}}, Groups: []Group{{Routes: []Route{at("/both", func(c *Context) error {
			ctx := c.Request.Context()
			count.Set(inner.FromContext(ctx), 1)
			count.Set(s.m.FromContext(ctx), 1)
			s.store.on(func(_ context.Context, verb string) error {
				if verb == "create" && s.store.count("create") > 1 {
					return errDown
				}
				return nil
			})
			return c.String(http.StatusOK, marker)
		})}}}})
		r := s.bearer("").get("/both").status(http.StatusServiceUnavailable).withoutMarker()
		r.gives()
		r.has("Access-Control-Expose-Headers", "Session-Token")
	}},
	{"the session says what carries it, and how to ask for a token", func(s *scene) {
		s.cfg.Header = &core.Header{}
		s.serve(at("/how", func(c *Context) error {
			sess := c.Get()
			return c.String(http.StatusOK, sess.CarriedBy().String()+": "+sess.Challenge())
		}))
		token := s.bearer("").get("/login?user=ann").gives()
		b := s.browser()
		b.get("/how").is(http.StatusOK, "cookie: Bearer")
		s.bearer("").get("/how").is(http.StatusOK, "header: Bearer")
		s.bearer(token).get("/how").is(http.StatusOK, "header: Bearer")
		s.bearer(token+"x").get("/how").is(http.StatusOK, `header: Bearer error="invalid_token"`)
		s.bearer(token).get("/logout")
		s.bearer(token).get("/how").is(http.StatusOK, `header: Bearer error="invalid_token"`)
	}},
}
