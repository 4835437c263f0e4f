package core

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"
)

// asObject is what encoding/json makes of data, and whether it is an object.
func asObject(data []byte) (map[string]json.RawMessage, bool) {
	var object map[string]json.RawMessage
	err := json.Unmarshal(data, &object)
	return object, err == nil && object != nil
}

// The law: whatever encoding/json accepts as an object, scanObject accepts too,
// with the same names and the same values, the last of several with one name.
func FuzzScanObject(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, `{"a":{"b":[1,"}",{"c":"\""}]}}`,
		`{"":"","\\":"\\\\","\"":"\""}`, "{\"\xff\":1}", `{"\ud800":1}`, `{"a":-0.1e+5,"b":true,"c":null}`,
		"{\n\t\"a\"\r:\n1\t,\"b\" : [ ] }", `{"a":1,}`, `{"a":1}x`, `{"a"}`, `{"a":}`, `[1]`, `"x"`, `null`, ``, `{`, `{"`, `{"a":"`, `{"a":[}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, ok := scanObject(data, nil)
		for _, m := range members { // whatever was made out lies inside
			if m.name > m.nameEnd || m.nameEnd >= m.value || m.value >= m.valueEnd || int(m.valueEnd) > len(data) {
				t.Fatalf("positions %+v of %q", m, data)
			}
		}
		object, valid := asObject(data)
		if !valid {
			return
		}
		if !ok {
			t.Fatalf("%q is an object but scanObject refuses it", data)
		}
		for name, want := range object {
			if got := findMember(data, members, name); !bytes.Equal(got, want) {
				t.Errorf("%q: member %q is %q, want %q", data, name, got, want)
			}
		}
		for _, m := range members {
			name := memberName(data, m)
			if _, ok := object[name]; !ok || !memberIs(data, m, name) {
				t.Errorf("%q: there is no member %q", data, name)
			}
		}
	})
}

// The law: a write changes the key that was set and the two members that are
// ours; every other member keeps its bytes and its place, and what was valid
// stays valid.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{
		`{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.794Z","httpOnly":true,"path":"/"},"user":"bob","n":1}`,
		`{"cookie":{},"user":"bob"}`, `{"cookie":null,"a":1,"b":2}`, `{"a":1,"cookie":"x","b":2}`, `{"a":1}`, `{}`, `{ "a" : 1 , "b" : 2 }`,
		`{"cookie":{"originalMaxAge":"5","originalMaxAge":5,"expires":5},"a":1,"a":2,"\u0061":3}`,
		`{"cookie":{},"cookie":{"originalMaxAge":1e300},"__cloakroom":{"created":1,"x":{"y":1},"token":"\u0041"},"__cloakroom":[]}`,
		"{\"\xff\":1,\"\u2028\":\"\\ud800\"}", `{"cookie":{"originalMaxAge":-1,"x" : [1, 2]}}`, `{"cookie":{"\u006friginalMaxAge":"5"},"a":1}`,
	} {
		f.Add([]byte(seed), "a", `{"x":[1,2]}`)
	}
	f.Add([]byte(`{"cookie":{},"a":1,"b":2}`), "b", "")
	f.Add([]byte(`{"cookie":{},"a":1,"b":2}`), "new \" key\u2028", "null")
	now := time.Date(2026, 11, 21, 8, 29, 14, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		base, err := new(parser).parse(Record{ID: "id", Data: data}, data, time.Hour)
		if err != nil || isReserved(key) || !utf8.ValidString(key) {
			return
		}
		before, valid := asObject(data)
		var raw json.RawMessage // nil: delete the key
		if value != "" {
			if raw, err = encodeValue(json.RawMessage(value)); err != nil {
				return
			}
		}
		ch := changes{}
		ch.set(key, raw)
		kept := bytes.Clone(data)
		next := meta{present: true, created: toMillis(now), token: newToken(), rest: base.meta.rest}
		out, keys := encode(base, &ch, next,
			cookieWriter{attributes: Cookie{}.withDefaults().resolve(false), age: base.age, now: now})
		if !bytes.Equal(data, kept) {
			t.Fatalf("encode wrote to the record that it was given")
		}
		members, ok := scanObject(out, nil)
		if !ok {
			t.Fatalf("%q became %q, which cannot be read", data, out)
		}
		others := func(text []byte, members []member) (list []string) {
			for _, m := range members {
				if name := memberName(text, m); name != key && !isReserved(name) {
					list = append(list, string(text[m.name-1:m.valueEnd]))
				}
			}
			return list
		}
		was, is := others(data, base.index()), others(out, members)
		if strings.Join(was, "\x00") != strings.Join(is, "\x00") {
			t.Errorf("%q became %q: other members changed", data, out)
		}
		if got := findMember(out, members, key); !bytes.Equal(got, raw) {
			t.Errorf("%q became %q: %q is %q, want %q", data, out, key, got, raw)
		}
		app := 0
		for _, m := range members {
			if !isReserved(memberName(out, m)) {
				app++
			}
		}
		if app != keys {
			t.Errorf("%q has %d keys, encode counted %d", out, app, keys)
		}
		if !isObject(findMember(out, members, cookieMember)) || findMember(out, members, metaMember) == nil {
			t.Errorf("%q became %q: a member is missing", data, out)
		}
		again, err := new(parser).parse(Record{}, out, time.Hour)
		if err != nil || again.meta.token != next.token || again.meta.created != toMillis(now) {
			t.Errorf("%q is read back as %+v, %v", out, again, err)
		}
		if !valid {
			return
		}
		after, stillValid := asObject(out)
		if !stillValid {
			t.Fatalf("%q became %q, which is not valid", data, out)
		}
		for name, want := range before {
			if name != key && !isReserved(name) && !bytes.Equal(after[name], want) {
				t.Errorf("%q became %q: %q changed", data, out, name)
			}
		}
		var cookie struct {
			OriginalMaxAge any `json:"originalMaxAge"`
		}
		if err := json.Unmarshal(after[cookieMember], &cookie); err != nil {
			t.Errorf("cookie %q: %v", after[cookieMember], err)
		}
		if s, isString := cookie.OriginalMaxAge.(string); isString && !hasFold(after[cookieMember]) {
			t.Errorf("%q became %q: originalMaxAge %q makes Node crash", data, out, s)
		}
	})
}

// hasFold tells whether encoding/json may have taken a member of another name,
// in other letters, for originalMaxAge.
func hasFold(cookie []byte) bool {
	object, _ := asObject(cookie)
	for name := range object {
		if name != "originalMaxAge" && strings.EqualFold(name, "originalMaxAge") {
			return true
		}
	}
	return false
}

// The law: what a parser remembers of other records changes nothing.
func FuzzParse(f *testing.F) {
	const cookie = `{"cookie":{"originalMaxAge":null,"expires":null,"path":"/"}`
	for _, seed := range [][2]string{
		{cookie + `,"a":1}`, cookie + `,"b":2,"__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}`},
		{cookie + ` , "a":1}`, cookie + ` ,"cookie":{"originalMaxAge":5000}}`},
		{cookie + `,"a":1}`, cookie + `}`},
		{cookie + `,"a":1}`, cookie + `,}`},
		{cookie + `,"a":1}`, cookie + `,"a":1}x`},
		{`{"cookie":{"expires":"2026-11-21T08:29:14.000Z"},"a":1}`, `{"cookie":{"expires":"2026-11-21T08:29:14.000Z"},"b":1}`},
		{`{"cookie":{},"cookie":{"originalMaxAge":5000},"a":1}`, `{"cookie":{},"__cloakroom":{"created":1,"token":"\u0041\u0041"}}`},
		{`{"cookie":{},"a":1}`, `{"cookie":{},"__cloakroom":{"created":01,"token":"AAAAAAAAAAA"}}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		experienced := new(parser)
		_, _ = experienced.parse(Record{}, first, time.Hour) // for what it remembers
		got, err := experienced.parse(Record{}, second, time.Hour)
		want, wantErr := new(parser).parse(Record{}, second, time.Hour)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q after %q: %v, want %v", second, first, err, wantErr)
		}
		if err == nil && (!slices.Equal(got.members, want.members) || got.age != want.age || got.meta.token != want.meta.token) {
			t.Errorf("%q after %q: %+v, want %+v", second, first, got, want)
		}
		if err != nil {
			return
		}
		var ch changes
		ch.set("a", json.RawMessage(`true`))
		m, w := meta{present: true, created: 1}, cookieWriter{age: got.age}
		gotText, _ := encode(got, &ch, m, w)
		if wantText, _ := encode(want, &ch, m, w); !bytes.Equal(gotText, wantText) {
			t.Errorf("%q after %q becomes %q, want %q", second, first, gotText, wantText)
		}
		raw := findMember(second, got.members, metaMember)
		plain, ok := parsePlainMeta(raw)
		if ok && json.Valid(raw) {
			var m struct {
				Created int64
				Token   string
				User    json.RawMessage
			}
			if err := json.Unmarshal(raw, &m); err != nil || m.Created != int64(plain.created) || m.Token != string(plain.token[:]) || !bytes.Equal(m.User, plain.user) {
				t.Errorf("%q is read as %+v, want %+v (%v)", raw, plain, m, err)
			}
		}
	})
}

// The law: a member that is read the short way is read as encoding/json does.
func FuzzDecodeValue(f *testing.F) {
	for _, seed := range []string{`1`, `-1`, `0`, `-0`, `01`, `1.0`, `1e3`, `9223372036854775807`, `9223372036854775808`, `"x"`, `"\u0041"`, `"ü"`, `null`, ` 1`, `-`, `""`, `"`, `true`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var wantN int
		n, err := unmarshal[int](raw)
		wantErr := json.Unmarshal(raw, &wantN)
		if (err == nil) != (wantErr == nil) || n != wantN {
			t.Errorf("%q as int: %d, %v; want %d, %v", raw, n, err, wantN, wantErr)
		}
		var wantS string
		s, err := unmarshal[string](raw)
		wantErr = json.Unmarshal(raw, &wantS)
		if (err == nil) != (wantErr == nil) || s != wantS {
			t.Errorf("%q as string: %q, %v; want %q, %v", raw, s, err, wantS, wantErr)
		}
		var wantB bool
		b, err := unmarshal[bool](raw)
		if want := json.Unmarshal(raw, &wantB); (err == nil) != (want == nil) || b != wantB {
			t.Errorf("%q as bool: %v, %v; want %v, %v", raw, b, err, wantB, want)
		}
		if wantErr == nil {
			encoded, err := encodeValue(wantS)
			var back string
			if err != nil || json.Unmarshal(encoded, &back) != nil || back != wantS {
				t.Errorf("%q is encoded as %q, %v", wantS, encoded, err)
			}
		}
	})
}

func unmarshal[T any](raw []byte) (v T, err error) {
	if !decodePlain(raw, &v) {
		err = json.Unmarshal(raw, &v)
	}
	return v, err
}

// The law: unescaping undoes escaping, for whatever is UTF-8, and agrees with
// net/url. What cannot be unescaped stays as it is.
func FuzzURIComponent(f *testing.F) {
	for _, seed := range []string{"", "apple", "%", "%2", "%zz", "a+b", "s:id.sig", "schlüssel 🔑", "%C3%BC", "%ff", "\xff", "it's (a) test!*~", "%00", "100%25"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		escaped := string(appendURIComponent(nil, s))
		for _, c := range []byte(escaped) {
			if c <= ' ' || c >= 0x7f || strings.IndexByte(`";,\`, c) >= 0 {
				t.Fatalf("%q is escaped as %q, which no cookie can hold", s, escaped)
			}
		}
		if utf8.ValidString(s) {
			if got := string(decodeURIComponent(nil, escaped)); got != s {
				t.Errorf("%q came back as %q", s, got)
			}
		}
		got := string(decodeURIComponent([]byte("dst"), s))
		want, err := url.PathUnescape(s)
		if err != nil || !utf8.ValidString(want) {
			want = s
		}
		if got != "dst"+want {
			t.Errorf("%q is unescaped as %q, want %q", s, got, want)
		}
	})
}

// The law: verify accepts the signature of exactly this id, in any escaping,
// and nothing else; and whatever it is given costs bounded memory.
//
// Standards: ASVS-9.1.1, ASVS-9.1.2
func FuzzVerify(f *testing.F) {
	s := newSigner([]string{"the first secret", "the second secret"})
	signed := s.sign("an-id-of-some-length")
	old := newSigner([]string{"the second secret"}).sign("another.id")
	for _, seed := range []string{
		signed, old, signed[:len(signed)-1], signed + "A", strings.ToUpper(signed), "s:", "s:.", "s%3A" + strings.Repeat("A", 43), "",
		"s%3A." + strings.Repeat("A", 43), "%", "s%3A%00.x", strings.Repeat("a", 5000), "s%3Aid." + strings.Repeat("=", 43), "s%3Aid.%ff", "j%3A{}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		var (
			id           string
			outdated, ok bool
		)
		if cost := Allocated(func() { id, outdated, ok = s.verify(value) }); cost > Roughly {
			t.Errorf("a value of %d bytes costs %d bytes, want at most %d", len(value), cost, Roughly)
		}
		if !ok {
			if id != "" || outdated {
				t.Errorf("%q is refused with id %q", value, id)
			}
			return
		}
		by := s
		if outdated {
			by = newSigner([]string{"the second secret"})
		}
		plain := string(decodeURIComponent(nil, value))
		if want := string(decodeURIComponent(nil, by.sign(id))); plain != want || id == "" {
			t.Errorf("%q is accepted for id %q, whose signature is %q", value, id, want)
		}
		if i := strings.Index(value, id); i >= 0 && unsafe.StringData(id) == unsafe.StringData(value[i:]) {
			t.Errorf("the id of %q is no copy: whoever keeps it keeps the header, or what overwrites it", value)
		}
	})
}

func TestVerifyingGarbageAllocatesAlmostNothing(t *testing.T) {
	s := newSigner([]string{"a", "b"})
	for _, value := range []string{
		"", "x", strings.Repeat("x", 1<<20), strings.Repeat("%41", 1<<18), "s%3A" + strings.Repeat("a", 200), "s%3Aid." + strings.Repeat("A", 43),
		"s%3A" + strings.Repeat("a", 4000) + "." + strings.Repeat("A", 43),
	} {
		s.verify(value)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			if _, _, ok := s.verify(value); ok {
				t.Fatalf("%.50q is accepted", value)
			}
		}
		runtime.ReadMemStats(&after)
		if perCall := (after.TotalAlloc - before.TotalAlloc) / 100; perCall > 8*maxCookie {
			t.Errorf("%.50q (%d bytes) costs %d bytes", value, len(value), perCall)
		}
	}
}

// The law: a cookie among others is found by its exact name, in the order of the
// header, and nothing is found that is not there.
func FuzzCookieValues(f *testing.F) {
	for _, seed := range []string{"sid=x", "a=b; sid=x; sid=y", "sid", "sid=", `sid="x"`, `sid="`, "sid =x", "SID=x", "sid2=x", ";;;", " sid\t=\tx ", "sid=a=b", "s%69d=x", "sid=x,sid=y"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, header, value string) {
		collect := func(h http.Header) (values []string) {
			cookieValues(h, "sid", func(v string) bool { values = append(values, v); return true })
			return values
		}
		alone := collect(http.Header{"Cookie": {header}})
		for _, v := range alone {
			if strings.Contains(v, ";") || !strings.Contains(header, v) {
				t.Errorf("%q: value %q is not in it", header, v)
			}
		}
		if n := strings.Count(header, "sid"); len(alone) > n {
			t.Errorf("%q: %d values", header, len(alone))
		}
		if strings.ContainsAny(value, "; \t\"") || value == "" {
			return
		}
		with := collect(http.Header{"Cookie": {header + "; sid=" + value, "x=y;sid=" + value + ";z"}})
		if len(with) != len(alone)+2 || with[len(with)-1] != value || with[len(with)-2] != value {
			t.Errorf("%q with sid=%q twice: %q", header, value, with)
		}
		first := ""
		cookieValues(http.Header{"Cookie": {"sid=" + value, header}}, "sid", func(v string) bool { first = v; return false })
		if first != value {
			t.Errorf("the first of %q is %q", value+"; "+header, first)
		}
	})
}

// The law: what is sealed opens under its id and its key; whatever else opens is
// the same text, sealed; and opening costs bounded memory.
//
// Standards: ASVS-11.2.5
func FuzzOpen(f *testing.F) {
	keys, err := newSealKeys([]string{strings.Repeat("a", 32), strings.Repeat("b", 32)})
	if err != nil {
		f.Fatal(err)
	}
	nonce := []byte("the nonce of 24 bytes...") // fixed, so that the corpus means something
	sealed := []byte(sealedPrefix + keys[1].id + "." + base64.RawURLEncoding.EncodeToString(keys[1].aead.seal(nonce, nonce, []byte(`{"cookie":{}}`), []byte("id"))) + sealedSuffix)
	for _, seed := range [][]byte{
		sealed, sealed[:len(sealed)-3],
		{},
		[]byte(`{"__sealed":""}`), []byte(`{"__sealed":"0123456789abcdef."}`),
		[]byte(`{"__sealed":"` + keys[0].id + `."}`), []byte(`{"__sealed":"` + keys[0].id + `.AAAA"}`), []byte(`{"__sealed":"` + keys[0].id + `.!!!!"}`), []byte(`{"cookie":{}}`),
	} {
		f.Add(seed, "id")
	}
	f.Fuzz(func(t *testing.T, data []byte, id string) {
		var (
			text []byte
			err  error
		)
		if cost, most := Allocated(func() { text, err = open(keys, id, data) }), Roughly+4*(len(id)+len(data)); cost > most {
			t.Errorf("%d bytes of a sealed record cost %d bytes, want at most %d", len(data), cost, most)
		}
		if err == nil {
			if id != "id" || string(text) != `{"cookie":{}}` || !bytes.Equal(data, sealed) {
				// Only who has the keys can make another one, and the fuzzer has not.
				t.Errorf("%q opens under %q as %q", data, id, text)
			}
		} else if text != nil {
			t.Errorf("%q: text %q together with %v", data, text, err)
		}
		back, err := open(keys, id, keys[0].seal(id, data))
		if err != nil || !bytes.Equal(back, data) {
			t.Errorf("sealed %q came back as %q, %v", data, back, err)
		}
		if back, err := open(keys, id+"x", keys[0].seal(id, data)); err == nil {
			t.Errorf("a record that was moved opens as %q", back)
		}
	})
}

// The law: a peer that is not trusted is never believed; of a trusted one the
// last item counts.
func FuzzForwardedProto(f *testing.F) {
	for _, seed := range []string{"https", "http", "HTTPS", "https,http", "http, https", "", ",", "https,", " https ", "https;x", "wss", "httpſ"} {
		f.Add(seed, "http")
	}
	m := &Manager{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Logger: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, first, last string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header["X-Forwarded-Proto"] = []string{first, last}
		r.RemoteAddr = "198.51.100.1:1"
		if m.isSecure(r) {
			t.Errorf("a stranger is believed who says %q, %q", first, last)
		}
		r.RemoteAddr = "192.0.2.1:1"
		items := strings.Split(last, ",")
		want := strings.EqualFold(strings.TrimSpace(items[len(items)-1]), "https")
		if got := m.isSecure(r); got != want {
			t.Errorf("the proxy says %q, %q: secure is %v", first, last, got)
		}
		r.Header["X-Forwarded-Proto"] = []string{first, "http"}
		if m.isSecure(r) {
			t.Errorf("what the client says, %q, counts", first)
		}
	})
}

// The law: whoever the peer is and whatever other headers say about the scheme,
// X-Forwarded-Proto of a trusted address alone makes a request secure; and to find
// that out costs bounded memory.
//
// Standards: ASVS-15.3.4
func FuzzForwardedHeaders(f *testing.F) {
	for _, seed := range [][3]string{
		{"X-Forwarded-Proto", "https", "192.0.2.1:1"},
		{"x-forwarded-proto", "https", "192.0.2.1:1"},
		{"Forwarded", "for=192.0.2.1;proto=https", "192.0.2.1:1"},
		{"X-Forwarded-Ssl", "on", "192.0.2.1:1"},
		{"Front-End-Https", "on", "192.0.2.1:1"},
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
	trusted := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	m := &Manager{cfg: Config{TrustedProxies: trusted, Logger: slog.New(slog.DiscardHandler)}}
	f.Fuzz(func(t *testing.T, name, value, peer string) {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.Header.Set(name, value)
		r.RemoteAddr = peer
		want := false
		if addr, err := netip.ParseAddrPort(peer); err == nil && http.CanonicalHeaderKey(name) == "X-Forwarded-Proto" {
			ip := addr.Addr().Unmap().WithZone("")
			items := strings.Split(value, ",")
			want = (trusted[0].Contains(ip) || trusted[1].Contains(ip)) && strings.EqualFold(strings.TrimSpace(items[len(items)-1]), "https")
		}
		var got bool
		if cost := Allocated(func() { got = m.isSecure(r) }); cost > Roughly {
			t.Errorf("%d bytes of a header cost %d bytes, want at most %d", len(value), cost, Roughly)
		}
		// Ports are the server's to write; what is odd about one changes nothing.
		if host, _, err := net.SplitHostPort(peer); got != want && (err != nil || !got || !m.trusts(net.JoinHostPort(host, "1"))) {
			t.Errorf("%q: %q from %q: secure is %v, want %v", name, value, peer, got, want)
		}
	})
}

// The law: what is kept of where a client is, is the network of the peer, or of the
// last hop that a trusted peer names and that is none of our proxies; never all of
// an address. It costs bounded memory.
func FuzzNetwork(f *testing.F) {
	for _, seed := range [][2]string{
		{"198.51.100.7", "192.0.2.1:1"},
		{"198.51.100.7, 192.0.2.9", "192.0.2.1:1"},
		{"10.0.0.1,203.0.113.5,192.0.2.9,192.0.2.8", "192.0.2.1:1"},
		{"198.51.100.7", "203.0.113.9:1"},
		{"", "[2001:db9::1%eth0]:1"},
		{"2001:db9:1:2:3:4:5:6", "[2001:db8::1]:1"},
		{"::ffff:198.51.100.7", "192.0.2.1:1"},
		{"unknown", "192.0.2.1:1"},
		{"[2001:db9::1]:80", "192.0.2.1:1"},
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
		r.Header.Set("X-Forwarded-For", forwarded)
		var got string
		if cost, most := Allocated(func() { got = m.networkOf(r) }), Roughly+40*len(forwarded); cost > most {
			t.Errorf("%d bytes of a header cost %d bytes, want at most %d", len(forwarded), cost, most)
		}
		if !m.trusts(peer) && got != alone {
			t.Errorf("%q is believed from %q: %q, without it %q", forwarded, peer, got, alone)
		}
		r.Header["X-Forwarded-For"] = []string{"203.0.113.77, " + forwarded}
		if last := strings.TrimSpace(forwarded[strings.LastIndexByte(forwarded, ',')+1:]); got != "" && m.networkOf(r) != got && m.trusts(net.JoinHostPort(last, "1")) == false {
			t.Errorf("what comes before %q changes %q to %q", forwarded, got, m.networkOf(r))
		}
		if got == "" {
			return
		}
		prefix, err := netip.ParsePrefix(got)
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Zone() != "" || prefix.Bits() != map[bool]int{true: 24, false: 48}[prefix.Addr().Is4()] {
			t.Errorf("%q from %q: the network is %q", forwarded, peer, got)
		}
	})
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

// same tells whether two JSON values are, however they are written.
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

// The law: a session is found below the cookie's path as browsers match it (RFC
// 6265 section 5.1.4), whatever the request line says.
func FuzzCookiePath(f *testing.F) {
	for _, seed := range [][2]string{
		{"/app", "/app"},
		{"/app/", "/app"},
		{"/application", "/app"},
		{"/app?x=/", "/app"},
		{"http://example.com/app", "/app"},
		{"http://example.com", "/app"},
		{"*", "/app"},
		{"", "/app"},
		{"/app%2Fx", "/app"},
		{"//app", "/app"},
		{"/app/..", "/app/"},
		{"/a://b/app", "/app"},
		{"?://", "/"},
		{"/APP", "/app"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, uri, cookiePath string) {
		if !strings.HasPrefix(cookiePath, "/") { // refused by New
			return
		}
		r := &http.Request{RequestURI: uri, URL: &url.URL{Path: uri}}
		path := requestPath(r)
		want := path == cookiePath || cookiePath == "/" ||
			strings.HasPrefix(path, cookiePath) && (strings.HasSuffix(cookiePath, "/") || strings.HasPrefix(path[len(cookiePath):], "/"))
		if got := pathMatches(path, cookiePath); got != want {
			t.Errorf("%q (path %q) below %q: %v, want %v", uri, path, cookiePath, got, want)
		}
		if strings.HasPrefix(uri, "/") {
			if asked, _, _ := strings.Cut(uri, "?"); path != asked {
				t.Errorf("%q: the path is %q", uri, path)
			}
		}
	})
}

// The law: what meta writes it reads again, and members of a later version stay.
func FuzzMeta(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"created":1763715600000,"token":"3q2-796tvu8"}`, `{"created":1,"maxAge":5000,"ownMaxAge":true,"retired":1763715600000,"user":"u","later":{"a":[1]}}`,
		`{"created":1763715600000,"token":"3q2-796tvu8","user":{"name":"ada","by":["pwd"]}}`, `{"created":1,"user":{"a":{}},"user":null}`,
		`{"created":-1}`, `{"created":1e3}`, `{"created":999999999999999999}`, `{"maxAge":"1"}`, `{"maxAge":1e400}`, `[]`, `{"token":"\u0041\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parseMeta(raw)
		if !m.present {
			return
		}
		m.token = newToken() // as in each write
		m.age.max = m.age.max.Truncate(time.Millisecond)
		again := parseMeta(m.append(nil))
		if !again.present || again.created != m.created || again.token != m.token || again.age.own != m.age.own || !near(again.age.max, m.age.max) || again.retired != m.retired || !bytes.Equal(again.user, m.user) || !bytes.Equal(again.rest, m.rest) {
			t.Errorf("%q: %+v is written as %q and read as %+v", raw, m, m.append(nil), again)
		}
		if json.Valid(raw) && !json.Valid(m.append(nil)) {
			t.Errorf("%q is written as %q", raw, m.append(nil))
		}
	})
}
