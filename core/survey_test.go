package core_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// walkable is a userStore that can be walked, and its lists too.
type walkable struct {
	*userStore
	changed func(rec store.Record) // is called before a record is yielded
}

func (w *walkable) All(context.Context) iter.Seq2[store.Record, error] {
	return records(w.sessions, w.changed)
}

func (w *walkable) UserIndex() store.Store {
	return &walkableLists{w.index, w.index.(*mapstore.Store)}
}

type walkableLists struct {
	store.Store
	lists *mapstore.Store
}

func (w *walkableLists) All(context.Context) iter.Seq2[store.Record, error] {
	return records(w.lists, nil)
}

func records(s *mapstore.Store, before func(store.Record)) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for _, rec := range s.Records() {
			if before != nil {
				before(rec)
			}
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// deployWalkable is deploy on the store as one that can be walked.
func (f *fleet) deployWalkable(cfg core.Config, changed func(store.Record)) *core.Manager {
	f.t.Helper()
	cfg.Store, cfg.Secrets, cfg.Now = &walkable{f.userStore, changed}, []string{strings.Repeat("s", 32)}, f.first.clock.Now
	m, err := core.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return m
}

func reseal(t *testing.T, m *core.Manager) (last core.Resealed) {
	t.Helper()
	for r, err := range m.Reseal(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	return last
}

func survey(t *testing.T, m *core.Manager) core.Survey {
	t.Helper()
	s, err := m.Survey(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Standards: ASVS-11.1.1, ASVS-13.1.4
func TestResealBringsEverythingUnderTheFirstKey(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	phone, tablet := f.rotate() // the phone is under the new key
	m := f.deployWalkable(core.Config{SealKeys: []string{newKey, oldKey}}, nil)
	want := core.Survey{
		Sessions: core.Tally{Looked: 2, Readable: 2, FormerKey: 1}, SignedIn: 2,
		Lists: core.Tally{Looked: 1, Readable: 1, FormerKey: 1},
	}
	if got := survey(t, m); got != want {
		t.Errorf("before: %+v, want %+v", got, want)
	}
	if got, want := reseal(t, m), (core.Resealed{Looked: 3, Written: 2}); got != want {
		t.Errorf("sealed anew: %+v, want %+v", got, want)
	}
	want.Sessions.FormerKey, want.Lists.FormerKey = 0, 0
	if got := survey(t, m); got != want {
		t.Errorf("after: %+v, want %+v", got, want)
	}
	st := f.deploy(core.Config{SealKeys: []string{newKey}}) // the old key is not needed any more
	for _, cookie := range []string{phone, tablet} {
		if user := st.userOf(cookie); user != "ada" {
			t.Errorf("without the old key the user is %q", user)
		}
	}
	if err := st.RevokeUser(t.Context(), "ada"); err != nil || st.userOf(phone) != "" || st.userOf(tablet) != "" {
		t.Errorf("RevokeUser: %v, or a session lives on", err)
	}
}

func TestResealLosesNoChangeOfARequest(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	cookie := f.first.logIn("", "ada")
	writes := 0
	m := f.deployWalkable(core.Config{SealKeys: []string{newKey, oldKey}}, func(store.Record) {
		writes++
		f.first.visit(cookie, func(s *core.Session) { s.Set("n", writes) }) // under the old key, after it was read for the walk
	})
	// Records were read before that change, so that the write of Reseal comes upon another record.
	if r := reseal(t, m); r.Written != 2 {
		t.Errorf("%+v, want 2 written", r)
	}
	st := f.deploy(core.Config{SealKeys: []string{newKey}})
	st.visit(cookie, func(s *core.Session) {
		if n := s.Get("n"); n != writes || writes == 0 {
			t.Errorf("n is %v, want %d", n, writes)
		}
	})
}

func TestSurveyTellsWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.rotate()
	f.sessions.Create(t.Context(), store.Record{ID: "damaged", Data: []byte("{"), TTL: 1e12})
	f.sessions.Create(t.Context(), store.Record{ID: strings.Repeat("h", 43), Data: []byte(`{"cookie":{}}`), TTL: 1e12})
	for name, c := range map[string]struct {
		cfg  core.Config
		want core.Tally
	}{
		"no key":          {core.Config{}, core.Tally{Looked: 4, Readable: 1, UnknownKey: 2, Undecodable: 1}},
		"one of two keys": {core.Config{SealKeys: []string{newKey}}, core.Tally{Looked: 4, Readable: 1, UnknownKey: 1, Unsealed: 2}},
		"a retired key":   {core.Config{SealKeys: []string{newKey}, RetiredSealKeys: []string{oldKey}}, core.Tally{Looked: 4, Readable: 1, RetiredKey: 1, Unsealed: 2}},
	} {
		m := f.deployWalkable(c.cfg, nil)
		s := survey(t, m)
		if s.Sessions != c.want || s.HashedIDs != 1 {
			t.Errorf("%s: %+v, want %+v, and 1 hashed id", name, s, c.want)
		}
		if c.cfg.SealKeys == nil {
			if s.Express != 1 {
				t.Errorf("%d sessions of Express, want 1", s.Express)
			}
			for _, err := range m.Reseal(t.Context()) {
				var wrong *core.ConfigError
				if !errors.As(err, &wrong) {
					t.Errorf("Reseal without keys: %v", err)
				}
			}
			continue
		}
		if r := reseal(t, m); r.Written != min(1, c.want.RetiredKey) || r.Unreadable < 2 { // a list under a retired key is still good
			t.Errorf("%s: %+v was sealed anew", name, r)
		}
	}
	if _, err := f.deploy(core.Config{SealKeys: []string{oldKey}}).Survey(t.Context(), 0); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of a store that cannot list: %v", err)
	}
	if s, _ := f.deployWalkable(core.Config{}, nil).Survey(t.Context(), 1); s.Sessions.Looked != 1 {
		t.Errorf("of one session, %d were looked at", s.Sessions.Looked)
	}
}
