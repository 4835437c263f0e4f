package sessiontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How a browser binds its sessions, as Chromium does (Device Bound Session Credentials).

// A binding is a session that the browser has bound to a key.
type binding struct {
	key    *deviceKey
	origin *url.URL

	// These change while the browser is at an endpoint, and with its lock held.
	told  instructions
	ended bool

	// These belong to the goroutine that is at an endpoint.
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
