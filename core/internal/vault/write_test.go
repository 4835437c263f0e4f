package vault_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A scripted store is a map whose next calls of a verb that writes go as a script
// says.
type scripted struct {
	*mapstore.Store
	script []reply
	unread error // what Load returns, if anything
}

func (s *scripted) Load(ctx context.Context, id string) (store.Record, error) {
	if s.unread != nil {
		return store.Record{}, s.unread
	}
	return s.Store.Load(ctx, id)
}

// A reply is what becomes of one write.
type reply struct {
	applied bool            // it takes effect
	err     error           // what is answered in place of the truth
	then    func(*scripted) // what somebody else does before the answer
}

// write makes one write go by the script.
func (s *scripted) write(do func() error) error {
	if len(s.script) == 0 {
		return do()
	}
	r := s.script[0]
	s.script = s.script[1:]
	var err error
	if r.applied {
		err = do()
	}
	if r.then != nil {
		r.then(s)
	}
	if r.err != nil {
		return r.err
	}
	return err
}

func (s *scripted) Create(ctx context.Context, rec store.Record) error {
	return s.write(func() error { return s.Store.Create(ctx, rec) })
}

func (s *scripted) Update(ctx context.Context, old, next store.Record) error {
	return s.write(func() error { return s.Store.Update(ctx, old, next) })
}

// errLost says that nobody knows what became of a call.
var errLost = &store.Error{Store: "scripted", Verb: "write", Class: "timeout"}

// errRefused says that a call was not applied.
var errRefused = &store.Error{Store: "scripted", Verb: "write", Outcome: store.OutcomeNotApplied, Class: "read only"}

// document returns one with a value, under the id that all have here.
func document(value string) *record.Document {
	d := &record.Document{Meta: record.Meta{Present: true, Created: 1, Token: record.NewToken()}}
	changes := record.Changes{}
	changes.Set("key", []byte(`"`+value+`"`))
	record.Encode(d, nil, &changes, record.CookieWriter{})
	d.Record = store.Record{ID: "id", Data: d.Text, TTL: time.Hour}
	return d
}

// over returns a vault over a scripted store.
func over(st store.Store) *vault.Vault {
	return vault.New(vault.Options{
		Store: st, Now: time.Now, Remember: time.Hour,
		Failed:   func(context.Context, error) {},
		Damaged:  func(context.Context) {},
		Leftover: func(context.Context, error) {},
	})
}

// value returns what the store has, as it was read.
func value(t *testing.T, v *vault.Vault) string {
	t.Helper()
	d, err := v.Load(t.Context(), "id", 0)
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(d.Get("key"))
}

func TestAnUpdateOfWhichTheStoreCouldNotTellIsSettled(t *testing.T) {
	old, next, other := document("old"), document("next"), document("other")
	replaced := func(s *scripted) {
		_ = s.Delete(context.Background(), "id")
		_ = s.Store.Create(context.Background(), other.Record)
	}
	deleted := func(s *scripted) { _ = s.Delete(context.Background(), "id") }
	late := func(s *scripted) { // the first copy comes after the second one was sent
		_ = s.Store.Update(context.Background(), old.Record, next.Record)
	}
	for _, tt := range []struct {
		name   string
		script []reply
		want   error
		stored string
	}{
		{"it is applied", []reply{{applied: true, err: errLost}}, nil, `"next"`},
		{"it is lost, and sent again", []reply{{err: errLost}}, nil, `"next"`},
		{"it is lost twice", []reply{{err: errLost}, {err: errLost}}, nil, `"next"`},
		{"the first copy comes before the second", []reply{{err: errLost}, {then: late, err: store.ErrConflict}}, nil, `"next"`},
		{"it is refused", []reply{{err: errRefused}}, errRefused, `"old"`},
		{"it is lost, and the second copy is refused: the first may come yet", []reply{{err: errLost}, {err: errRefused}}, vault.ErrUnknownOutcome, `"old"`},
		{"it is lost, and the second copy conflicts with nothing that is there", []reply{{err: errLost}, {err: store.ErrConflict}}, store.ErrConflict, `"old"`},
		{"somebody else wrote meanwhile", []reply{{err: errLost, then: replaced}}, vault.ErrUnknownOutcome, `"other"`},
		{"somebody deleted it meanwhile", []reply{{err: errLost, then: deleted}}, store.ErrNotFound, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &scripted{Store: new(mapstore.Store)}
				v := over(st)
				if err := v.Create(t.Context(), old, false); err != nil {
					t.Fatal(err)
				}
				st.script = tt.script
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				_, err := v.Update(ctx, old, next, 0)
				if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
				if got := value(t, v); got != tt.stored {
					t.Errorf("stored is %s, want %s", got, tt.stored)
				}
			})
		})
	}
}

func TestARecordThatMayBeCreatedLateIsGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name  string
		shown bool
		reply reply
		want  error
	}{
		{"it is applied", false, reply{applied: true, err: errLost}, nil},
		{"it is lost", false, reply{err: errLost}, vault.ErrLate},
		{"it is lost, and somebody was shown the id", true, reply{err: errLost}, nil},
		{"it is refused", false, reply{err: errRefused}, errRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := over(&scripted{Store: new(mapstore.Store), script: []reply{tt.reply}})
				err := v.Create(t.Context(), document("new"), tt.shown)
				if tt.want == nil && err != nil || !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			})
		})
	}
}

func TestASettlementEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &scripted{Store: new(mapstore.Store)}
		v := over(st)
		old := document("old")
		if err := v.Create(t.Context(), old, false); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			st.script = append(st.script, reply{err: errLost})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		before := time.Now()
		if _, err := v.Update(ctx, old, document("next"), 0); !errors.Is(err, vault.ErrUnknownOutcome) {
			t.Errorf("got %v, want ErrUnknownOutcome", err)
		}
		if took := time.Since(before); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// A store hides what it can do beyond the five verbs.
type fiveVerbs struct{ store.Store }

func TestRemoveDeletesNothingElse(t *testing.T) {
	for _, able := range []bool{true, false} {
		inner := new(mapstore.Store)
		v := over(inner)
		if !able {
			v = over(fiveVerbs{inner})
		}
		old, other, tombstone := document("old"), document("other"), document("tombstone")
		if err := v.Create(t.Context(), other, false); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Remove(t.Context(), old, tombstone, 0); !errors.Is(err, store.ErrConflict) || value(t, v) != `"other"` {
			t.Errorf("able %v: %v, and %s is stored", able, err, value(t, v))
		}
		if _, err := v.Remove(t.Context(), other, tombstone, 0); err != nil || value(t, v) != "" {
			t.Errorf("able %v: %v, and %s is stored", able, err, value(t, v))
		}
		if _, err := v.Remove(t.Context(), other, tombstone, 0); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("able %v: %v, want ErrNotFound", able, err)
		}
	}
}

// What a store says of a read that failed decides whether it is asked again: a
// plain error does not say that there is any use in that.
func TestASettlementEndsAtAReadThatFailsForAReasonNobodyKnows(t *testing.T) {
	errPlain := errors.New("database is closed")
	for _, tt := range []struct {
		name   string
		unread error
		took   time.Duration
	}{
		{"a plain error", errPlain, 5 * time.Millisecond}, // the first wait
		{"a store.Error without a class", &store.Error{Store: "scripted", Verb: "load", Err: errPlain}, 5 * time.Millisecond},
		{"a store.Error that says why", &store.Error{Store: "scripted", Verb: "load", Class: "connection failed"}, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				old := document("old")
				for verb, write := range map[string]func(v *vault.Vault, ctx context.Context) error{
					"create": func(v *vault.Vault, ctx context.Context) error { return v.Create(ctx, document("new"), false) },
					"update": func(v *vault.Vault, ctx context.Context) error {
						_, err := v.Update(ctx, old, document("next"), 0)
						return err
					},
				} {
					v := over(&scripted{Store: new(mapstore.Store), script: []reply{{err: errPlain}}, unread: tt.unread})
					ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
					defer cancel()
					before := time.Now()
					if err := write(v, ctx); !errors.Is(err, vault.ErrUnknownOutcome) {
						t.Errorf("%s: got %v, want ErrUnknownOutcome", verb, err)
					}
					if took := time.Since(before); took != tt.took {
						t.Errorf("%s: it took %v, want %v", verb, took, tt.took)
					}
				}
			})
		})
	}
}

// A strange store answers with the record of another id.
type strange struct{ *mapstore.Store }

func (s strange) Load(context.Context, string) (store.Record, error) {
	return store.Record{ID: "other", Data: document("of another").Text}, nil
}

func (s strange) UpdateOrLoad(context.Context, store.Record, store.Record) (store.Record, error) {
	return store.Record{ID: "other", Data: document("of another").Text}, store.ErrConflict
}

func TestARecordOfAnotherIDIsAFailure(t *testing.T) {
	failed := 0
	v := vault.New(vault.Options{
		Store: strange{new(mapstore.Store)}, Now: time.Now,
		Failed: func(context.Context, error) { failed++ },
	})
	doc, err := v.Load(t.Context(), "id", 0)
	var failure *store.Error
	if doc != nil || !errors.As(err, &failure) || failure.Class != "store returned another record" || failed != 1 {
		t.Errorf("Load returned %v, %v, and %d failures are told; want a failure, once", doc, err, failed)
	}
	newer, err := v.Update(t.Context(), document("old"), document("next"), 0)
	if newer != nil || !errors.Is(err, store.ErrConflict) {
		t.Errorf("Update returned %v, %v; want a conflict and no record", newer, err)
	}
}
