package core_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A damagedStore is a store under some of whose ids there is something that is no
// record.
type damagedStore struct {
	store.Store
	mu  sync.Mutex
	ids []string
}

func (s *damagedStore) damage(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids = append(s.ids, id)
}

func (s *damagedStore) isDamaged(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.ids, id)
}

func (s *damagedStore) Load(ctx context.Context, id string) (store.Record, error) {
	if s.isDamaged(id) {
		return store.Record{}, store.ErrUndecodable
	}
	return s.Store.Load(ctx, id)
}

func (s *damagedStore) Update(ctx context.Context, old, next store.Record) error {
	if s.isDamaged(old.ID) {
		return store.ErrConflict
	}
	return s.Store.Update(ctx, old, next)
}

func (s *damagedStore) Delete(ctx context.Context, id string) error {
	s.mu.Lock()
	s.ids = slices.DeleteFunc(s.ids, func(other string) bool { return other == id })
	s.mu.Unlock()
	return s.Store.Delete(ctx, id)
}

// What the store finds to be no record is what core finds to be none: the session is
// gone, which is said once.
func TestWhatIsNoRecordToTheStoreCountsAsGone(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	damaged := &damagedStore{Store: st.store.Store}
	st.store.Store = damaged
	cookie := st.signIn()
	id := st.idOf(cookie)

	// While a request is under way, it notices when it stores something.
	a := st.visit(cookie, func(s *core.Session) {
		damaged.damage(id)
		s.Set("n", 1)
	})
	if a.status != http.StatusConflict {
		t.Errorf("a change of what became no record: status %d, want 409", a.status)
	}
	for range 3 {
		a := st.visit(cookie, func(s *core.Session) {
			if s.Status() != core.StatusUnknown || s.ID() == id || s.Has("user") {
				t.Errorf("the session is %v", s.Status())
			}
		})
		if a.status != http.StatusOK || a.setCookie != "" {
			t.Errorf("a page: status %d, Set-Cookie %q; want 200 and none", a.status, a.setCookie)
		}
	}
	if err := st.Edit(t.Context(), id, func(*core.Session) error { return nil }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Edit returned %v", err)
	}
	// The visitor can begin anew, and what is there stays.
	a = st.visit(cookie, func(s *core.Session) { s.Set("user", "ada") })
	if a.status != http.StatusOK || a.cookie == cookie || st.idOf(a.cookie) == id {
		t.Errorf("a new session: status %d", a.status)
	}
	if !damaged.isDamaged(id) {
		t.Error("what is no record was removed")
	}
	if got := st.log.count("cannot be decoded"); got != 1 || st.events.count(core.EventUndecodable) != 1 {
		t.Errorf("reported %d times and by %d events, want once:\n%s", got, st.events.count(core.EventUndecodable), st.log)
	}
	if got := st.events.count(core.EventStoreError); got != 0 {
		t.Errorf("%d failures of the store are reported, want none", got)
	}
}

// The list of a user goes by the rule for one that core cannot decode: who signs in
// gets a new one.
func TestAListThatIsNoRecordToTheStoreIsBegunAnew(t *testing.T) {
	t.Parallel()
	users := newUserStore()
	lists := &damagedStore{Store: users.index}
	users.index = lists
	st := newStage(t, core.Config{Store: users, MaxSessionsPerUser: 2})
	first := st.logIn("", "ada")
	list := lists.Store.(*mapstore.Store).Records()[0].ID
	lists.damage(list)

	if got := st.userOf(first); got != "ada" {
		t.Errorf("a page of a session in the list is %q's, want ada's", got)
	}
	second := st.logIn("", "ada")
	if got := st.userOf(second); got != "ada" {
		t.Errorf("who signs in then is %q", got)
	}
	if err := st.RevokeUser(t.Context(), "ada"); err != nil {
		t.Errorf("RevokeUser returned %v", err)
	}
	if got := st.userOf(second); got != "" {
		t.Errorf("after RevokeUser it is the session of %q", got)
	}
	if got := st.log.count("cannot be decoded"); got != 1 {
		t.Errorf("reported %d times, want once:\n%s", got, st.log)
	}
	if strings.Contains(st.log.String(), list) {
		t.Errorf("the log has the id of the list:\n%s", st.log)
	}
}

// A store that does not say what went wrong fails a request at once, be it one that
// reads or one that writes.
func TestAStoreThatJustFailsIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faulty := &faultyStore{Store: new(mapstore.Store)}
		m := process(t, faulty)
		cookie := visitor(t, m, func(s *core.Session) { counter.Set(s, 1) })
		open := load(t, m, cookie)
		faulty.down(errors.New("database is closed"))
		for name, call := range map[string]func() error{
			"a page that reads": func() error { _, err := m.Load(t.Context(), cookie); return err },
			"a page that makes a session": func() error {
				s := load(t, m, "")
				counter.Set(s, 1)
				_, err := m.Commit(t.Context(), s, false)
				return err
			},
			"a page that changes one": func() error {
				counter.Set(open, 2)
				_, err := m.Commit(t.Context(), open, false)
				return err
			},
		} {
			before := time.Now()
			err := call()
			var failure *store.Error
			if !errors.As(err, &failure) {
				t.Errorf("%s: %v, want a store.Error", name, err)
			}
			if took := time.Since(before); took > 10*time.Millisecond { // of the bubble's clock
				t.Errorf("%s took %v", name, took)
			}
		}
	})
}
