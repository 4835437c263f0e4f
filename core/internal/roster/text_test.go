package roster_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

// The law: a list is read and written as encoding/json does it.
func FuzzList(f *testing.F) {
	for _, seed := range []string{
		`{"sessions":[],"__cloakroom":{}}`, `{"sessions":null,"__cloakroom":{}}`, `{"Sessions":[{"Key":"a"}]}`, `{"sessions":5}`, `{}`, `[]`,
		`{"mark":"M","revoked":1763715600000000000,"kept":12,"sessions":[{"key":"a","handle":"b","until":1763715600000}],"__cloakroom":{"token":"x"}}`,
		`{"sessions":[{"key":"a","handle":"b","until":1,"state":1},{"key":"c","handle":"b","until":-2,"state":2}],"__cloakroom":{}}`,
		`{"sessions":[{"key":"a","handle":"b","until":1,"state":3}]}`, `{"sessions":[{"key":"a","handle":"b","until":01}]}`,
		`{"sessions":[{"key":"\u0061","handle":"\"","until":1}]}`, `{"sessions":[{"key":"a","handle":"b","until":1},]}`,
		`{"sessions":[ {"key":"a","handle":"b","until":1} ]}`, `{"sessions":[{"key":"a","handle":"b","until":1}{"key":"a","handle":"b","until":1}]}`,
		`{"sessions":[{"handle":"b","key":"a","until":1,"more":2}],"more":3}`, `{"sessions":[{"key":"a","handle":"b","until":1}],"sessions":[]}`,
		`{"sessions":[{"key":"a","handle":"b","until":1,"state":1}],"sessions":[{"key":"c","handle":"d","until":2}],"__cloakroom":{}}`,
		`{"kept":1.5,"sessions":[]}`, `{"revoked":9999999999999999999,"sessions":[]}`, `{"mark":null,"kept":null,"sessions":[]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := roster.Decode(text, nil)
		if !json.Valid(text) {
			return // it may be damaged where nobody looks
		}
		want := new(roster.List)
		if err := json.Unmarshal(text, want); (err == nil) != ok {
			t.Fatalf("%s: read %v, want %v", text, ok, err)
		} else if !ok {
			return
		}
		got.Meta, want.Meta = nil, nil // spaces
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%s is %+v, want %+v", text, got, want)
		}
		written := got.Encode([]byte(`{"token":"x"}`))
		if want.Meta = []byte(`{"token":"x"}`); want.Sessions == nil {
			want.Sessions = []roster.Entry{}
		}
		if json, err := jsontext.Encode(want); err != nil || !bytes.Equal(written, json) {
			t.Fatalf("%s was written as %s, want %s", text, written, json)
		}
	})
}
