package jsontext_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// asObject returns what encoding/json makes of data, and reports whether that is an
// object.
func asObject(data []byte) (map[string]json.RawMessage, bool) {
	var object map[string]json.RawMessage
	err := json.Unmarshal(data, &object)
	return object, err == nil && object != nil
}

// The law: whatever encoding/json accepts as an object, Scan accepts too,
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
		members, ok := jsontext.Scan(data, nil)
		for _, m := range members { // whatever was made out lies inside
			if m.Name > m.NameEnd() || m.NameEnd() >= m.Value || m.Value >= m.ValueEnd || int(m.ValueEnd) > len(data) {
				t.Fatalf("positions %+v of %q", m, data)
			}
		}
		object, valid := asObject(data)
		if !valid {
			return
		}
		if !ok {
			t.Fatalf("%q is an object but Scan refuses it", data)
		}
		for name, want := range object {
			if got := jsontext.Find(data, members, name); !bytes.Equal(got, want) {
				t.Errorf("%q: member %q is %q, want %q", data, name, got, want)
			}
		}
		for _, m := range members {
			name := jsontext.Name(data, m)
			if _, ok := object[name]; !ok || !jsontext.Is(data, m, name) {
				t.Errorf("%q: there is no member %q", data, name)
			}
		}
	})
}

// First is for objects that we wrote: without spaces, and each member once. Of others it
// finds the member or nothing, whatever they are cut to.
func TestFirst(t *testing.T) {
	const object = `{"name":"a \",\"until\":7,","handle":"x","until":1763715600000,"by":["until"],"in":{"deep":2}}`
	for name, want := range map[string]string{
		"name": `"a \",\"until\":7,"`, "until": "1763715600000", "by": `["until"]`, "in": `{"deep":2}`, "deep": "", "x": "",
	} {
		if got := jsontext.First([]byte(object), name); string(got) != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, other := range []string{``, `{}`, `{"x":`, `{"x"`, `{"x":1`, `{"x":1,`, `{ "until":1}`, `["until",1]`, `{"x":1]`} {
		if got := jsontext.First([]byte(other), "until"); got != nil {
			t.Errorf("%s: %q, want nothing", other, got)
		}
	}
	for end := range len(object) {
		got := jsontext.First([]byte(object[:end]), "until")
		if got != nil && string(got) != "1763715600000" {
			t.Errorf("%s: %q", object[:end], got)
		}
	}
}
