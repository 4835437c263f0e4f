package takeover_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

var (
	hashKey = []byte("open-hash-key-of-a-test")
	madeAt  = time.Unix(1_800_000_000, 0)
)

// sign makes the text of a cookie named mysession as securecookie does, without encryption.
func sign(key []byte, at time.Time, value []byte) string {
	body := fmt.Sprintf("%d|%s|", at.Unix(), base64.URLEncoding.EncodeToString(value))
	h := hmac.New(sha256.New, key)
	h.Write([]byte("mysession|" + strings.TrimSuffix(body, "|")))
	return base64.URLEncoding.EncodeToString(append([]byte(body), h.Sum(nil)...))
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func request(cookies ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header["Cookie"] = []string{strings.Join(cookies, "; ")}
	return r
}

func gorilla(at time.Time) takeover.Gorilla {
	return takeover.Gorilla{
		Name: "mysession", KeyPairs: [][]byte{hashKey}, Now: func() time.Time { return at },
		User: func(v map[string]any) string { user, _ := v["user"].(string); return user },
	}
}

// Records in a map.
type inMap map[string][]byte

func (m inMap) Record(_ context.Context, id string) (takeover.Record, error) {
	if data, ok := m[id]; ok {
		return takeover.Record{Data: data}, nil
	}
	return takeover.Record{}, predecessor.ErrNone
}

func (m inMap) Delete(_ context.Context, id string) error {
	delete(m, id)
	return nil
}

func TestEverySpellingOfACookieIsOneSession(t *testing.T) {
	text := sign(hashKey, madeAt, encode(t, map[any]any{"user": "bob", "pad": 1}))
	for !strings.HasSuffix(text, "=") { // then the last character has bits that no decoder looks at
		t.Fatalf("the text of this test has %d characters and no padding", len(text))
	}
	last := len(strings.TrimRight(text, "=")) - 1
	spellings := 0
	var key []byte
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		other := []byte(text)
		other[last] = c
		s, err := gorilla(madeAt).Find(t.Context(), request("mysession="+string(other)))
		if err != nil {
			continue
		}
		spellings++
		if key != nil && !bytes.Equal(s.Key, key) {
			t.Errorf("a spelling of the cookie has a key of its own")
		}
		key = s.Key
	}
	if spellings < 4 {
		t.Errorf("%d spellings were accepted: this test needs several", spellings)
	}
}

func TestASessionIsAcceptedForAsLongAsTheLibraryWould(t *testing.T) {
	text := "mysession=" + sign(hashKey, madeAt, encode(t, map[any]any{"user": "bob"}))
	for _, test := range []struct {
		maxAge, age time.Duration
		want        bool
	}{
		{0, 30 * 24 * time.Hour, true},
		{0, 30*24*time.Hour + time.Second, false},
		{time.Hour, time.Hour, true},
		{time.Hour, time.Hour + time.Second, false},
		{-1, 10 * 365 * 24 * time.Hour, true},
		{time.Hour, -time.Minute, true}, // a clock that is behind
	} {
		g := gorilla(madeAt.Add(test.age))
		g.MaxAge = test.maxAge
		s, err := g.Find(t.Context(), request(text))
		if (err == nil) != test.want {
			t.Errorf("max age %v, age %v: %v, want accepted %v", test.maxAge, test.age, err, test.want)
		}
		if err != nil {
			continue
		}
		if !s.SavedAt.Equal(madeAt) {
			t.Errorf("saved at %v, want %v", s.SavedAt, madeAt)
		}
		if limit := madeAt.Add(test.maxAge + time.Second); test.maxAge > 0 && !s.Expires.Equal(limit) {
			t.Errorf("expires at %v, want %v", s.Expires, limit)
		}
	}
}

func TestTheRecordsOwnEndCountsWhereItIsEarlier(t *testing.T) {
	id := strings.Repeat("A", 52)
	g := gorilla(madeAt)
	g.Unsigned = true
	soon := madeAt.Add(time.Minute)
	g.Records = ending{inMap{id: encode(t, map[any]any{"user": "bob"})}, soon}
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, id))
	s, err := g.Find(t.Context(), request(cookie))
	if err != nil || !s.Expires.Equal(soon) || s.User != "bob" || string(s.Key) != id {
		t.Errorf("expires %v, user %q, %v; want %v, bob", s.Expires, s.User, err, soon)
	}
	g.Now = func() time.Time { return soon }
	if _, err := g.Find(t.Context(), request(cookie)); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("after its end: %v, want ErrNone", err)
	}
}

type ending struct {
	inMap
	at time.Time
}

func (e ending) Record(ctx context.Context, id string) (takeover.Record, error) {
	r, err := e.inMap.Record(ctx, id)
	r.Expires = e.at
	return r, err
}

func TestTheDeadlineOfSCSEndsASession(t *testing.T) {
	v := one(t, "scs/basic")
	r, err := v.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scs := v.Source().(takeover.SCS)
	s, err := scs.Find(t.Context(), r)
	if err != nil || s.Expires.IsZero() {
		t.Fatalf("expires %v, %v", s.Expires, err)
	}
	scs.Now = func() time.Time { return s.Expires }
	if _, err := scs.Find(t.Context(), r); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("at its deadline: %v, want ErrNone", err)
	}
}

func TestFibersAbsoluteTimeoutIsAnEndAndNoData(t *testing.T) {
	v := one(t, "fiber/basic")
	r, err := v.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fiber := v.Source().(takeover.Fiber)
	s, err := fiber.Find(t.Context(), r)
	if err != nil || s.Dropped != 0 {
		t.Fatalf("%d dropped, %v", s.Dropped, err)
	}
	if left := s.Expires.Sub(time.Unix(v.MadeAt, 0)); left < 7*time.Hour || left > 9*time.Hour {
		t.Errorf("it has %v left, want 8 hours", left)
	}
	fiber.Now = func() time.Time { return s.Expires }
	if _, err := fiber.Find(t.Context(), r); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("at its end: %v, want ErrNone", err)
	}
}

func TestAnEmptySessionIsNone(t *testing.T) {
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, map[any]any{}))
	if _, err := gorilla(madeAt).Find(t.Context(), request(cookie)); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("%v, want ErrNone", err)
	}
}

type appKey string

func TestTheNameThatIsAStringWins(t *testing.T) {
	gob.Register(appKey(""))
	data := encode(t, map[any]any{"user": "bob", appKey("user"): "eve", 7: "seven", true: "yes", "nan": math.NaN()})
	s, err := gorilla(madeAt).Find(t.Context(), request("mysession="+sign(hashKey, madeAt, data)))
	if err != nil || s.User != "bob" || len(s.Values) != 1 || s.Dropped != 4 {
		t.Errorf("user %q, %d values, %d dropped, %v; want bob, 1, 4", s.User, len(s.Values), s.Dropped, err)
	}
}

type late struct{ N int }

// GobDecode fails, once encoding/gob has decoded the rest.
func (*late) GobDecode([]byte) error { return errors.New("from an older release") }

// GobEncode implements [gob.GobEncoder].
func (*late) GobEncode() ([]byte, error) { return []byte("x"), nil }

func TestNothingIsHalfRead(t *testing.T) {
	gob.Register(new(late))
	type account struct{ ID, Name string }
	gob.Register(account{})
	data := encode(t, map[any]any{"user": "bob", "a": account{"1", "Bob"}, "b": new(late), "c": account{"2", "Eve"}})
	s, err := gorilla(madeAt).Find(t.Context(), request("mysession="+sign(hashKey, madeAt, data)))
	if err != nil || len(s.Values) != 4 {
		t.Fatalf("%d values, %v; want 4", len(s.Values), err)
	}
	for _, name := range []string{"a", "c"} {
		if _, scanned := s.Values[name].(map[string]any); !scanned {
			t.Errorf("%s is a %T: a session is of the app's types, or of none", name, s.Values[name])
		}
	}
}

func TestACookieThatLeadsNowhereDoesNotHideAGoodOne(t *testing.T) {
	good := "mysession=" + sign(hashKey, madeAt, encode(t, map[any]any{"user": "bob"}))
	unreadable := "mysession=" + sign(hashKey, madeAt, []byte("no gob"))
	empty := "mysession=" + sign(hashKey, madeAt, encode(t, map[any]any{}))
	s, err := gorilla(madeAt).Find(t.Context(), request("mysession=x", empty, unreadable, good))
	if err != nil || s.User != "bob" {
		t.Errorf("user %q, %v", s.User, err)
	}
	if _, err := gorilla(madeAt).Find(t.Context(), request("mysession=x", unreadable, empty)); !errors.Is(err, predecessor.ErrUnreadable) {
		t.Errorf("%v, want ErrUnreadable", err)
	}
}

func TestAKeyOfALengthThatItCannotHaveIsPassedOver(t *testing.T) {
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, map[any]any{"user": "bob"}))
	g := gorilla(madeAt)
	for _, pairs := range [][][]byte{
		{hashKey, []byte("short"), hashKey},
		{hashKey, {}, hashKey},
		{nil, nil, hashKey, nil},
		{[]byte("another"), nil, hashKey},
	} {
		g.KeyPairs = pairs
		if _, err := g.Find(t.Context(), request(cookie)); err != nil {
			t.Errorf("%d keys: %v", len(pairs), err)
		}
	}
	for _, pairs := range [][][]byte{nil, {{}}, {nil}, {hashKey, {}}, {hashKey, []byte("short")}} {
		g.KeyPairs = pairs
		if _, err := g.Find(t.Context(), request(cookie)); !errors.Is(err, predecessor.ErrNone) {
			t.Errorf("%d keys: %v, want ErrNone", len(pairs), err)
		}
	}
	forged := "mysession=" + sign(nil, madeAt, encode(t, map[any]any{"user": "eve"}))
	g.KeyPairs = [][]byte{{}, nil, hashKey}
	if _, err := g.Find(t.Context(), request(forged)); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("signed with an empty key: %v, want ErrNone", err)
	}
}

func TestARecordWithoutASignatureNeedsTheSetting(t *testing.T) {
	id := strings.Repeat("A", 52)
	g := gorilla(madeAt)
	g.Records = inMap{id: encode(t, map[any]any{"user": "bob"})}
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, id))
	if _, err := g.Find(t.Context(), request(cookie)); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("%v, want ErrNone", err)
	}
	g.Unsigned = true
	if s, err := g.Find(t.Context(), request(cookie)); err != nil || s.User != "bob" {
		t.Errorf("user %q, %v", s.User, err)
	}
	g.Records = inMap{id: []byte("neither")}
	if _, err := g.Find(t.Context(), request(cookie)); !errors.Is(err, predecessor.ErrUnreadable) {
		t.Errorf("%v, want ErrUnreadable", err)
	}
}

type down struct{ calls int }

func (d *down) Record(context.Context, string) (takeover.Record, error) {
	d.calls++
	return takeover.Record{}, context.DeadlineExceeded
}

func (d *down) Delete(context.Context, string) error { return context.DeadlineExceeded }

func TestAFailureOfTheStoreIsOne(t *testing.T) {
	g := gorilla(madeAt)
	g.Records = new(down)
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, strings.Repeat("A", 52)))
	if _, err := g.Find(t.Context(), request(cookie)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want what the store returned", err)
	}
	if _, err := g.Forget(t.Context(), request(cookie)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want what the store returned", err)
	}
}

// Whoever sends many cookies does not make as many round trips.
func TestFewCookiesAreLookedUp(t *testing.T) {
	var cookies []string
	for i := range 40 {
		cookies = append(cookies, fmt.Sprintf("session=%043d", i))
	}
	records := &counting{}
	if _, err := (takeover.SCS{Records: records}).Find(t.Context(), request(cookies...)); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("%v, want ErrNone", err)
	}
	if records.calls == 0 || records.calls > 3 {
		t.Errorf("%d look-ups, want 3 at most", records.calls)
	}
	records.calls = 0
	for _, text := range []string{"short", strings.Repeat("a", 200), strings.Repeat("a", 42) + "*", ""} {
		if _, err := (takeover.Fiber{Records: records}).Find(t.Context(), request("session_id="+text)); !errors.Is(err, predecessor.ErrNone) || records.calls > 0 {
			t.Errorf("%q was looked up: %v", text, err)
		}
	}
}

type counting struct{ calls int }

func (c *counting) Record(context.Context, string) (takeover.Record, error) {
	c.calls++
	return takeover.Record{}, predecessor.ErrNone
}

func (c *counting) Delete(context.Context, string) error { return nil }

func TestForgetEndsWhatItCanAndDeletesTheCookieWhereItIs(t *testing.T) {
	id := strings.Repeat("A", 52)
	records := inMap{id: {}, strings.Repeat("B", 52): {}}
	g := gorilla(madeAt)
	g.Records, g.Path, g.Domain = records, "/app", "shop.example"
	cookie := "mysession=" + sign(hashKey, madeAt, encode(t, id))
	cookies, err := g.Forget(t.Context(), request("mysession=x", cookie))
	if err != nil || len(records) != 1 {
		t.Errorf("%d records are left, %v; want the other one", len(records), err)
	}
	if len(cookies) != 1 || cookies[0].String() != "mysession=; Path=/app; Domain=shop.example; Max-Age=0; HttpOnly" {
		t.Errorf("cookies %v", cookies)
	}
	if cookies, err := g.Forget(t.Context(), request("other=1")); err != nil || cookies != nil {
		t.Errorf("without the cookie: %v, %v", cookies, err)
	}
	scs := inMap{strings.Repeat("a", 43): {}}
	cookies, err = takeover.SCS{Records: scs}.Forget(t.Context(), request("session="+strings.Repeat("a", 43)))
	if err != nil || len(scs) != 0 || len(cookies) != 1 || cookies[0].Path != "/" {
		t.Errorf("scs: %d records are left, %v, %v", len(scs), cookies, err)
	}
	cookies, err = takeover.CookieSession{Name: "shop"}.Forget(t.Context(), request("shop=x", "shop.sig=y"))
	if err != nil || len(cookies) != 2 {
		t.Errorf("cookie-session: %v, %v", cookies, err)
	}
}

func TestFilesAreReadWhereTheyAreAndNowhereElse(t *testing.T) {
	folder := t.TempDir()
	id := strings.Repeat("A", 52)
	text := sign(hashKey, madeAt, encode(t, map[any]any{"user": "bob"}))
	if err := os.WriteFile(filepath.Join(folder, "session_"+id), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(folder, "outside")
	if err := os.WriteFile(outside, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := gorilla(madeAt)
	g.Records = takeover.Files(folder)
	cookie := func(id string) string {
		return "mysession=" + sign(hashKey, madeAt, encode(t, id))
	}
	if s, err := g.Find(t.Context(), request(cookie(id))); err != nil || s.User != "bob" {
		t.Errorf("user %q, %v", s.User, err)
	}
	for _, other := range []string{strings.Repeat("B", 52), "x/../outside", "/../outside", "", "A\x00"} {
		if _, err := g.Find(t.Context(), request(cookie(other))); !errors.Is(err, predecessor.ErrNone) {
			t.Errorf("%q: %v, want ErrNone", other, err)
		}
		if _, err := g.Forget(t.Context(), request(cookie(other))); err != nil {
			t.Errorf("forget %q: %v", other, err)
		}
	}
	if _, err := g.Forget(t.Context(), request(cookie(id))); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "session_"+id)); !os.IsNotExist(err) {
		t.Errorf("the file of the session: %v", err)
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// These are cookies that cookie-session 2.1.1 set.
func TestCookieSessionsOfNpmAreReadAsKeygripSignedThem(t *testing.T) {
	const (
		data = "session=eyJ1c2VyIjoiYm9iIiwibiI6NDIsInBhc3Nwb3J0Ijp7InVzZXIiOjd9LCJ1bmkiOiJTY2hsw7xzc2VsIPCflJEiLCJiaWciOjkwMDcxOTkyNTQ3NDA5OTF9"
		sig  = "session.sig=l-jDdXWG7KtecBWX10kvZIFZg3Q"
	)
	c := takeover.CookieSession{
		Keys: []string{"a newer key of a test", "open-key-of-a-test-1"},
		User: func(v map[string]any) string { return fmt.Sprint(v["passport"].(map[string]any)["user"]) },
	}
	s, err := c.Find(t.Context(), request(data, sig))
	if err != nil || s.User != "7" || s.Values["uni"] != "Schlüssel 🔑" || fmt.Sprint(s.Values["big"]) != "9007199254740991" || s.Stored || len(s.Key) != 20 {
		t.Errorf("user %q, stored %v, key of %d bytes, %v", s.User, s.Stored, len(s.Key), err)
	}
	for what, r := range map[string]*http.Request{
		"no signature":      request(data),
		"another signature": request(data, "session.sig=L-jDdXWG7KtecBWX10kvZIFZg3Q"),
		"another spelling":  request(data, "session.sig=l-jDdXWG7KtecBWX10kvZIFZg3R"),
		"other data":        request("session=eyJ2aWV3cyI6MX0=", sig),
		"another name":      request(strings.Replace(data, "session", "sess", 1), strings.Replace(sig, "session", "sess", 1)),
	} {
		if _, err := c.Find(t.Context(), r); !errors.Is(err, predecessor.ErrNone) {
			t.Errorf("%s: %v, want ErrNone", what, err)
		}
	}
	c = takeover.CookieSession{Name: "shop", Keys: []string{"open-key-of-a-test-2"}}
	if s, err := c.Find(t.Context(), request("shop=eyJ2aWV3cyI6MX0=", "shop.sig=TMFJ7MLFg-UQxQoq88AhfAyOjE4")); err != nil || fmt.Sprint(s.Values["views"]) != "1" {
		t.Errorf("%v, %v", s.Values["views"], err)
	}
	c = takeover.CookieSession{Name: "pad", Keys: []string{"open-key-of-a-test-1"}}
	if s, err := c.Find(t.Context(), request("pad=eyJhIjoiPj4+Pz8/fn5+In0=", "pad.sig=vNi4Nu2YRdWGYFDuKt53mUzRbpE")); err != nil || s.Values["a"] != ">>>???~~~" {
		t.Errorf("%v, %v", s.Values["a"], err)
	}
	c.Keys = []string{""}
	if _, err := c.Find(t.Context(), request("pad=e30=", "pad.sig=x")); !errors.Is(err, predecessor.ErrNone) {
		t.Errorf("an empty key: %v, want ErrNone", err)
	}
}

func TestSettingsThatCannotBeMeantAreWarnedAbout(t *testing.T) {
	long := bytes.Repeat([]byte("k"), 32)
	for _, test := range []struct {
		source predecessor.Warner
		want   int
	}{
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long}}, 0},
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long, nil, []byte("secret")}}, 1},
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long, []byte("short")}}, 1},
		{takeover.Gorilla{Name: "shop"}, 1},
		{takeover.Gorilla{KeyPairs: [][]byte{long}}, 1},
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long}, MaxAge: 30 * 86400}, 1}, // as gorilla has it
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{[]byte("secret")}, MaxAge: 1}, 2},
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long}, MaxAge: time.Second}, 0},
		{takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{long}, MaxAge: -1}, 0},
		{takeover.CookieSession{Keys: []string{string(long)}}, 0},
		{takeover.CookieSession{Keys: []string{"secret"}}, 1},
		{takeover.CookieSession{}, 1},
	} {
		if got := test.source.Warnings(); len(got) != test.want {
			t.Errorf("%v: %q, want %d", test.source, got, test.want)
		}
	}
}

func TestEverySourceTellsTheNamesOfItsCookies(t *testing.T) {
	for _, test := range []struct {
		source predecessor.Source
		want   string
	}{
		{takeover.Gorilla{Name: "shop"}, "[shop]"},
		{takeover.SCS{}, "[session]"},
		{takeover.Fiber{}, "[session_id]"},
		{takeover.CookieSession{Name: "shop"}, "[shop shop.sig]"},
	} {
		if got := fmt.Sprint(test.source.CookieNames()); got != test.want {
			t.Errorf("%v: %s, want %s", test.source, got, test.want)
		}
	}
}

func TestNothingThatIsPrintedHasKeysOrData(t *testing.T) {
	secret := "open-hash-key-of-a-test"
	for _, v := range []any{
		gorilla(madeAt),
		takeover.CookieSession{Keys: []string{secret}},
		takeover.SCS{},
		takeover.Fiber{},
		takeover.SQL{},
		takeover.Record{Data: []byte(secret)},
		predecessor.Session{Key: []byte(secret), Values: map[string]any{"a": secret}},
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, secret) || strings.Contains(text, fmt.Sprintf("%x", secret)) || strings.Contains(text, "111 112") {
				t.Errorf("%T prints a secret with %s", v, verb)
			}
		}
	}
}

// A stored is the one record of a former store.
type stored []byte

func (s stored) Record(context.Context, string) (takeover.Record, error) {
	return takeover.Record{Data: s}, nil
}

func (stored) Delete(context.Context, string) error { return nil }

// A text that is no UTF-8 would be another one in JSON, and a time of another
// millennium none.
func TestAValueThatJSONCannotSayIsDroppedAndNotChanged(t *testing.T) {
	for name, value := range map[string]any{
		"text":               "\xff\xfe",
		"far time":           time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC),
		"time before Christ": time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		"zone of two days":   time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 48*60*60)),
		"times":              []any{time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("session_id=0123456789012345678901234567890123456789012")
			s, err := takeover.Fiber{Records: stored(encode(t, map[any]any{"odd": value, "cart": "a book"}))}.Find(t.Context(), r)
			if _, has := s.Values["odd"]; err != nil || has || s.Dropped != 1 || s.Values["cart"] != "a book" {
				t.Errorf("%d values, %d dropped, %v", len(s.Values), s.Dropped, err)
			}
		})
	}
}
