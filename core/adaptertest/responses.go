package adaptertest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A kind is a way to answer a request. Each has to bring the cookie of a session
// that the handler made, and has to give way to the error page where that
// session cannot be stored.
type kind struct {
	name   string
	method string // GET if empty
	header [2]string
	answer func(s *scene) Handler
	check  func(r *reply)
	noise  bool // Echo does not know that Flush sends the headers, and has the server complain
}

func simple(h Handler) func(*scene) Handler { return func(*scene) Handler { return h } }

// through is an answer by a handler of net/http.
func through(make func(s *scene) http.Handler) func(*scene) Handler {
	return func(s *scene) Handler {
		h := make(s)
		return func(c *Context) error {
			h.ServeHTTP(c.Writer, c.Request)
			return nil
		}
	}
}

func writes200(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, marker) }

func isBody(r *reply)  { r.s.Helper(); r.is(http.StatusOK, marker) }
func isEmpty(r *reply) { r.s.Helper(); r.is(http.StatusOK, "") }
func isStatus(n int) func(*reply) {
	return func(r *reply) { r.s.Helper(); r.status(n) }
}

var kinds = []kind{
	{name: "text", answer: simple(func(c *Context) error { return c.String(http.StatusOK, marker) }), check: isBody},
	{name: "JSON", answer: simple(func(c *Context) error { return c.JSON(http.StatusCreated, marker) }), check: func(r *reply) {
		r.is(http.StatusCreated, `"`+marker+`"`)
	}},
	{
		name: "an empty JSON 500", answer: simple(func(c *Context) error { return c.JSON(http.StatusInternalServerError, map[string]string{}) }),
		check: isStatus(http.StatusInternalServerError),
	},
	{name: "a plain Write", answer: simple(func(c *Context) error {
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), check: isBody},
	{name: "WriteString", answer: simple(func(c *Context) error {
		_, err := io.WriteString(c.Writer, marker)
		return err
	}), check: isBody},
	{name: "WriteHeader and Write", answer: simple(func(c *Context) error {
		c.Writer.WriteHeader(http.StatusAccepted)
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), check: func(r *reply) { r.is(http.StatusAccepted, marker) }},
	{name: "many writes", answer: simple(func(c *Context) error {
		for range 1000 {
			if _, err := c.Writer.Write([]byte(marker + "\n")); err != nil {
				return err
			}
		}
		return nil
	}), check: func(r *reply) { r.is(http.StatusOK, strings.TrimSpace(strings.Repeat(marker+"\n", 1000))) }},
	{name: "nothing at all", answer: simple(func(*Context) error { return nil }), check: isEmpty},
	{name: "a status without a body", answer: simple(func(c *Context) error {
		c.Writer.WriteHeader(http.StatusAccepted)
		return nil
	}), check: func(r *reply) { r.is(http.StatusAccepted, "") }},
	{name: "204 the framework's way", answer: simple(func(c *Context) error { return c.NoContent(http.StatusNoContent) }), check: isStatus(http.StatusNoContent)},
	{name: "204 by WriteHeader", answer: simple(func(c *Context) error {
		c.Writer.WriteHeader(http.StatusNoContent)
		return nil
	}), check: isStatus(http.StatusNoContent)},
	{name: "304", answer: simple(func(c *Context) error {
		c.Writer.Header().Set("ETag", `"the handler"`)
		return c.NoContent(http.StatusNotModified)
	}), check: isStatus(http.StatusNotModified)},
	{name: "a redirect the framework's way", answer: simple(func(c *Context) error { return c.Redirect(http.StatusSeeOther, "/elsewhere") }), check: func(r *reply) {
		r.status(http.StatusSeeOther).has("Location", "/elsewhere")
	}},
	{name: "a redirect by net/http", answer: simple(func(c *Context) error {
		http.Redirect(c.Writer, c.Request, "/elsewhere", http.StatusFound)
		return nil
	}), check: func(r *reply) { r.status(http.StatusFound).has("Location", "/elsewhere") }},
	{name: "a redirect after a POST", method: "POST", answer: simple(func(c *Context) error { return c.Redirect(http.StatusFound, "/elsewhere") }), check: func(r *reply) {
		r.is(http.StatusFound, "").has("Location", "/elsewhere")
	}},
	{name: "HEAD", method: "HEAD", answer: simple(func(c *Context) error { return c.String(http.StatusOK, marker) }), check: isEmpty},
	{name: "HEAD with nothing written", method: "HEAD", answer: simple(func(*Context) error { return nil }), check: isEmpty},
	{name: "OPTIONS", method: "OPTIONS", answer: simple(func(c *Context) error { return c.NoContent(http.StatusNoContent) }), check: isStatus(http.StatusNoContent)},
	{name: "a file", answer: file, check: isBody},
	{
		name: "a file that is fresh", header: [2]string{"If-Modified-Since", time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)}, answer: file,
		check: func(r *reply) { r.is(http.StatusNotModified, "") },
	},
	{name: "a part of a file", header: [2]string{"Range", "bytes=0-3"}, answer: file, check: func(r *reply) { r.is(http.StatusPartialContent, marker[:4]) }},
	{name: "a part that a file does not have", header: [2]string{"Range", "bytes=5000-6000"}, answer: file, check: isStatus(http.StatusRequestedRangeNotSatisfiable)},
	{name: "http.ServeContent", answer: simple(func(c *Context) error {
		http.ServeContent(c.Writer, c.Request, "a.txt", time.Now(), strings.NewReader(marker))
		return nil
	}), check: isBody},
	{name: "http.Error", answer: simple(func(c *Context) error {
		http.Error(c.Writer, marker, http.StatusTeapot)
		return nil
	}), check: func(r *reply) { r.is(http.StatusTeapot, marker) }},
	{name: "a failure the framework's way", answer: simple(func(c *Context) error { return c.Fail(http.StatusTeapot) }), check: isStatus(http.StatusTeapot)},
	{name: "a stream", answer: simple(func(c *Context) error {
		_, err := io.Copy(c.Writer, io.LimitReader(endless{}, 200<<10))
		return err
	}), check: func(r *reply) {
		r.status(http.StatusOK)
		if len(r.text) != 200<<10 {
			r.s.Fatalf("%d bytes came, want %d", len(r.text), 200<<10)
		}
	}},
	{name: "Flush before the first byte", answer: simple(func(c *Context) error {
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			return err
		}
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), noise: true, check: isBody},
	{name: "http.Flusher before the first byte", answer: simple(func(c *Context) error {
		c.Writer.(http.Flusher).Flush()
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), noise: true, check: isBody},
	{name: "Flush and nothing else", answer: simple(func(c *Context) error { return http.NewResponseController(c.Writer).Flush() }), check: isEmpty},
	{name: "WriteHeader and Flush", answer: simple(func(c *Context) error {
		c.Writer.WriteHeader(http.StatusAccepted)
		if err := http.NewResponseController(c.Writer).Flush(); err != nil {
			return err
		}
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), check: func(r *reply) { r.is(http.StatusAccepted, marker) }},
	{name: "http.ResponseController with deadlines", answer: simple(func(c *Context) error {
		rc := http.NewResponseController(c.Writer)
		if err := rc.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		if err := rc.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		return c.String(http.StatusOK, marker)
	}), check: isBody},
	{name: "103 by the handler", answer: simple(func(c *Context) error {
		c.Writer.Header().Set("Link", "</style.css>; rel=preload")
		c.Writer.WriteHeader(http.StatusEarlyHints)
		c.Writer.WriteHeader(http.StatusOK)
		_, err := c.Writer.Write([]byte(marker))
		return err
	}), check: isBody},
	{name: "a reverse proxy", answer: through(func(s *scene) http.Handler {
		return upstream(s, http.HandlerFunc(writes200))
	}), check: isBody},
	{name: "a reverse proxy whose upstream sends 103", answer: through(func(s *scene) http.Handler {
		return upstream(s, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		}))
	}), check: func(r *reply) {
		if r.err != nil || r.StatusCode != http.StatusCreated && r.StatusCode != http.StatusOK { // Echo takes the 103 for the answer, and the rest for its body
			r.s.Fatalf("%s: status %v %v, want 201", r.path, r.StatusCode, r.err)
		}
	}},
	{name: "a compressor inside", header: [2]string{"Accept-Encoding", "gzip"}, answer: through(func(*scene) http.Handler {
		return compressing(http.HandlerFunc(writes200))
	}), check: isCompressed},
	{name: "a compressor inside, Flush first", header: [2]string{"Accept-Encoding", "gzip"}, answer: through(func(*scene) http.Handler {
		return compressing(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush() // what is written next tells
			writes200(w, r)
		}))
	}), check: isCompressed},
	{name: "http.TimeoutHandler inside", answer: through(func(s *scene) http.Handler {
		return http.TimeoutHandler(http.HandlerFunc(writes200), s.patience, "")
	}), check: isBody},
}

func isCompressed(r *reply) {
	r.s.Helper()
	r.status(http.StatusOK).has("Content-Encoding", "gzip")
	if plain, err := gunzip(r.text); err != nil || plain != marker {
		r.s.Fatalf("%s: the body unpacks to %q (%v), want %q", r.path, plain, err, marker)
	}
}

func file(s *scene) Handler {
	name := filepath.Join(s.TempDir(), "file.txt")
	if err := os.WriteFile(name, []byte(marker), 0o600); err != nil {
		s.Fatalf("%v", err)
	}
	return func(c *Context) error { return c.File(name) }
}

func upstream(s *scene, h http.Handler) http.Handler {
	srv := httptest.NewServer(h)
	s.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	if err != nil {
		s.Fatalf("url: %v", err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(u)
		r.Out.URL.Path = "/"
	}}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = marker[i%len(marker)]
	}
	return len(p), nil
}

// What the scenarios of a kind are called, after its name.
const (
	arrives  = ": comes with the cookie"
	givesWay = ": gives way when the commit fails"
)

// route is where an answer of that kind is found. The handler adds 7 first.
func (k *kind) route(s *scene) Route {
	s.noise = s.noise || k.noise
	answer := k.answer(s)
	return at("/answer", func(c *Context) error {
		count.Update(c.Get(), func(n int) int { return n + 7 })
		c.Writer.Header().Set("X-Handler", "the handler")
		return answer(c)
	})
}

// ask asks for the answer.
func (k *kind) ask(b *browser) *reply {
	b.s.Helper()
	if k.header[0] != "" {
		b = b.with(k.header[0], k.header[1])
	}
	method := k.method
	if method == "" {
		method = "GET"
	}
	return b.do(b.s.Context(), method, "/answer")
}

// arrives checks that answers of this kind bring the cookie, where one is due,
// and that what the handler did is stored.
func (k *kind) arrives(s *scene) {
	s.Helper()
	b := s.browser()
	r := k.ask(b)
	k.check(r)
	r.sets()
	b.get("/read").is(http.StatusOK, "7")
	k.check(k.ask(b).silent())
	b.get("/read").is(http.StatusOK, "14")
	if n := s.live(1); n != 1 {
		s.Fatalf("%d sessions are stored, want 1", n)
	}
}

// givesWay checks that nothing of such an answer leaves when the session cannot
// be stored: a new one, and one that exists.
func (k *kind) givesWay(s *scene) {
	s.Helper()
	b := s.browser()
	s.store.fail(writes...)
	k.ask(b).fails(http.StatusServiceUnavailable)
	if n := s.live(0); n != 0 {
		s.Fatalf("%d sessions are stored, want none", n)
	}
	s.store.heal()
	b.get("/count").is(http.StatusOK, "1").sets()
	s.store.fail(writes...)
	k.ask(b).fails(http.StatusServiceUnavailable)
	s.store.heal()
	b.get("/count").is(http.StatusOK, "2").silent()
}

// responses are two scenarios for each kind of answer, and all kinds in less
// ordinary surroundings.
func responses() []scenario {
	var all []scenario
	for i := range kinds {
		k := &kinds[i]
		all = append(all,
			scenario{k.name + arrives, func(s *scene) {
				s.serve(k.route(s))
				k.arrives(s)
			}},
			scenario{k.name + givesWay, func(s *scene) {
				s.serve(k.route(s))
				k.givesWay(s)
			}},
		)
	}
	return all
}
