package sessiontest

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Browser is a client for tests that does with bound sessions ([core.Bind]) what
// Chromium 156 was seen to do, with a key in memory in place of the device's: it registers,
// holds requests until the bound cookie is there, signs challenges, and ends a binding or
// keeps it as the server's answers say. It also keeps cookies as browsers do, with SameSite
// and the prefixes of names, and follows redirects. Make one with [NewBrowser].
//
// A request is that of a user who opens a page, unless it says otherwise: with
// Sec-Fetch-Site: cross-site it is one to which another site led, as a link or a form does,
// and with Sec-Fetch-Mode: cors one of a script.
//
// It registers when the answer is there, behind all redirects: the first page after a login
// comes unbound, as in the real browser. Several goroutines may use it.
type Browser struct {
	// Now, if not nil, replaces time.Now: the clock of the test, so that cookies end.
	Now func() time.Time

	// Plain makes it a browser that knows nothing of bound sessions.
	Plain bool

	// RSA makes its keys RSA ones, which sign by RS256, as some devices do. The default
	// is ES256.
	RSA bool

	transport http.RoundTripper

	mu       sync.Mutex // guards the rest
	cookies  []*keptCookie
	bindings []*binding
	signed   []time.Time
	history  []string

	atEndpoint sync.Mutex // held while the browser registers or refreshes, which it does once at a time
}

// NewBrowser returns a browser without cookies that sends its requests by a transport:
// [Serve] of a handler, or that of the client of an [httptest.Server] with TLS.
func NewBrowser(transport http.RoundTripper) *Browser { return &Browser{transport: transport} }

// Serve returns a transport that hands requests to a handler, without a network, and as
// if they had come by TLS where their URL says https.
func Serve(h http.Handler) http.RoundTripper { return served{h} }

type served struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (s served) RoundTrip(req *http.Request) (*http.Response, error) {
	r := req.Clone(req.Context())
	r.RequestURI, r.RemoteAddr, r.Host = req.URL.RequestURI(), "192.0.2.1:1234", req.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	if req.URL.Scheme == "https" {
		r.TLS = new(tls.ConnectionState)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	response := w.Result()
	response.Request = req
	return response, nil
}

// How a browser behaves.
const (
	maxRedirects  = 20
	maxSignatures = 6 // within quotaPeriod
	quotaPeriod   = 9 * time.Minute
	refreshAhead  = 2 * time.Minute // before the bound cookie ends
	maxChallenges = 5               // in a row
)

// Get opens a page.
func (b *Browser) Get(url string) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodGet, url, http.NoBody) //nolint:noctx // a test's
	if err != nil {
		return nil, err
	}
	return b.Do(req)
}

// PostForm submits a form of the site itself.
func (b *Browser) PostForm(url string, form url.Values) (*http.Response, error) {
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(form.Encode())) //nolint:noctx // a test's
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.Do(req)
}

// Do sends a request, and those to which it is redirected, and returns the last answer.
// The caller closes its body.
func (b *Browser) Do(req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	v := &visit{b: b, header: req.Header.Clone()}
	v.complete(req.Method)
	defer v.settle()
	for method, target, hops := req.Method, req.URL, 0; ; hops++ {
		res, err := v.send(req, method, target, body)
		if err != nil {
			return nil, err
		}
		location, err := res.Location()
		if res.StatusCode < 300 || res.StatusCode > 399 || err != nil {
			return res, nil
		}
		_ = res.Body.Close()
		if hops == maxRedirects {
			return nil, errors.New("sessiontest: too many redirects")
		}
		if res.StatusCode != http.StatusTemporaryRedirect && res.StatusCode != http.StatusPermanentRedirect && method != http.MethodHead {
			method, body = http.MethodGet, nil
			v.header.Del("Content-Type")
		}
		target = location
	}
}

// bodyOf reads the body of a request, which may have to be sent twice.
func bodyOf(req *http.Request) ([]byte, error) {
	if req.Body == nil {
		return nil, nil
	}
	defer req.Body.Close()
	return io.ReadAll(req.Body)
}

// A visit is a request with its redirects.
type visit struct {
	b      *Browser
	header http.Header
	due    []func() // what the browser does beside the request
}

// complete adds what a browser says of a request where the test does not.
func (v *visit) complete(method string) {
	site := "none"
	if method != http.MethodGet {
		site = "same-origin"
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*;q=0.8"} {
		if v.header.Get(name) == "" {
			v.header.Set(name, value)
		}
	}
}

func (v *visit) isForeign() bool { return v.header.Get("Sec-Fetch-Site") == "cross-site" }

// settle does what the browser does beside its requests.
func (v *visit) settle() {
	for _, do := range v.due {
		do()
	}
}

// send sends one request, once its bindings are proven, and keeps what comes back.
func (v *visit) send(like *http.Request, method string, target *url.URL, body []byte) (*http.Response, error) {
	b := v.b
	req, err := http.NewRequestWithContext(like.Context(), method, target.String(), bytes.NewReader(body)) //nolint:gosec // a browser goes where the server of the test leads it
	if err != nil {
		return nil, err
	}
	req.Header = v.header.Clone()
	for _, bound := range b.inScope(target) {
		v.prove(bound, req)
	}
	return b.exchange(req, v.isForeign(), func(res *http.Response) { v.offered(res) })
}

// exchange sends a request with the cookies that belong to it. foreign says that another
// site has caused it.
func (b *Browser) exchange(req *http.Request, foreign bool, then func(*http.Response)) (*http.Response, error) {
	if cookies := b.cookiesFor(req, foreign); cookies != "" {
		req.Header.Set("Cookie", cookies)
	}
	res, err := b.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	res.Request = req
	b.keep(req.URL, res.Header)
	b.clearSite(res.Header)
	if then != nil {
		then(res)
	}
	return res, nil
}

// offered notes that the browser was offered to bind a session.
func (v *visit) offered(res *http.Response) {
	if v.b.Plain || res.Request.URL.Scheme != "https" {
		return
	}
	for _, line := range res.Header["Secure-Session-Registration"] {
		algorithms, parameters := parseItem(line)
		if slices.Contains(strings.Fields(strings.Trim(algorithms, "()")), v.b.algorithm()) {
			at := res.Request.URL
			v.due = append(v.due, func() { v.b.register(at, parameters, v.isForeign()) })
		}
	}
}
