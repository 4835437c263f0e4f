package sessiontest

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
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

// A binding is a session that the browser has bound to a key.
type binding struct {
	key    *deviceKey
	origin *url.URL

	// These change while the browser is at an endpoint, and with its lock held.
	told  instructions
	ended bool

	// These are for who is at an endpoint.
	challenge string // to be signed with the next refresh; empty: none
	proof     string // that was sent last, and is sent again; empty: none
}

// instructions are what a server says of a bound session.
type instructions struct {
	Identifier string `json:"session_identifier"`
	RefreshURL string `json:"refresh_url"`
	Continue   *bool  `json:"continue"`
	Scope      struct {
		Rules []struct {
			Type, Domain, Path string
		} `json:"scope_specification"`
	} `json:"scope"`
	Credentials []struct {
		Type, Name, Attributes string
	} `json:"credentials"`
	Initiators []string `json:"allowed_refresh_initiators"`
}

// parseInstructions reads what a server answered.
func parseInstructions(body []byte) (told instructions, err error) {
	if err := json.Unmarshal(body, &told); err != nil {
		return told, err
	}
	if told.Identifier == "" || len(told.Credentials) == 0 || told.Continue != nil && !*told.Continue {
		return told, errors.New("the server ends the session")
	}
	for _, c := range told.Credentials {
		attributes := strings.ToLower(c.Attributes)
		if c.Type != "cookie" || strings.HasPrefix(c.Name, "__Host-Http-") || strings.Contains(attributes, "partitioned") {
			return told, fmt.Errorf("cookie %q cannot be bound", c.Name)
		}
	}
	return told, nil
}

// post sends what a browser sends to an endpoint: nothing but headers.
func (b *Browser) post(target *url.URL, foreign bool, header map[string]string) (*http.Response, []byte, error) {
	req, err := http.NewRequest(http.MethodPost, target.String(), http.NoBody) //nolint:noctx,gosec // a test's, which goes where its server leads it
	if err != nil {
		return nil, nil, err
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	req.Header.Set("Origin", target.Scheme+"://"+target.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "no-cors")
	req.Header.Set("Sec-Fetch-Dest", "empty")
	res, err := b.exchange(req, foreign, nil)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}

// note adds a line to the history.
func (b *Browser) note(what string, res *http.Response, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.history = append(b.history, what+": unreachable")
		return
	}
	b.history = append(b.history, what+": "+res.Status[:3])
}

// History returns what the browser has asked of endpoints so far, and what they answered:
// "registration: 200", "refresh: 403", "refresh with proof: 200".
func (b *Browser) History() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.history)
}

// register sends a new key where the server wants it.
func (b *Browser) register(at *url.URL, parameters map[string]string, foreign bool) {
	b.atEndpoint.Lock()
	defer b.atEndpoint.Unlock()
	target, err := at.Parse(parameters["path"])
	if err != nil || !b.spend() {
		return
	}
	key := newDeviceKey(b.RSA)
	res, body, err := b.post(target, foreign, map[string]string{"Secure-Session-Response": key.proof(parameters["challenge"], true)})
	b.note("registration", res, err)
	if err != nil || res.StatusCode < 200 || res.StatusCode > 299 {
		return
	}
	told, err := parseInstructions(body)
	if err != nil {
		return
	}
	made := &binding{key: key, origin: target, told: told}
	made.challenge, _ = challengeIn(res.Header)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bindings = slices.DeleteFunc(b.bindings, func(other *binding) bool { return other.told.Identifier == told.Identifier })
	b.bindings = append(b.bindings, made)
}

// spend counts a signature, and reports whether there is one left.
func (b *Browser) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	b.signed = slices.DeleteFunc(b.signed, func(at time.Time) bool { return now.Sub(at) >= quotaPeriod })
	if len(b.signed) >= maxSignatures {
		return false
	}
	b.signed = append(b.signed, now)
	return true
}

// inScope returns the bindings whose cookies a request needs.
func (b *Browser) inScope(target *url.URL) (found []*binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bound := range b.bindings {
		if !bound.ended && bound.origin.Scheme == target.Scheme && bound.origin.Host == target.Host && !bound.excludes(target.Path) {
			found = append(found, bound)
		}
	}
	return found
}

func (bound *binding) excludes(path string) bool {
	for _, rule := range bound.told.Scope.Rules {
		if rule.Type == "exclude" && (path == rule.Path || strings.HasPrefix(path, strings.TrimSuffix(rule.Path, "/")+"/")) {
			return true
		}
	}
	return false
}

// prove holds a request until the bound cookie is there.
func (v *visit) prove(bound *binding, req *http.Request) {
	b := v.b
	told := b.toldOf(bound)
	if v.isForeign() && !slices.Contains(told.Initiators, "*") {
		return
	}
	ends, there := b.boundCookie(bound, req.URL)
	switch {
	case !there:
		if skipped := b.refresh(bound, req.URL, v.isForeign(), time.Time{}); skipped != "" {
			req.Header.Add("Secure-Session-Skipped", skipped+`;session_identifier="`+told.Identifier+`"`)
		}
	case ends.Sub(b.now()) < refreshAhead:
		v.due = append(v.due, func() { _ = b.refresh(bound, req.URL, v.isForeign(), ends) })
	}
}

// refresh gets the bound cookie anew, in the place of one that ends then, if there is
// one. It returns why not, where the binding lives on.
func (b *Browser) refresh(bound *binding, target *url.URL, foreign bool, instead time.Time) (skipped string) {
	b.atEndpoint.Lock()
	defer b.atEndpoint.Unlock()
	if ends, there := b.boundCookie(bound, target); there && !ends.Equal(instead) || bound.ended {
		return "" // somebody else was first
	}
	at, err := bound.origin.Parse(bound.told.RefreshURL)
	if err != nil {
		return "unreachable"
	}
	for range maxChallenges {
		header, what := map[string]string{"Sec-Secure-Session-Id": bound.told.Identifier}, "refresh"
		if bound.challenge != "" {
			if !b.spend() {
				return "quota_exceeded"
			}
			bound.proof, bound.challenge = bound.key.proof(bound.challenge, false), ""
		}
		if bound.proof != "" {
			header["Secure-Session-Response"], what = bound.proof, "refresh with proof"
		}
		res, body, err := b.post(at, foreign, header)
		b.note(what, res, err)
		if err != nil {
			return "unreachable"
		}
		next, given := challengeIn(res.Header)
		bound.challenge = next
		switch {
		case res.StatusCode == http.StatusForbidden && given:
			continue
		case res.StatusCode >= 500:
			return "server_error"
		case res.StatusCode < 200 || res.StatusCode > 299:
			b.end(bound)
			return ""
		}
		b.refreshed(bound, body)
		return ""
	}
	b.end(bound)
	return ""
}

// refreshed takes in what the server says to a proof. Where it says nothing, the browser
// sends the proof again the next time.
func (b *Browser) refreshed(bound *binding, body []byte) {
	if len(body) == 0 {
		return
	}
	told, err := parseInstructions(body)
	if err != nil || told.Identifier != bound.told.Identifier {
		b.end(bound)
		return
	}
	bound.proof = ""
	b.mu.Lock()
	defer b.mu.Unlock()
	bound.told = told
}

// toldOf returns what the server has said last of a bound session.
func (b *Browser) toldOf(bound *binding) instructions {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bound.told
}

// end forgets a binding for good.
func (b *Browser) end(bound *binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	bound.ended = true
	b.bindings = slices.DeleteFunc(b.bindings, func(other *binding) bool { return other == bound })
}

// IsBound reports whether the browser has bound a session that a URL belongs to.
func (b *Browser) IsBound(target string) bool {
	u, err := url.Parse(target)
	return err == nil && len(b.inScope(u)) > 0
}

// ExpireBound drops the bound cookies, as when their ten minutes have passed.
func (b *Browser) ExpireBound() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bound := range b.bindings {
		b.drop(bound)
	}
}

// Copy returns a browser with a copy of all cookies and without the keys, which do not
// leave a device: that of a thief.
func (b *Browser) Copy() *Browser {
	b.mu.Lock()
	defer b.mu.Unlock()
	thief := &Browser{Now: b.Now, transport: b.transport}
	for _, c := range b.cookies {
		copied := *c
		thief.cookies = append(thief.cookies, &copied)
	}
	return thief
}

// challengeIn returns the challenge that an answer brings.
func challengeIn(h http.Header) (challenge string, given bool) {
	value, _ := parseItem(h.Get("Secure-Session-Challenge"))
	return strings.Trim(value, `"`), value != ""
}

// parseItem takes an item of a structured field (RFC 9651) apart, as far as servers send
// them here: no semicolons in strings.
func parseItem(line string) (value string, parameters map[string]string) {
	parts := strings.Split(line, ";")
	parameters = map[string]string{}
	for _, part := range parts[1:] {
		name, quoted, _ := strings.Cut(strings.TrimSpace(part), "=")
		parameters[name] = strings.Trim(quoted, `"`)
	}
	return strings.TrimSpace(parts[0]), parameters
}
