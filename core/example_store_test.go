package core_test

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A tinyStore is a complete store: five verbs, each atomic, for which an expired
// record is as good as none. Package storetest reports whether that is so.
type tinyStore struct {
	mu      sync.Mutex
	records map[string]tinyRecord
}

type tinyRecord struct {
	data    []byte
	expires time.Time
}

// do runs a verb on the live record of an id. next is nil to leave it as it is.
func (s *tinyStore) do(ctx context.Context, verb, id string, f func(r tinyRecord, ok bool) (next *tinyRecord, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil { // who gave up has changed nothing
		return &store.Error{Store: "tiny", Verb: verb, Outcome: store.OutcomeNotApplied, Err: err}
	}
	r, ok := s.records[id]
	next, err := f(r, ok && time.Now().Before(r.expires))
	if next != nil {
		s.records[id] = *next
	}
	return err
}

func (s *tinyStore) Load(ctx context.Context, id string) (rec store.Record, err error) {
	return rec, s.do(ctx, "load", id, func(r tinyRecord, ok bool) (*tinyRecord, error) {
		if !ok {
			return nil, store.ErrNotFound
		}
		rec = store.Record{ID: id, Data: r.data}
		return nil, nil
	})
}

func (s *tinyStore) Create(ctx context.Context, rec store.Record) error {
	return s.do(ctx, "create", rec.ID, func(_ tinyRecord, ok bool) (*tinyRecord, error) {
		if ok {
			return nil, store.ErrExists
		}
		return keep(rec), nil
	})
}

func (s *tinyStore) Update(ctx context.Context, old, next store.Record) error {
	return s.do(ctx, "update", old.ID, func(r tinyRecord, ok bool) (*tinyRecord, error) {
		switch {
		case !ok:
			return nil, store.ErrNotFound
		case !bytes.Equal(r.data, old.Data): // somebody else was faster
			return nil, store.ErrConflict
		}
		updated := keep(next)
		if next.TTL == store.KeepTTL { // no activity of the visitor
			updated.expires = r.expires
		}
		return updated, nil
	})
}

func (s *tinyStore) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.do(ctx, "touch", id, func(r tinyRecord, ok bool) (*tinyRecord, error) {
		if !ok {
			return nil, store.ErrNotFound
		}
		return &tinyRecord{r.data, time.Now().Add(ttl)}, nil
	})
}

func (s *tinyStore) Delete(ctx context.Context, id string) error {
	return s.do(ctx, "delete", id, func(tinyRecord, bool) (*tinyRecord, error) {
		delete(s.records, id)
		return nil, nil
	})
}

// keep copies the data: it is the caller's.
func keep(rec store.Record) *tinyRecord {
	return &tinyRecord{bytes.Clone(rec.Data), time.Now().Add(rec.TTL)}
}

// A store of your own: for a database that Cloakroom has no store for.
func Example_store() {
	m, err := core.New(core.Config{
		Store:   &tinyStore{records: make(map[string]tinyRecord)},
		Secrets: []string{"32 random bytes, from the environment"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	s, _ := m.Load(ctx, "")
	s.Set("user", "ada")
	setCookie, err := m.Commit(ctx, s, true)
	fmt.Println(setCookie != "", err)

	_ = m.Edit(ctx, s.ID(), func(s *core.Session) error {
		fmt.Println(s.Get("user"))
		return nil
	})

	// Output:
	// true <nil>
	// ada
}
