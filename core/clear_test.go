package core_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A clearable is a store of sessions or of lists that can be walked and cleared, one
// record after the other, each of which is a step.
type clearable struct {
	*mapstore.Store
	step func() error
}

func (s clearable) Clear(ctx context.Context) error {
	for _, rec := range sorted(s.Records()) {
		if err := s.step(); err != nil {
			return err
		}
		if err := s.Delete(ctx, rec.ID); err != nil {
			return err
		}
	}
	return nil
}

func (s clearable) All(context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, rec := range sorted(s.Records()) {
			if err := s.step(); !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

func (s clearable) Remove(ctx context.Context, old store.Record) error {
	if err := s.step(); err != nil {
		return err
	}
	return s.Store.Remove(ctx, old)
}

func sorted(records []store.Record) []store.Record {
	slices.SortFunc(records, func(a, b store.Record) int { return strings.Compare(a.ID, b.ID) })
	return records
}

// A clearableUserStore has lists as well.
type clearableUserStore struct {
	*userStore
	step func() error
}

func newClearable() *clearableUserStore {
	return &clearableUserStore{newUserStore(), func() error { return nil }}
}

func (s *clearableUserStore) Clear(ctx context.Context) error {
	return clearable{s.sessions, s.step}.Clear(ctx)
}

func (s *clearableUserStore) UserIndex() store.Store {
	return clearable{s.index.(*mapstore.Store), func() error { return s.step() }}
}

func (s *clearableUserStore) lists() []store.Record { return s.index.(*mapstore.Store).Records() }

func TestClearEndsTheListsToo(t *testing.T) {
	t.Parallel()
	st := newClearable()
	m := process(t, st)
	cookie := ada(t, m)
	unreadable := store.Record{ID: "of whoever has another key", Data: []byte(`{"__sealed":"x"}`), TTL: time.Hour}
	if err := st.index.Create(t.Context(), unreadable); err != nil {
		t.Fatal(err)
	}
	if err := m.Clear(t.Context()); err != nil {
		t.Fatal(err)
	}
	if load(t, m, cookie).User() != "" || len(st.sessions.Records()) != 0 || len(st.lists()) != 0 {
		t.Error("something is left")
	}
	ada(t, m)
	if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 1 || err != nil {
		t.Errorf("%d sessions are listed after the next sign-in, %v", len(all), err)
	}
}

// Wherever Clear fails, and whoever signs in meanwhile, what lives can be revoked.
func TestClearLeavesNothingThatCannotBeRevoked(t *testing.T) {
	t.Parallel()
	users := []string{"ada", "bob"}
	play := func(failsAt, signsInAt int) (failed bool) {
		st := newClearable()
		m := process(t, st)
		enter := func(user string) {
			s := load(t, m, "")
			_ = s.SignIn(t.Context(), user)
			commit(t, m, s, "")
		}
		for range 2 {
			enter("ada")
			enter("bob")
		}
		var mu sync.Mutex // lists are removed several at once
		steps := 0
		st.step = func() error {
			mu.Lock()
			defer mu.Unlock()
			defer func() { steps++ }()
			if steps == signsInAt {
				enter("ada")
			}
			if steps >= failsAt {
				failed = true
				return errors.New("the store is down")
			}
			return nil
		}
		err := m.Clear(t.Context())
		st.step = func() error { return nil }
		if (err != nil) != failed {
			t.Errorf("failed at %d: %v", failsAt, err)
		}
		for _, user := range users {
			if err := m.RevokeUser(t.Context(), user); err != nil {
				t.Error(err)
			}
		}
		if n := len(st.sessions.Records()); n != 0 {
			t.Errorf("failed at %d, with a sign-in at %d: %d sessions live that nobody can revoke", failsAt, signsInAt, n)
		}
		return failed
	}
	failsAt := 0
	for ; ; failsAt++ {
		failed := false
		for signsInAt := range failsAt + 2 {
			failed = play(failsAt, signsInAt-1) || failed
		}
		if !failed {
			break
		}
	}
	if failsAt < 8 {
		t.Errorf("Clear took %d steps", failsAt)
	}
}

// A sign-in that began before everything was revoked does not get through because
// the list that remembers it is cleared.
func TestClearKeepsInMindWhatWasRevoked(t *testing.T) {
	t.Parallel()
	st := newClearable()
	m := process(t, st)
	ada(t, m)
	s := load(t, m, "")
	_ = signIn(s)
	for _, do := range []func() error{
		func() error { return m.RevokeUser(t.Context(), "ada") },
		func() error { return m.Clear(t.Context()) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Save(t.Context()); !errors.Is(err, core.ErrRevoked) {
		t.Errorf("the sign-in: %v", err)
	}
}

// A store whose lists cannot be walked keeps them until they end.
func TestClearOfAStoreThatCannotWalkItsLists(t *testing.T) {
	t.Parallel()
	st := &clearableSessions{newUserStore()}
	m := process(t, st)
	ada(t, m)
	if err := m.Clear(t.Context()); err != nil || len(st.sessions.Records()) != 0 {
		t.Errorf("sessions are left: %v", err)
	}
	if all, err := walk(m.Sessions(t.Context(), "ada")); len(all) != 0 || err != nil {
		t.Errorf("%d sessions are listed, %v", len(all), err)
	}
}

type clearableSessions struct{ *userStore }

func (s *clearableSessions) Clear(ctx context.Context) error {
	return clearable{s.sessions, func() error { return nil }}.Clear(ctx)
}
