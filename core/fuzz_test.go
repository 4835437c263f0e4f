package core

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// The law: a peer that is not trusted is never believed; of a trusted one the
// last item counts. It costs bounded memory.
func FuzzForwardedProto(f *testing.F) {
	for _, seed := range []string{"https", "http", "HTTPS", "https,http", "http, https", "", ",", "https,", " https ", "https;x", "wss", "httpſ"} {
		f.Add(seed, "http")
	}
	m := &Manager{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Logger: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, first, last string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["X-Forwarded-Proto"] = []string{first, last}
		r.RemoteAddr = "198.51.100.1:1"
		if (&Exchange{m: m, r: r}).isSecure() {
			t.Errorf("a stranger is believed who says %q, %q", first, last)
		}
		r.RemoteAddr = "192.0.2.1:1"
		items := strings.Split(last, ",")
		want := strings.EqualFold(strings.Trim(items[len(items)-1], " \t"), "https")
		var got bool
		if cost := suite.Allocated(func() { got = (&Exchange{m: m, r: r}).isSecure() }); cost > suite.Roughly {
			t.Errorf("%d bytes of headers cost %d bytes, want at most %d", len(first)+len(last), cost, suite.Roughly)
		}
		if got != want {
			t.Errorf("the proxy says %q, %q: secure is %v", first, last, got)
		}
		r.Header["X-Forwarded-Proto"] = []string{first, "http"}
		if (&Exchange{m: m, r: r}).isSecure() {
			t.Errorf("what the client says, %q, counts", first)
		}
	})
}

// The law: whoever the peer is and whatever headers say about the scheme, only what a
// trusted address says in one of the five headers that proxies write makes a request
// secure; and to find that out costs bounded memory.
//
// Standards: ASVS-15.3.4
func FuzzForwardedHeaders(f *testing.F) {
	for _, seed := range [][3]string{
		{"X-Forwarded-Proto", "https", "192.0.2.1:1"},
		{"x-forwarded-proto", "https", "192.0.2.1:1"},
		{"Forwarded", "for=192.0.2.1;proto=https", "192.0.2.1:1"},
		{"X-Forwarded-Ssl", "on", "192.0.2.1:1"},
		{"Front-End-Https", "on", "192.0.2.1:1"},
		{"X-Forwarded-Proto", "\"https", "192.0.2.1:1"},
		{"Forwarded", "proto=\"https\";by=_a", "192.0.2.1:1"},
		{"Forwarded", "\nproto=\"https\"", "192.0.2.1:1"},
		{"Forwarded", "proto=\u00a0https", "192.0.2.1:1"},
		{"X-Forwarded-Proto", "\u0085https", "192.0.2.1:1"},
		{"Forwarded", "for=\"_a,b;proto=https", "192.0.2.1:1"},
		{"X-Url-Scheme", "https", "192.0.2.1:1"},
		{"X-Forwarded-Proto", "https", "[::ffff:192.0.2.1]:1"},
		{"X-Forwarded-Proto", "https", "[fe80::1%eth0]:1"},
		{"X-Forwarded-Proto", "https", "[2001:db8::1%25x]:1"},
		{"X-Forwarded-Proto", "https", "192.0.2.1"},
		{"X-Forwarded-Proto", "https", "@"},
		{"X-Forwarded-Proto", "https", ""},
		{"X-Forwarded-Proto", "https", "192.0.2.256:1"},
		{"X-Forwarded-Proto", "https", "192.0.2.1:1:2"},
		{"X-Forwarded-Proto", "https", "192.0.02.1:1"},
		{"X-Forwarded-For", "192.0.2.1", "198.51.100.1:1"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	// The parameter of the last element, which begins behind the last comma that is in no quotes.
	forwarded := regexp.MustCompile(`(?i)(^|[,;])[ \t]*proto[ \t]*=[ \t]*("[ \t]*https[ \t]*"|https)[ \t]*(;[^,"]*("[^"]*"[^,"]*)*)?$`)
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	m := &Manager{cfg: Config{TrustedProxies: trusted, Logger: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, name, value, peer string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set(name, value)
		r.RemoteAddr = peer
		says := false
		items := strings.Split(value, ",")
		last := items[len(items)-1]
		switch http.CanonicalHeaderKey(name) {
		case "X-Forwarded-Proto", "Cloudfront-Forwarded-Proto":
			says = strings.EqualFold(strings.Trim(last, " \t"), "https")
		case "X-Forwarded-Ssl", "Front-End-Https":
			says = strings.EqualFold(strings.Trim(last, " \t"), "on")
		case "Forwarded":
			says = forwarded.MatchString(value)
		}
		addr, err := netip.ParseAddrPort(peer)
		ip := addr.Addr().Unmap().WithZone("")
		want := says && err == nil && (trusted[0].Contains(ip) || trusted[1].Contains(ip))
		var got bool
		if cost := suite.Allocated(func() { got = (&Exchange{m: m, r: r}).isSecure() }); cost > suite.Roughly {
			t.Errorf("%d bytes of a header cost %d bytes, want at most %d", len(value), cost, suite.Roughly)
		}
		// Ports are the server's to write; what is odd about one changes nothing.
		if host, _, err := net.SplitHostPort(peer); got != want && (err != nil || got != says || !m.trusts(net.JoinHostPort(host, "1"))) {
			t.Errorf("%q: %q from %q: secure is %v, want %v", name, value, peer, got, want)
		}
	})
}

// The law: what is kept of where a client is, is the network of the peer, or of the
// last hop that a trusted peer names and that is none of our proxies, in either header;
// never all of an address, and nothing that a client writes before it counts. It costs
// bounded memory.
func FuzzNetwork(f *testing.F) {
	for _, seed := range [][2]string{
		{"198.51.100.7", "192.0.2.1:1"},
		{"198.51.100.7:80, 192.0.2.9:81", "192.0.2.1:1"},
		{"10.0.0.1,203.0.113.5,192.0.2.9,192.0.2.8", "192.0.2.1:1"},
		{"198.51.100.7", "203.0.113.9:1"},
		{"", "[2001:db9::1%eth0]:1"},
		{"2001:db9:1:2:3:4:5:6", "[2001:db8::1]:1"},
		{"::ffff:198.51.100.7", "192.0.2.1:1"},
		{"unknown", "192.0.2.1:1"},
		{"[2001:db9::1]:80", "192.0.2.1:1"},
		{`"[2001:db9::1]:80"`, "192.0.2.1:1"},
		{`"198.51.100.7`, "192.0.2.1:1"},
		{`for=198.51.100.7;by=192.0.2.1, for=192.0.2.9`, "192.0.2.1:1"},
		{`For="[2001:db9::1]:_x";proto=http`, "192.0.2.1:1"},
		{",,,", "192.0.2.1:1"},
		{"x", "@"},
		{"x", ""},
		{"1.2.3.4", "[::1%25x]"},
	} {
		f.Add(seed[0], seed[1])
	}
	m := &Manager{cfg: Config{
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")},
		Logger:         slog.New(slog.DiscardHandler),
	}}
	f.Fuzz(func(t *testing.T, forwarded, peer string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = peer
		alone := m.networkOf(r)
		for _, name := range []string{"X-Forwarded-For", "Forwarded"} {
			r.Header = http.Header{name: {forwarded}}
			var got string
			if cost := suite.Allocated(func() { got = m.networkOf(r) }); cost > suite.Roughly {
				t.Errorf("%s of %d bytes costs %d bytes, want at most %d", name, len(forwarded), cost, suite.Roughly)
			}
			if !m.trusts(peer) && got != alone {
				t.Errorf("%q is believed from %q: %q, without it %q", forwarded, peer, got, alone)
			}
			r.Header[name] = []string{"203.0.113.77, for=203.0.113.77", `"`, forwarded}
			if with := m.networkOf(r); with != got && !m.onlyProxies(name, forwarded) {
				t.Errorf("what comes before %q changes %q to %q", forwarded, got, with)
			}
			if got == "" {
				continue
			}
			prefix, err := netip.ParsePrefix(got)
			if err != nil || prefix != prefix.Masked() || prefix.Addr().Zone() != "" || prefix.Bits() != map[bool]int{true: 24, false: 48}[prefix.Addr().Is4()] {
				t.Errorf("%q from %q: the network is %q", forwarded, peer, got)
			}
		}
	})
}

// onlyProxies reports whether a header names nobody but proxies of ours, so that what
// stands before it counts.
func (m *Manager) onlyProxies(name, value string) bool {
	for hop := range forwardedFor(http.Header{name: {value}}) {
		if !m.trustsAddr(hop) {
			return false
		}
	}
	return true
}

// The law: a name that is put at Config.UserKey is read there again, nothing beside
// it is lost, and a value that means the same is left as it is.
func FuzzUserKey(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `"ada"`, `7`, `{}`, `{"user":"ada"}`, `{"user":{"id":7,"name":"x"},"a":[1]}`, `{"user":{"id":"ada","id":"bob"}}`, `{"user":[]}`, `[{"user":1}]`,
		`{"\u0075ser":{"id":"\ud800"}}`, `{"user":{"id":-0}}`, `{"user":{"id":1e3}}`, `{"user":{"id":99999999999999999999}}`,
	} {
		f.Add([]byte(seed), "ada", 2)
	}
	f.Fuzz(func(t *testing.T, raw []byte, user string, depth int) {
		if !validUser(user) || depth < 0 || depth > 2 || len(raw) > 0 && !json.Valid(raw) {
			return
		}
		path := []string{"user", "id"}[:depth]
		before := textAt(raw, path)
		if before != "" && !validUser(before) {
			t.Errorf("%q has %q, which is no name", raw, before)
		}
		next, err := withText(raw, path, user)
		if err != nil || textAt(next, path) != user {
			t.Fatalf("%q with %q at %q: %q, %v", raw, user, path, next, err)
		}
		if before == user && !bytes.Equal(next, raw) {
			t.Errorf("%q says %q already and became %q", raw, user, next)
		}
		var was, is map[string]json.RawMessage
		if depth > 0 && json.Unmarshal(raw, &was) == nil && json.Unmarshal(next, &is) == nil {
			for name, value := range was {
				if name != "user" && !same(is[name], value) {
					t.Errorf("%q with %q at %q lost %q: %q", raw, user, path, name, next)
				}
			}
		}
	})
}

// same reports whether two JSON values are, however they are written.
func same(a, b json.RawMessage) bool {
	var values [2]any
	for i, raw := range []json.RawMessage{a, b} {
		d := json.NewDecoder(bytes.NewReader(raw))
		d.UseNumber()
		if d.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
