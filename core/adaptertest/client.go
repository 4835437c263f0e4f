package adaptertest

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
)

// A browser is a client with a jar for its cookies.
type browser struct {
	s      *scene
	base   string
	client *http.Client
	header http.Header
}

// browser returns a new visitor.
func (s *scene) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.Fatalf("cookiejar: %v", err)
	}
	b := s.sending("")
	b.client.Jar = jar
	return b
}

// sending returns a client that sends this Cookie header whatever it is told.
func (s *scene) sending(cookies string) *browser {
	b := &browser{s: s, base: s.url, header: make(http.Header), client: &http.Client{
		Transport:     &watch{s: s},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       s.patience,
	}}
	if cookies != "" {
		b.header.Set("Cookie", cookies)
	}
	return b
}

// on returns the same visitor at another server.
func (b *browser) on(base string) *browser {
	other := *b
	other.base = base
	return &other
}

// with returns the same visitor with one more header.
func (b *browser) with(name, value string) *browser {
	other := *b
	other.header = b.header.Clone()
	other.header.Set(name, value)
	return &other
}

// cookies returns what the jar would send, as a Cookie header.
func (b *browser) cookies() string { return b.cookiesFor("/") }

func (b *browser) cookiesFor(path string) string {
	u, err := url.Parse(b.base + path)
	if err != nil {
		b.s.Fatalf("url: %v", err)
	}
	var pairs []string
	for _, c := range b.client.Jar.Cookies(u) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

func (b *browser) get(path string) *reply { b.s.Helper(); return b.do(b.s.Context(), "GET", path) }

// open sends a request and returns as soon as the headers are there.
func (b *browser) open(ctx context.Context, method, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, b.base+path, nil)
	if err != nil {
		return nil, err
	}
	for name, values := range b.header {
		req.Header[name] = values
	}
	return b.client.Do(req)
}

func (b *browser) do(ctx context.Context, method, path string) *reply {
	r := &reply{s: b.s, path: path}
	res, err := b.open(ctx, method, path)
	if err != nil {
		r.err = err
		return r
	}
	defer res.Body.Close()
	r.Response = res
	body, err := io.ReadAll(res.Body)
	r.text, r.err = string(body), err
	return r
}

// start sends a request beside the scenario.
func (b *browser) start(path string) <-chan *reply {
	got := make(chan *reply, 1)
	ctx := b.s.Context()
	go func() { got <- b.do(ctx, "GET", path) }()
	return got
}

// A watch looks at everything that the server sends.
type watch struct{ s *scene }

func (w *watch) RoundTrip(req *http.Request) (*http.Response, error) {
	if w.s.header {
		req = asBearer(req)
	}
	res, err := w.s.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if w.s.header {
		w.s.asCookie(res.Header)
	}
	w.s.inspect(res.Header, req.URL.Scheme == "https" || req.Header.Get("X-Forwarded-Proto") != "")
	res.Body = &tee{res.Body, &w.s.bodies}
	return res, nil
}

type tee struct {
	io.ReadCloser
	to io.Writer
}

func (t *tee) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	_, _ = t.to.Write(p[:n]) // into memory
	return n, err
}

// inspect checks the cookies of a response.
func (s *scene) inspect(h http.Header, secure bool) {
	names := make(map[string]bool)
	for _, line := range h["Set-Cookie"] {
		if err := checkSetCookie(line, secure); err != nil {
			s.Errorf("Set-Cookie: %v", err)
		}
		name, _, _ := strings.Cut(line, "=")
		if names[name] {
			s.Errorf("a response sets the cookie %s twice", name)
		}
		names[name] = true
	}
}

// A reply is a response, or the error in place of one.
type reply struct {
	*http.Response
	s    *scene
	path string
	text string // the body
	err  error
}

// is checks status and body.
func (r *reply) is(status int, text string) *reply {
	r.s.Helper()
	r.status(status)
	if got := strings.TrimSpace(r.text); got != text {
		r.s.Fatalf("%s: body %q, want %q", r.path, brief(got), brief(text))
	}
	return r
}

func (r *reply) status(want int) *reply {
	r.s.Helper()
	if r.err != nil {
		r.s.Fatalf("%s: %v", r.path, r.err)
	}
	if r.StatusCode != want {
		r.s.Fatalf("%s: status %d, want %d; body %q", r.path, r.StatusCode, want, brief(r.text))
	}
	return r
}

// cookie returns our Set-Cookie, or nil.
func (r *reply) cookie() *http.Cookie { return r.cookieNamed("sid") }

func (r *reply) cookieNamed(name string) *http.Cookie {
	r.s.Helper()
	if r.err != nil {
		r.s.Fatalf("%s: %v", r.path, r.err)
	}
	for _, c := range r.Cookies() {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// sets checks that the response sets our cookie and returns its value.
func (r *reply) sets() string {
	r.s.Helper()
	c := r.cookie()
	if c == nil || c.Value == "" {
		r.s.Fatalf("%s: the response sets no cookie", r.path)
	}
	return c.Value
}

// deletes checks that the response deletes our cookie.
func (r *reply) deletes() *reply {
	r.s.Helper()
	if c := r.cookie(); c == nil || c.Value != "" || c.MaxAge >= 0 {
		r.s.Fatalf("%s: the response does not delete the cookie", r.path)
	}
	return r
}

// silent checks that the response has no cookie of ours, set or deleted. One that holds
// the session is set with each change.
func (r *reply) silent() *reply {
	r.s.Helper()
	if c := r.cookie(); c != nil && (!r.s.fw.sealed || c.Value == "") {
		r.s.Fatalf("%s: the response sets or deletes the cookie, want neither", r.path)
	}
	return r
}

// has checks a header, which is expected once.
func (r *reply) has(name, want string) *reply {
	r.s.Helper()
	if r.err != nil {
		r.s.Fatalf("%s: %v", r.path, r.err)
	}
	if got := r.Header.Values(name); len(got) != 1 || got[0] != want {
		r.s.Fatalf("%s: %s is %q, want %q", r.path, name, got, want)
	}
	return r
}

// lacks checks that headers are not there.
func (r *reply) lacks(names ...string) *reply {
	r.s.Helper()
	if r.err != nil {
		r.s.Fatalf("%s: %v", r.path, r.err)
	}
	for _, name := range names {
		if got := r.Header.Values(name); len(got) > 0 {
			r.s.Fatalf("%s: %s is %q, want none", r.path, name, got)
		}
	}
	return r
}

// fails checks that the answer is the error page, whole, and that nothing of
// the handler's is in it.
func (r *reply) fails(status int) *reply {
	r.s.Helper()
	r.status(status)
	r.has("Cache-Control", "no-store")
	r.lacks("Set-Cookie", "X-Handler", "Etag", "Location", "Content-Encoding", "Last-Modified", "Accept-Ranges", "Content-Range")
	return r.withoutMarker()
}

func (r *reply) withoutMarker() *reply {
	r.s.Helper()
	if strings.Contains(r.text, marker) || strings.Contains(r.text, "the handler") {
		r.s.Fatalf("%s: the handler's body leaks: %q", r.path, brief(r.text))
	}
	return r
}
