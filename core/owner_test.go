package core

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// The law: whose session it is is read as encoding/json does it, whoever wrote it.
func TestWhoseSessionItIsIsReadAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{"name":"ada","handle":"h","until":1763715600000,"by":["password","totp"],"device":"a browser","net":"192.0.2.0/24"}`,
		`{"name":"ada","handle":"h","peer":true}`, `{"name":"a\"da","handle":"h"}`, `{"name":"ada", "handle":"h"}`, `{"Name":"ada"}`,
		`{"name":"ada","more":1}`, `{"name":"ada","name":"bob"}`, `{"name":"ada","name":7}`, `{"name":7}`, `{"name":"ada","by":[]}`,
		`{"name":"ada","by":["x",7]}`, `{"name":"ada","until":1.5}`, `{"name":"ada","until":"7"}`, `{"name":"ada","peer":null}`, `{"handle":"h"}`, `{}`, `{`,
	} {
		var want signedIn
		wantOK := json.Unmarshal([]byte(raw), &want) == nil && want.Name != ""
		got, ok := signedInOf(&record.Document{Meta: record.Meta{User: []byte(raw)}})
		if ok != wantOK || ok && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v, %v", raw, got, ok, want, wantOK)
		}
	}
}

// The law: what is written is what encoding/json would write, which other versions read.
func TestWhoseSessionItIsIsWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	for _, in := range []signedIn{
		{Name: "ada", Handle: "h"},
		{Name: "ada", Handle: "h", Until: 1763715600000},
		{Name: "ada", Handle: "h", By: []string{"password"}},
		{Name: `a"d\a`, Handle: "h", Until: 1, By: []string{"password", "to\tp"}, Device: "<a browser> \u00e9 \U0001f600", Net: "192.0.2.0/24", Epoch: "e", Peer: true},
		{},
	} {
		want, err := jsontext.Encode(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := in.append(nil); string(got) != string(want) {
			t.Errorf("%+v is written as %s, want %s", in, got, want)
		}
	}
}
