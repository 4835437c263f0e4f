package mongostore

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// object returns the sub-document for JSON, or nil.
func object(text string) bson.Raw {
	doc, ok := appendObject(nil, []byte(text), nil)
	if !ok {
		return nil
	}
	return doc
}

func marshal(t *testing.T, doc any) bson.Raw {
	t.Helper()
	raw, err := bson.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestASubDocumentHasTheTypesThatTheNodeDriverGives(t *testing.T) {
	for _, tt := range []struct {
		json string
		want any
	}{
		{`{}`, bson.D{}},
		{` { "a" : [ ] , "b" : { } } `, bson.D{{Key: "a", Value: bson.A{}}, {Key: "b", Value: bson.D{}}}},
		{`{"a":null,"b":true,"c":false}`, bson.D{{Key: "a", Value: nil}, {Key: "b", Value: true}, {Key: "c", Value: false}}},
		{`{"a":0,"b":-1,"c":2147483647,"d":-2147483648}`, bson.D{
			{Key: "a", Value: int32(0)},
			{Key: "b", Value: int32(-1)},
			{Key: "c", Value: int32(math.MaxInt32)},
			{Key: "d", Value: int32(math.MinInt32)},
		}},
		{`{"a":2147483648,"b":9007199254740991,"c":1.5,"d":-0,"e":1e3}`, bson.D{
			{Key: "a", Value: float64(1 << 31)},
			{Key: "b", Value: float64(1<<53 - 1)},
			{Key: "c", Value: 1.5},
			{Key: "d", Value: math.Copysign(0, -1)},
			{Key: "e", Value: 1000.0},
		}},
		{`{"a":"","b":"schlüssel 🔑","c":"\u0000\"\\\/\b\f\n\r\t\ud83d\udd11"}`, bson.D{
			{Key: "a", Value: ""}, {Key: "b", Value: "schlüssel 🔑"}, {Key: "c", Value: "\x00\"\\/\b\f\n\r\t🔑"},
		}},
		{`{"":1,"a.b":2,"$set":{"$inc":3},"\"":4}`, bson.D{
			{Key: "", Value: int32(1)},
			{Key: "a.b", Value: int32(2)},
			{Key: "$set", Value: bson.D{{Key: "$inc", Value: int32(3)}}},
			{Key: `"`, Value: int32(4)},
		}},
		{`{"a":[1,[2,{"b":"c"}],null]}`, bson.D{{Key: "a", Value: bson.A{int32(1), bson.A{int32(2), bson.D{{Key: "b", Value: "c"}}}, nil}}}},
		{`{"cookie":{"expires":"2026-01-02T03:04:05.678Z","path":"/"},"expires":"2026-01-02T03:04:05.678Z","x":{"cookie":{"expires":"2026-01-02T03:04:05.678Z"}}}`, bson.D{
			{Key: "cookie", Value: bson.D{{Key: "expires", Value: time.UnixMilli(1767323045678)}, {Key: "path", Value: "/"}}},
			{Key: "expires", Value: "2026-01-02T03:04:05.678Z"},
			{Key: "x", Value: bson.D{{Key: "cookie", Value: bson.D{{Key: "expires", Value: "2026-01-02T03:04:05.678Z"}}}}},
		}},
		{`{"cookie":{"expires":"2026-01-02T03:04:05Z"}}`, bson.D{{Key: "cookie", Value: bson.D{{Key: "expires", Value: "2026-01-02T03:04:05Z"}}}}},
		{`{"cookie":{"expires":null}}`, bson.D{{Key: "cookie", Value: bson.D{{Key: "expires", Value: nil}}}}},
		{`{"cookie":"none"}`, bson.D{{Key: "cookie", Value: "none"}}},
	} {
		if got, want := object(tt.json), marshal(t, tt.want); !bytes.Equal(got, want) {
			t.Errorf("%s became %v, want %v", tt.json, got, want)
		}
	}
}

func TestWhatASubDocumentCannotStandForIsKeptAsAString(t *testing.T) {
	s := &Store{opts: Options{Objects: true}}
	deep := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat(`]}`, n/2) }
	for _, text := range []string{
		`[1]`, `"a"`, `1`, `null`, ``, ` `, `{`, `{"a":1}}`, `{"a":1,}`, `nonsense`,
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"x":[{"a":1,"b":2,"a":3}]}`, `{"a\u0000":1}`, `{"a":1e999}`,
		deep(maxDepth + 1),
	} {
		c := s.content([]byte(text), content{})
		if c.object != nil || string(c.text) != text || string(c.data()) != text {
			t.Errorf("%.40s is kept as %v, want a string", text, c)
		}
	}
	if c := s.content([]byte(deep(maxDepth-1)), content{}); c.object == nil {
		t.Errorf("%d levels are not kept as a sub-document", maxDepth-1)
	}
}

func TestASubDocumentReadsAsJSONStringifyWritesIt(t *testing.T) {
	id, err := bson.ObjectIDFromHex("0123456789abcdef01234567")
	if err != nil {
		t.Fatal(err)
	}
	decimal, err := bson.ParseDecimal128("1.50")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		value any
		want  string
	}{
		{int32(-7), `-7`},
		{int64(9007199254740993), `9007199254740993`},
		{1.5, `1.5`},
		{3.0, `3`},
		{1e21, `1e+21`},
		{1e-7, `1e-7`},
		{math.NaN(), `null`},
		{math.Inf(1), `null`},
		{true, `true`},
		{nil, `null`},
		{"<a>&\"\\\n\x01é", `"<a>&\"\\\n\u0001é"`},
		{"\xff", "\"\uFFFD\""},
		{"\u2028\uFFFD\x7f", "\"\u2028\uFFFD\x7f\""},
		{"\b\f\n\r\t\x00\x1f", `"\b\f\n\r\t\u0000\u001f"`},
		{time.UnixMilli(5), `"1970-01-01T00:00:00.005Z"`},
		{time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), `{"$date":{"$numberLong":"317336745600000"}}`},
		{id, `"0123456789abcdef01234567"`},
		{bson.Binary{Data: []byte("abc")}, `"YWJj"`},
		{decimal, `{"$numberDecimal":"1.50"}`},
		{bson.Symbol("s"), `"s"`},
		{bson.A{int32(1), bson.Undefined{}, "x"}, `[1,null,"x"]`},
		{bson.D{{Key: "a", Value: bson.Undefined{}}, {Key: "é\"", Value: bson.A{}}}, `{"é\"":[]}`},
		{bson.Regex{Pattern: "a", Options: "i"}, `{"$regularExpression":{"pattern":"a","options":"i"}}`},
		{bson.Timestamp{T: 1, I: 2}, `{"$timestamp":{"t":1,"i":2}}`},
		{bson.MinKey{}, `{"$minKey":1}`},
		{bson.MaxKey{}, `{"$maxKey":1}`},
		{bson.JavaScript("f()"), `{"$code":"f()"}`},
		{bson.CodeWithScope{Code: "f()", Scope: bson.D{}}, `null`},
		{bson.DBPointer{DB: "db", Pointer: id}, `{"$dbPointer":{"$ref":"db","$id":{"$oid":"0123456789abcdef01234567"}}}`},
	} {
		got := appendDocument(nil, marshal(t, bson.D{{Key: "v", Value: tt.value}}))
		if string(got) != `{"v":`+tt.want+`}` {
			t.Errorf("%T %v reads as %s, want %s", tt.value, tt.value, got, tt.want)
		}
		if !json.Valid(got) {
			t.Errorf("%T %v reads as %s, which is no JSON", tt.value, tt.value, got)
		}
	}
}

func TestTypesThatJSONHasNotSurviveUntilTheirMemberIsSet(t *testing.T) {
	s := &Store{opts: Options{Objects: true}}
	when := time.UnixMilli(0)
	loaded := content{object: marshal(t, bson.D{
		{Key: "when", Value: when},
		{Key: "long", Value: int64(9007199254740993)},
		{Key: "bin", Value: bson.Binary{Data: []byte("abc")}},
		{Key: "deep", Value: bson.D{{Key: "list", Value: bson.A{when, 3.0}}}},
		{Key: "gone", Value: when},
	})}
	const was = `{"when":"1970-01-01T00:00:00.000Z","long":9007199254740993,"bin":"YWJj","deep":{"list":["1970-01-01T00:00:00.000Z",3]},"gone":"1970-01-01T00:00:00.000Z"}`
	if got := loaded.data(); string(got) != was {
		t.Fatalf("it reads as %s, want %s", got, was)
	}
	next := s.content([]byte(`{"bin":"YWJk","when":"1970-01-01T00:00:00.000Z","new":"1970-01-01T00:00:00.000Z","long":9007199254740993,"deep":{"list":["1970-01-01T00:00:00.000Z",3]}}`), loaded)
	want := marshal(t, bson.D{
		{Key: "bin", Value: "YWJk"},
		{Key: "when", Value: when},
		{Key: "new", Value: "1970-01-01T00:00:00.000Z"},
		{Key: "long", Value: int64(9007199254740993)},
		{Key: "deep", Value: bson.D{{Key: "list", Value: bson.A{when, 3.0}}}},
	})
	if !bytes.Equal(next.object, want) || next.json != nil {
		t.Errorf("it was written as %v beside %q, want %v", next.object, next.json, want)
	}
}

func TestTheTextBesideASubDocumentCountsAsLongAsItSaysTheSame(t *testing.T) {
	s := &Store{opts: Options{Objects: true}}
	const text = `{"id":12345678901234567890, "one":1.0,"when":"1970-01-01T00:00:00.000Z","lone":"\ud83e"}`
	c := s.content([]byte(text), content{object: marshal(t, bson.D{{Key: "when", Value: time.UnixMilli(0)}})})
	if string(c.json) != text || string(c.data()) != text {
		t.Fatalf("%v beside %s reads as %s, want %s", c.object, c.json, c.data(), text)
	}
	if v := c.object.Lookup("when"); v.Type != bson.TypeDateTime {
		t.Errorf("when is a %v, want the date that it was", v.Type)
	}
	// An Express app increments one and leaves the text as it was.
	c.object = marshal(t, bson.D{{Key: "id", Value: 12345678901234567890.0}, {Key: "one", Value: 2.0}})
	if got := c.data(); string(got) != `{"id":12345678901234567000,"one":2}` {
		t.Errorf("it reads as %s, want what the sub-document says", got)
	}
	// What is written then needs no text.
	next := s.content([]byte(`{"one":3}`), c)
	if next.json != nil {
		t.Errorf("beside %v stands %s, want nothing", next.object, next.json)
	}
}

// Documents that connect-mongo 6.0.0 wrote with mongodb 6, with touchAfter, from
// one session in either form.
const (
	expressObject = "qQEAAAJfaWQABQAAAHNpZDEAA3Nlc3Npb24AZgEAAANjb29raWUAegAAABBvcmlnaW5hbE1heEFnZQBg6gAACnBhcnRpdGlvbmVkAApwcmlvcml0eQAJZXhwaXJlcwB64D3+oQEAAApzZWN1cmUACGh0dHBPbmx5AAEKZG9tYWluAAJwYXRoAAIAAAAvAAJzYW1lU2l0ZQAEAAAAbGF4AAACdXNlcgAEAAAAYm9iABBuAAEAAAABYmlnAP///////z9DAWYAAAAAAAAA+D8QdGhyZWUAAwAAAARsaXN0ACYAAAAQMAABAAAAAjEABAAAAHR3bwAKMgADMwAJAAAACHgAAQAACXdoZW4AAAAAAAAAAAAHaWQAASNFZ4mrze8BI0VnBWJpbgADAAAAAGFiYxJsb25nAAEAAAAAACAAE2RlYwCWAAAAAAAAAAAAAAAAADwwAmh0bWwABQAAADxhPiYAAnVuaQAQAAAAc2NobMO8c3NlbCDwn5SRAAp1bmQAAAlleHBpcmVzAHrgPf6hAQAACWxhc3RNb2RpZmllZAAa9jz+oQEAAAA="
	expressString = "hQEAAAJfaWQABQAAAHNpZDEAAnNlc3Npb24APgEAAHsiY29va2llIjp7Im9yaWdpbmFsTWF4QWdlIjo2MDAwMCwiZXhwaXJlcyI6IjIwMjYtMTEtMjFUMTM6MTM6NTAuNDkyWiIsImh0dHBPbmx5Ijp0cnVlLCJwYXRoIjoiLyIsInNhbWVTaXRlIjoibGF4In0sInVzZXIiOiJib2IiLCJuIjoxLCJiaWciOjkwMDcxOTkyNTQ3NDA5OTEsImYiOjEuNSwidGhyZWUiOjMsImxpc3QiOlsxLCJ0d28iLG51bGwseyJ4Ijp0cnVlfV0sIndoZW4iOiIxOTcwLTAxLTAxVDAwOjAwOjAwLjAwMFoiLCJpZCI6IngiLCJiaW4iOiJ5IiwibG9uZyI6MSwiZGVjIjoxLCJodG1sIjoiPGE+JiIsInVuaSI6InNjaGzDvHNzZWwg8J+UkSJ9AAlleHBpcmVzAJzgPf6hAQAACWxhc3RNb2RpZmllZAA99jz+oQEAAAA="
)

func TestDocumentsOfExpress(t *testing.T) {
	const (
		head = `{"cookie":{"originalMaxAge":60000,`
		tail = `"user":"bob","n":1,"big":9007199254740991,"f":1.5,"three":3,"list":[1,"two",null,{"x":true}],"when":"1970-01-01T00:00:00.000Z",`
		last = `"html":"<a>&","uni":"schlüssel 🔑"`
	)
	for _, tt := range []struct {
		document, want string
	}{
		{expressString, head + `"expires":"2026-11-21T13:13:50.492Z","httpOnly":true,"path":"/","sameSite":"lax"},` + tail + `"id":"x","bin":"y","long":1,"dec":1,` + last + `}`},
		{expressObject, head + `"partitioned":null,"priority":null,"expires":"2026-11-21T13:13:50.458Z","secure":null,"httpOnly":true,"domain":null,"path":"/","sameSite":"lax"},` + tail +
			`"id":"0123456789abcdef01234567","bin":"YWJj","long":9007199254740993,"dec":{"$numberDecimal":"1.50"},` + last + `,"und":null}`},
	} {
		raw, err := base64.StdEncoding.DecodeString(tt.document)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{{}, {opts: Options{Objects: true}}} {
			rec, ok := s.record("sid1", raw)
			if !ok || string(rec.Data) != tt.want {
				t.Fatalf("Objects: %v: it reads as %s, %v; want %s", s.opts.Objects, rec.Data, ok, tt.want)
			}
			// Written again, in the form that is set, it reads the same.
			next := s.content(rec.Data, s.contentOf(rec))
			if (next.object != nil) != s.opts.Objects || string(next.data()) != tt.want {
				t.Errorf("Objects: %v: it was written as %v %s, which reads as %s", s.opts.Objects, next.object, next.text, next.data())
			}
			if rec.Token != nil && s.opts.Objects && s.contentOf(rec).object != nil && !bytes.Equal(next.object, bson.Raw(raw).Lookup("session").Value) {
				t.Errorf("a sub-document without a change was written as %v, was %v", next.object, bson.Raw(raw).Lookup("session"))
			}
		}
	}
}

func TestADocumentOfAnotherShapeIsNoSession(t *testing.T) {
	for _, doc := range []bson.D{
		{},
		{{Key: "session", Value: nil}},
		{{Key: "session", Value: int32(1)}},
		{{Key: "session", Value: bson.A{"a"}}},
		{{Key: "session", Value: bson.Binary{Data: []byte("{}")}}},
	} {
		if c, ok := contentOf(marshal(t, doc)); ok {
			t.Errorf("%v was taken for the session %s", doc, c.data())
		}
	}
	for _, text := range []any{int32(1), bson.D{}, bson.A{"{}"}, bson.Binary{Data: []byte("{}")}} {
		if c, ok := contentOf(marshal(t, bson.D{{Key: "session", Value: bson.D{}}, {Key: "sessionJSON", Value: text}})); ok {
			t.Errorf("with %v for sessionJSON, this was taken for a session: %s", text, c.data())
		}
	}
	if c, ok := contentOf(marshal(t, bson.D{{Key: "session", Value: bson.D{}}, {Key: "sessionJSON", Value: nil}})); !ok || c.json != nil {
		t.Errorf("a field sessionJSON that is null was taken for a text: %q, %v", c.json, ok)
	}
}

// Whatever JSON a session is, the store gives back the same bytes, and a
// sub-document that it made is one that the driver can read.
func FuzzASessionSurvivesTheObjectForm(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":[1,-0,1.0,1e3,12345678901234567890,0.1],"b":{"c":null,"d":"\ud83e"}}`,
		`{"cookie":{"originalMaxAge":60000,"expires":"2026-01-02T03:04:05.678Z"},"a\u0000":1}`,
		` {"a" : "\u2028<>&" , "a":1}`, `[1]`, `"x"`, "{\"\xff\":\"\xff\"}", `{"a":1e999}`,
	} {
		f.Add([]byte(text), []byte(text))
	}
	s := &Store{opts: Options{Objects: true}}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var rec store.Record
		for _, data := range [][]byte{first, second, first} {
			c := s.content(data, s.contentOf(rec))
			if got := c.data(); !bytes.Equal(got, data) {
				t.Fatalf("%q became %v and reads as %q", data, c.object, got)
			}
			if c.object != nil {
				if err := c.object.Validate(); err != nil {
					t.Fatalf("%q became no BSON: %v", data, err)
				}
				if !json.Valid(data) {
					t.Fatalf("%q is no JSON and became %v", data, c.object)
				}
			}
			rec = store.Record{Data: data, Token: c}
		}
	})
}

// Whatever bytes the server sends as a document, reading them does not fail but
// by an error, costs bounded memory, and gives JSON that is written back as what
// it was.
//
// Standards: ASVS-1.5.2
func FuzzADocumentOfTheServer(f *testing.F) {
	for _, doc := range []any{
		bson.D{},
		bson.D{{Key: "session", Value: "{}"}},
		bson.D{{Key: "session", Value: bson.D{{Key: "a", Value: int32(1)}}}},
		bson.D{{Key: "_id", Value: "x"}, {Key: "session", Value: bson.D{{Key: "cookie", Value: bson.D{{Key: "expires", Value: time.UnixMilli(0)}}}}}, {Key: "json", Value: `{"cookie":{}}`}},
		bson.D{{Key: "session", Value: bson.D{
			{Key: "a", Value: bson.A{int32(1), int64(2), 3.5, true, nil, "x", bson.A{}, bson.D{}}},
			{Key: "b", Value: bson.Binary{Data: []byte{1}}},
			{Key: "c", Value: bson.Regex{Pattern: "a"}},
			{Key: "d", Value: bson.Timestamp{T: 1}},
			{Key: "e", Value: bson.MinKey{}},
			{Key: "f", Value: bson.CodeWithScope{Code: "x", Scope: bson.D{}}},
			{Key: "g", Value: bson.NewObjectID()},
			{Key: "h", Value: bson.JavaScript("x")},
			{Key: "i", Value: bson.Symbol("x")},
			{Key: "j", Value: bson.Undefined{}},
			{Key: "k", Value: bson.DBPointer{DB: "x"}},
		}}},
	} {
		raw, err := bson.Marshal(doc)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	for _, text := range []string{expressObject, expressString} {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, s := range []*Store{{}, {opts: Options{Objects: true}}} {
			var (
				rec store.Record
				ok  bool
			)
			if cost, most := allocated(func() { rec, ok = s.record("id", doc) }), 4<<20+200*len(doc); cost > most {
				t.Errorf("%d bytes cost %d bytes, want at most %d", len(doc), cost, most)
			}
			if !ok {
				continue // no session
			}
			if s.contentOf(rec).object == nil || bson.Raw(doc).Validate() != nil {
				continue // a string, or damage in what the server must not send
			}
			if !json.Valid(rec.Data) {
				t.Fatalf("%v reads as %q, which is no JSON", bson.Raw(doc), rec.Data)
			}
			next := s.content(rec.Data, s.contentOf(rec))
			if got := next.data(); !bytes.Equal(got, rec.Data) {
				t.Errorf("%v reads as %q, and written again as %q", bson.Raw(doc), rec.Data, got)
			}
		}
	})
}

// allocated returns how many bytes fn allocates, give or take a megabyte or two:
// the runtime counts what is left of small allocations later.
func allocated(fn func()) int {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	before := sample[0].Value.Uint64()
	fn()
	metrics.Read(sample)
	return int(sample[0].Value.Uint64() - before)
}
