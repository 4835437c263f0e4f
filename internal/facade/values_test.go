package facade

import (
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// A fragile value panics when a gob of it is decoded.
type fragile struct{}

func (fragile) GobEncode() ([]byte, error) { return []byte{1}, nil }
func (*fragile) GobDecode([]byte) error    { panic("fragile") }

// What is stored may be of another version of the app, or of nobody that it knows: it is
// unreadable, and ends no request.
func TestWhatPanicsWhenItIsDecodedIsUnreadable(t *testing.T) {
	gob.Register(fragile{})
	raw, err := Encode(fragile{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Decode(raw); !errors.Is(err, ErrUnreadable) {
		t.Errorf("it is %v, %v; want ErrUnreadable", v, err)
	}
	list, err := json.Marshal(tagged{"list", json.RawMessage("[" + string(raw) + "]")})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Decode(list); !errors.Is(err, ErrUnreadable) {
		t.Errorf("in a list it is %v, %v; want ErrUnreadable", v, err)
	}
}

// A former store has one session, with these values.
type former map[string]any

func (former) CookieNames() []string { return nil }

func (f former) Find(context.Context, *http.Request) (predecessor.Session, error) {
	return predecessor.Session{Values: f}, nil
}

func (former) Forget(context.Context, *http.Request) ([]*http.Cookie, error) { return nil, nil }

// What a visitor wrote into an object of JSON chooses no type, and no gob is made of it.
func TestAnObjectOfJSONIsNotTakenForAValueWithAType(t *testing.T) {
	s, err := typed{former{
		"plain":  map[string]any{"go": nil, "value": "x"},
		"gob":    map[string]any{"$go": "gob", "value": "AAAA", "n": json.Number("7")},
		"folded": map[string]any{"$GO": "int8", "value": json.Number("7"), "other": nil},
	}}.Find(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Decode(s.Values["plain"].(json.RawMessage))
	if want := map[string]any{"go": nil, "value": "x"}; err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("an object is %v, %v; want %v", v, err, want)
	}
	if len(s.Values) != 1 || s.Dropped != 2 {
		t.Errorf("there are %d values, and %d were dropped; want 1 and 2", len(s.Values), s.Dropped)
	}
}
