package vectors_test

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/cloakroom-go/cloakroom/takeover/internal/vectors"
)

// A package of its own, because a type that is registered is so for the whole program.

func TestWithTheAppsTypesEveryValueIsWhatItWas(t *testing.T) {
	vectors.Register()
	text, err := os.ReadFile("../../testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	all, err := vectors.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, v := range all {
		if v.Refused != "" {
			continue
		}
		read++
		t.Run(v.ID, func(t *testing.T) {
			r, err := v.Request(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s, err := v.Source().Find(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			dropped := 0
			for _, e := range v.Expect {
				name, ok := e.Key.(string)
				if !ok || e.KeyType != "string" {
					dropped++
					continue
				}
				got, err := json.Marshal(s.Values[name])
				if err != nil {
					t.Fatal(err)
				}
				if !sameJSON(t, got, e.JSON) {
					t.Errorf("%s is %s, want %s", name, got, e.JSON)
				}
			}
			if s.Dropped != dropped || len(s.Values) != len(v.Expect)-dropped {
				t.Errorf("%d values, and %d dropped, want %d and %d", len(s.Values), s.Dropped, len(v.Expect)-dropped, dropped)
			}
			if best, is := s.Values["ptr"].(*vectors.Item); s.Values["ptr"] != nil && (!is || best.SKU != "p-1") {
				t.Errorf("the pointer is a %T", s.Values["ptr"])
			}
		})
	}
	if read != 48 {
		t.Errorf("%d vectors were read, want 48", read)
	}
}

func sameJSON(t *testing.T, a, b []byte) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(x, y)
}
