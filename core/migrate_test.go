package core_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

// After a deployment a key has another type: what was stored before is still there.
func TestAValueOfTheFormerTypeIsMigrated(t *testing.T) {
	t.Parallel()
	type basket struct{ Items []string }
	const key core.Key[basket] = "migrated basket"
	key.Migrate(func(raw json.RawMessage) (basket, error) {
		var one string // of the former version
		if err := json.Unmarshal(raw, &one); err != nil {
			return basket{}, err
		}
		return basket{Items: []string{one}}, nil
	})
	add := func(b basket) basket { return basket{Items: append(b.Items, "a pear")} }
	const former = core.Key[string](key)

	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { former.Set(s, "an apple") }).cookie
	st.visit(cookie, func(s *core.Session) {
		if got, err := key.Lookup(s); err != nil || strings.Join(got.Items, ", ") != "an apple" {
			t.Errorf("it is read as %v, %v", got, err)
		}
		key.Update(s, add)
		st.visit(cookie, func(s *core.Session) { former.Set(s, "a plum") }) // by an instance of the former version
	})
	st.visit(cookie, func(s *core.Session) {
		if got := key.Get(s); strings.Join(got.Items, ", ") != "a plum, a pear" {
			t.Errorf("it is %v, want what was stored meanwhile, migrated and updated", got)
		}
	})

	st.visit(cookie, func(s *core.Session) { s.Set(string(key), []int{1}) }) // of no version
	a := st.visit(cookie, func(s *core.Session) {
		var failure *core.KeyError
		if _, err := key.Lookup(s); !errors.As(err, &failure) || strings.Contains(err.Error(), "unmarshal") {
			t.Errorf("Lookup: %v, want a KeyError that quotes nothing", err)
		}
		key.Update(s, add)
	})
	if a.status != http.StatusInternalServerError {
		t.Errorf("status %d", a.status)
	}
}

func TestAValueOfAnotherTypeStartsOver(t *testing.T) {
	t.Parallel()
	const key core.Key[int] = "starts over"
	key.Migrate(nil)
	st := newStage(t, core.Config{})
	cookie := st.visit("", func(s *core.Session) { s.Set(string(key), "twelve") }).cookie
	for want := 1; want <= 2; want++ {
		a := st.visit(cookie, func(s *core.Session) {
			if got := key.Update(s, func(n int) int { return n + 1 }); got != want {
				t.Errorf("it is %d, want %d", got, want)
			}
		})
		if a.status != http.StatusOK {
			t.Errorf("status %d", a.status)
		}
	}
	const other core.Key[int] = "does not start over"
	cookie = st.visit(cookie, func(s *core.Session) { s.Set(string(other), "twelve") }).cookie
	if a := st.visit(cookie, func(s *core.Session) { other.Update(s, func(n int) int { return n + 1 }) }); a.status != http.StatusInternalServerError {
		t.Errorf("another key: status %d", a.status)
	}
}

// A key whose type was changed in a deployment: it was the name of a single role.
func ExampleKey_Migrate() {
	const roles core.Key[[]string] = "roles"
	roles.Migrate(func(raw json.RawMessage) ([]string, error) {
		var role string
		err := json.Unmarshal(raw, &role)
		return []string{role}, err
	})
}
