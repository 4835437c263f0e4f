package takeover_test

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover/internal/vectors"
)

// Nothing of the app's is registered here: package vectors has the test with its types.

func load(t testing.TB) []vectors.Vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	all, err := vectors.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// one returns the vector with that id.
func one(t testing.TB, id string) vectors.Vector {
	t.Helper()
	for _, v := range load(t) {
		if v.ID == id {
			return v
		}
	}
	t.Fatalf("there is no vector %s", id)
	return vectors.Vector{}
}

func TestEverySessionIsReadThoughNoTypeIsRegistered(t *testing.T) {
	read := 0
	for _, v := range load(t) {
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
			named := 0
			for _, e := range v.Expect {
				name, ok := e.Key.(string)
				if !ok || e.KeyType != "string" {
					continue
				}
				named++
				got, err := json.Marshal(s.Values[name])
				if err != nil {
					t.Fatal(err)
				}
				if want := byGoNames(t, e); !reflect.DeepEqual(parse(t, got), want) {
					t.Errorf("%s is %s, want %v", name, got, want)
				}
				if kind := reflect.TypeOf(s.Values[name]).String(); isBasic(e.GoType) && v.Codec != "json" && e.GoType != "complex128" && kind != e.GoType {
					t.Errorf("%s is of type %s, want %s", name, kind, e.GoType)
				}
			}
			if len(s.Values) != named || s.Dropped != len(v.Expect)-named {
				t.Errorf("%d values, and %d dropped, want %d and %d", len(s.Values), s.Dropped, named, len(v.Expect)-named)
			}
			if len(s.Key) == 0 || len(s.Version) == 0 || s.Stored != (v.Kind != "cookie") {
				t.Errorf("%d bytes of key, %d of version, stored %v", len(s.Key), len(s.Version), s.Stored)
			}
		})
	}
	if read != 48 {
		t.Errorf("%d vectors were read, want 48", read)
	}
}

func TestWhatTheLibraryWouldRefuseIsRefused(t *testing.T) {
	refused := 0
	for _, v := range load(t) {
		if v.Refused == "" {
			continue
		}
		refused++
		r, err := v.Request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if s, err := v.Source().Find(t.Context(), r); !errors.Is(err, predecessor.ErrNone) {
			t.Errorf("%s: found %d values, error %v, although %s", v.ID, len(s.Values), err, v.Refused)
		}
	}
	if refused != 11 {
		t.Errorf("%d vectors were refused, want 11", refused)
	}
}

func isBasic(goType string) bool { return !strings.ContainsAny(goType, ".[]") }

func parse(t *testing.T, text []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// byGoNames returns what a value is without the app's types: structs have the names of
// Go, and no members that are zero.
func byGoNames(t *testing.T, e vectors.Entry) any {
	t.Helper()
	var of any
	switch e.GoType {
	case "app.Account":
		of = new(vectors.Account)
	case "*app.Item":
		of = new(vectors.Item)
	case "[]app.Item":
		of = new([]vectors.Item)
	default:
		return parse(t, e.JSON)
	}
	if err := json.Unmarshal(e.JSON, of); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(untagged(reflect.ValueOf(of)))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}

func untagged(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Pointer:
		return untagged(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Struct {
			break
		}
		all := make([]any, v.Len())
		for i := range all {
			all[i] = untagged(v.Index(i))
		}
		return all
	case reflect.Struct:
		if v.Type().PkgPath() == "time" {
			break
		}
		all := make(map[string]any)
		for i := range v.NumField() {
			if !v.Field(i).IsZero() {
				all[v.Type().Field(i).Name] = untagged(v.Field(i))
			}
		}
		return all
	}
	return v.Interface()
}
