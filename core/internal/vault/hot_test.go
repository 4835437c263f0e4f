package vault_test

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// remembering returns a vault that remembers what it read.
func remembering(st store.Store, keys ...*seal.Key) *vault.Vault {
	return vault.New(vault.Options{
		Store: st, Keys: keys, Now: time.Now, Remember: time.Hour, Hot: 1 << 20,
		Failed:   func(context.Context, error) {},
		Damaged:  func(context.Context) {},
		Leftover: func(context.Context, error) {},
	})
}

// shared returns a document that the store may keep as it is.
func shared(v *vault.Vault, text string) *record.Document {
	d := document(text)
	d.Record.Data, d.Record.Shared = v.Seal(d.Record.ID, d.Text), true
	return d
}

// often loads the record so often that it is remembered if it ever is, and returns it.
func often(t *testing.T, v *vault.Vault) (d *record.Document) {
	t.Helper()
	for range 4 {
		var err error
		if d, err = v.Load(t.Context(), "id", 0); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func TestWhatIsReadOftenIsReadOnce(t *testing.T) {
	v := remembering(new(mapstore.Store))
	if err := v.Create(t.Context(), shared(v, "a"), false); err != nil {
		t.Fatal(err)
	}
	if first := often(t, v); often(t, v) != first {
		t.Error("a record that did not change was read again")
	}
	if before := often(t, v); before.IsReadWith(time.Hour) {
		t.Error("what was read with one max age of the configuration would be taken for any other")
	} else if d, err := v.Load(t.Context(), "id", time.Hour); err != nil || d == before || d.Age.Max != time.Hour {
		t.Errorf("with another max age of the configuration the session has %v, %v", d.Age, err)
	}
}

// Standards: ASVS-11.7.2
func TestNothingOfASessionIsRememberedThatHasEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(v *vault.Vault, d *record.Document) error
	}{
		{"Delete", func(v *vault.Vault, _ *record.Document) error { return v.Delete(t.Context(), "id") }},
		{"Remove", func(v *vault.Vault, d *record.Document) error {
			_, err := v.Remove(t.Context(), d, shared(v, "tombstone"), 0)
			return err
		}},
		{"Replace", func(v *vault.Vault, d *record.Document) error {
			retired, next := shared(v, "retired"), shared(v, "next")
			retired.Meta.Retired = &record.Retirement{At: 1}
			next.Record.ID = "next"
			_, err := v.Replace(t.Context(), d, retired, next, false, 0)
			return err
		}},
		{"Forget", func(v *vault.Vault, _ *record.Document) error {
			v.Forget()
			return nil
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := remembering(new(mapstore.Store))
			if err := v.Create(t.Context(), shared(v, "a"), false); err != nil {
				t.Fatal(err)
			}
			d := often(t, v)
			if !v.Remembers("id") {
				t.Fatal("the record is not remembered")
			}
			if err := tt.end(v, d); err != nil {
				t.Fatal(err)
			}
			if v.Remembers("id") {
				t.Error("the record is remembered")
			}
		})
	}
}

// Standards: ASVS-11.7.2
func TestWhatIsSealedIsNotRemembered(t *testing.T) {
	keys, err := seal.NewKeys([]string{"0123456789abcdef0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := remembering(new(mapstore.Store), keys...)
	if err := v.Create(t.Context(), shared(v, "a"), false); err != nil {
		t.Fatal(err)
	}
	if often(t, v); v.Remembers("id") {
		t.Error("what is sealed in the store is remembered open")
	}
}

func TestAStoreThatSharesNothingIsReadEachTime(t *testing.T) {
	v := remembering(&aloof{new(mapstore.Store)})
	if err := v.Create(t.Context(), shared(v, "a"), false); err != nil {
		t.Fatal(err)
	}
	if often(t, v); v.Remembers("id") {
		t.Error("a record is remembered whose bytes may be other ones at any time")
	}
}

// An aloof store does not say that it shares its bytes.
type aloof struct{ store.Store }

func (s *aloof) Load(ctx context.Context, id string) (store.Record, error) {
	rec, err := s.Store.Load(ctx, id)
	rec.Shared = false
	return rec, err
}

func TestAnUpdateIsSeenAtOnce(t *testing.T) {
	st := new(mapstore.Store)
	v, other := remembering(st), remembering(st)
	if err := v.Create(t.Context(), shared(v, "a"), false); err != nil {
		t.Fatal(err)
	}
	for _, writer := range []*vault.Vault{v, other, v, v, other} {
		before := often(t, v)
		often(t, other)
		next := shared(v, "b")
		if _, err := writer.Update(t.Context(), before, next, 0); err != nil {
			t.Fatal(err)
		}
		for _, reader := range []*vault.Vault{v, other} {
			if d, err := reader.Load(t.Context(), "id", 0); err != nil || d.Meta.Token != next.Meta.Token {
				t.Fatalf("after an Update the record is another one (%v)", err)
			}
		}
	}
}
