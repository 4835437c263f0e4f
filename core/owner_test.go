package core

import (
	"encoding/json"
	"reflect"
	"testing"

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
