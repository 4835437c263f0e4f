package adaptertest

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// answering is a route that changes the session and sets these headers.
func answering(headers ...string) Route {
	return at("/answer", func(c *Context) error {
		count.Update(c.Get(), func(n int) int { return n + 1 })
		for i := 0; i < len(headers); i += 2 {
			c.Writer.Header().Add(headers[i], headers[i+1])
		}
		return c.String(http.StatusOK, marker)
	})
}

// outside sets headers before the framework sees the request.
func outside(headers ...string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Add(headers[i], headers[i+1])
			}
			next.ServeHTTP(w, r)
		})
	}
}

var headers = []scenario{
	// Standards: ASVS-14.3.2
	{"a response with our cookie is private", func(s *scene) {
		s.serve(answering())
		s.browser().get("/answer").has("Cache-Control", "private, no-cache").has("Vary", "Cookie").sets()
	}},
	// Standards: ASVS-14.3.2
	{"Cache-Control: public becomes private with the cookie", func(s *scene) {
		s.serve(answering("Cache-Control", "public, max-age=60, s-maxage=600"))
		b := s.browser()
		b.get("/answer").has("Cache-Control", "private, max-age=60").sets()
		b.get("/answer").has("Cache-Control", "public, max-age=60, s-maxage=600").has("Vary", "Cookie").silent()
	}},
	{"Cache-Control: no-store stays with the cookie", func(s *scene) {
		s.serve(answering("Cache-Control", "no-store"))
		r := s.browser().get("/answer")
		r.sets()
		if got := r.Header.Get("Cache-Control"); !strings.Contains(got, "no-store") || strings.Contains(got, "public") {
			s.Fatalf("Cache-Control is %q", got)
		}
	}},
	// Standards: ASVS-14.3.2
	{"a page of a user is stored nowhere, unless the handler says otherwise", func(s *scene) {
		s.serve(append(signing(s.gate()), answering("Cache-Control", "private, max-age=60"))...)
		b := s.browser()
		if r := b.get("/who").is(http.StatusOK, "0"); r.Header.Get("Cache-Control") != "" {
			s.Fatalf("a page of nobody has Cache-Control %q", r.Header.Get("Cache-Control"))
		}
		b.get("/sign-in?user=ann").is(http.StatusOK, "hello").has("Cache-Control", "no-store").sets()
		b.get("/who").is(http.StatusOK, "ann 0").has("Cache-Control", "no-store")
		b.get("/answer").has("Cache-Control", "private, max-age=60")
		if r := b.get("/static").is(http.StatusOK, "static"); r.Header.Get("Cache-Control") != "" {
			s.Fatalf("a page without the session has Cache-Control %q", r.Header.Get("Cache-Control"))
		}
	}},
	// Standards: ASVS-14.3.1
	{"who signs in or out drops what the browser fetched ahead", func(s *scene) {
		const ahead = `"prefetchCache", "prerenderCache"`
		s.serve(signing(s.gate())...)
		b := s.browser()
		b.get("/sign-in?user=ann").has("Clear-Site-Data", ahead)
		b.get("/sign-out").is(http.StatusOK, "bye").has("Clear-Site-Data", ahead).deletes()
		if got := b.get("/sign-out").is(http.StatusOK, "bye").Header.Get("Clear-Site-Data"); got != "" {
			s.Fatalf("nobody was signed in, and Clear-Site-Data is %q", got)
		}
	}},
	{"a page that is fetched ahead takes no messages from the one that is opened", func(s *scene) {
		s.serve(
			at("/leave", func(c *Context) error { c.Get().Flash("info", "saved"); return c.String(http.StatusOK, "ok") }),
			at("/show", func(c *Context) error {
				return c.String(http.StatusOK, "["+strings.Join(c.Get().Flashes("info"), " ")+"]")
			}),
		)
		b := s.browser()
		b.get("/leave").is(http.StatusOK, "ok").sets()
		b.with("Sec-Purpose", "prefetch;prerender").get("/show").is(http.StatusOK, "[]")
		b.get("/show").is(http.StatusOK, "[saved]")
		b.get("/show").is(http.StatusOK, "[]")
	}},
	{"no new cookie replaces one that the browser withheld", func(s *scene) {
		s.serve(signing(s.gate())...)
		from := s.sending("").with("Sec-Fetch-Site", "cross-site").with("Sec-Fetch-Mode", "navigate")
		from.do(s.Context(), "POST", "/count").is(http.StatusOK, "1").silent()
		from.do(s.Context(), "POST", "/sign-in?user=ann").is(http.StatusOK, "hello").sets()
		from.get("/count").is(http.StatusOK, "1").sets()
	}},
	{"Cache-Control in several lines is one with the cookie", func(s *scene) {
		s.serve(answering("Cache-Control", "max-age=60", "Cache-Control", "public", "Cache-Control", `x="a, public"`))
		s.browser().get("/answer").has("Cache-Control", `private, max-age=60, x="a, public"`).sets()
	}},
	{"Vary: Cookie is not doubled", func(s *scene) {
		s.serve(answering("Vary", "Accept, cookie"))
		s.browser().get("/answer").has("Vary", "Accept, cookie").sets()
	}},
	{"Vary: * is left alone", func(s *scene) {
		s.serve(answering("Vary", "*"))
		s.browser().get("/answer").has("Vary", "*").sets()
	}},
	{"Vary of the handler is kept", func(s *scene) {
		s.serve(answering("Vary", "Accept"))
		r := s.browser().get("/answer")
		r.sets()
		if got := strings.Join(r.Header.Values("Vary"), ", "); got != "Accept, Cookie" {
			s.Fatalf("Vary is %q", got)
		}
	}},
	{"cookies of the app are kept", func(s *scene) {
		s.serve(answering("Set-Cookie", "theme=dark; Path=/"))
		b := s.browser()
		r := b.get("/answer")
		r.sets()
		if c := r.cookieNamed("theme"); c == nil || c.Value != "dark" {
			s.Fatalf("the app's cookie is gone")
		}
		b.get("/answer").silent()
		b.get("/read").is(http.StatusOK, "2")
	}},
	// Standards: ASVS-16.5.1
	{"the error page has no header of the handler's", func(s *scene) {
		s.around = outside("X-Frame-Options", "DENY")
		s.serve(answering("Content-Length", "22", "ETag", `"abc"`, "Cache-Control", "public, max-age=60", "Last-Modified", "Sat, 21 Nov 2026 09:00:00 GMT",
			"Content-Encoding", "br", "Content-Type", "image/png", "Set-Cookie", "theme=dark; Path=/", "X-Handler", "the handler", "Content-Disposition", "attachment"))
		s.store.fail(writes...)
		r := s.browser().get("/answer").fails(http.StatusServiceUnavailable).has("X-Frame-Options", "DENY").lacks("Content-Disposition", "Vary")
		if ct := r.Header.Get("Content-Type"); ct == "image/png" || r.text == "" || int64(len(r.text)) != r.ContentLength && r.ContentLength >= 0 {
			s.Fatalf("Content-Type is %q, Content-Length %d and the body %q", ct, r.ContentLength, r.text)
		}
	}},
	{"the error page of a redirect leads nowhere", func(s *scene) {
		s.serve(at("/answer", func(c *Context) error {
			count.Set(c.Get(), 1)
			return c.Redirect(http.StatusSeeOther, "/welcome")
		}))
		s.store.fail(writes...)
		s.browser().get("/answer").fails(http.StatusServiceUnavailable)
	}},
	{"headers that are set after the commit failed do not show", func(s *scene) {
		s.serve(at("/answer", func(c *Context) error {
			count.Set(c.Get(), 1)
			err := c.String(http.StatusOK, marker)
			c.Writer.Header().Set("X-Handler", "the handler")
			c.Writer.Header().Set("Etag", `"abc"`)
			c.Writer.Header().Set("Cache-Control", "public")
			return err
		}))
		s.store.fail(writes...)
		s.browser().get("/answer").fails(http.StatusServiceUnavailable)
	}},
	{"headers from outside are as they were on the error page", func(s *scene) {
		s.around = outside("Vary", "Origin", "Set-Cookie", "csrf=1; Path=/", "Cache-Control", "max-age=5")
		s.serve(answering("Vary", "Accept", "X-Handler", "the handler"))
		s.store.fail(writes...)
		r := s.browser().get("/answer").status(http.StatusServiceUnavailable).has("Vary", "Origin").has("Set-Cookie", "csrf=1; Path=/").lacks("X-Handler")
		r.has("Cache-Control", "no-store").withoutMarker()
	}},
	{"Config.ErrorHandler writes the error page", func(s *scene) {
		s.cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, err error) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(core.HTTPStatus(err))
			_, _ = w.Write([]byte("<h1>Back soon</h1>"))
		}
		s.serve(answering("X-Handler", "the handler"))
		b := s.browser()
		s.store.fail(writes...)
		b.get("/answer").fails(http.StatusServiceUnavailable).is(http.StatusServiceUnavailable, "<h1>Back soon</h1>").has("Content-Type", "text/html")
		s.store.heal()
		b.get("/answer").sets()
		s.store.fail("load")
		b.get("/answer").fails(http.StatusServiceUnavailable).is(http.StatusServiceUnavailable, "<h1>Back soon</h1>")
	}},
	{"Config.ErrorHandler that writes nothing but a status", func(s *scene) {
		s.cfg.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
		s.serve(answering(), at("/nothing", func(c *Context) error {
			count.Set(c.Get(), 1)
			return nil
		}))
		s.store.fail(writes...)
		s.browser().get("/answer").fails(http.StatusBadGateway)
		s.browser().get("/nothing").fails(http.StatusBadGateway)
	}},
	{"Config.ErrorHandler that writes nothing: the client gets an error all the same", func(s *scene) {
		var calls atomic.Int32
		s.cfg.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { calls.Add(1) } // as if it were there to log
		s.serve(answering(), at("/nothing", func(c *Context) error {
			count.Set(c.Get(), 1)
			return nil
		}))
		known := s.browser()
		known.get("/answer").sets()
		s.store.fail()
		s.browser().get("/answer").fails(http.StatusServiceUnavailable)
		s.browser().get("/nothing").fails(http.StatusServiceUnavailable)
		known.get("/answer").fails(http.StatusServiceUnavailable) // the load
		if n := calls.Load(); n != 3 {
			s.Fatalf("the ErrorHandler was called %d times, want once for each request", n)
		}
	}},
	{"the handler's writes get the error of the commit", func(s *scene) {
		got := make(chan error, 2)
		s.serve(at("/answer", func(c *Context) error {
			count.Set(c.Get(), 1)
			_, err := c.Writer.Write([]byte(marker))
			got <- err
			_, err = c.Writer.Write([]byte(marker))
			got <- err
			return nil
		}))
		s.store.fail(writes...)
		s.browser().get("/answer").fails(http.StatusServiceUnavailable)
		for _, what := range []string{"the first Write", "the second Write"} {
			var failure *store.Error
			if err := <-got; !errors.As(err, &failure) {
				s.Fatalf("%s got %v, want the store's error", what, err)
			}
		}
	}},
}
