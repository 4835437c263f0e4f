package memorystore

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// watches are those who are told what happens to sessions. The list is replaced and never
// changed: a write looks at it without a lock.
type watches struct {
	mu   sync.Mutex // guards changes of the list
	list atomic.Pointer[[]*watch]
}

// A watch tells of everything that happens to any session.
type watch struct {
	store   *Store
	mu      sync.Mutex // held while changed is called
	changed func(ids ...string)
	closed  bool
}

// Watch implements [store.Watcher]: what happens in this process is told as it happens.
func (s *Store) Watch(changed func(ids ...string)) store.Watch {
	w := &watch{store: s, changed: changed}
	s.watches.edit(func(list []*watch) []*watch { return append(list, w) })
	return w
}

// Inspect implements [store.Watch].
func (w *watch) Inspect(ctx context.Context, ids []string) ([]store.Record, error) {
	return w.store.Inspect(ctx, ids)
}

// Close implements [store.Watch].
func (w *watch) Close() {
	w.store.watches.edit(func(list []*watch) []*watch {
		return slices.DeleteFunc(list, func(other *watch) bool { return other == w })
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// edit replaces the list by what change makes of a copy.
func (w *watches) edit(change func([]*watch) []*watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []*watch
	if before := w.list.Load(); before != nil {
		list = slices.Clone(*before)
	}
	if list = change(list); len(list) == 0 {
		w.list.Store(nil)
		return
	}
	w.list.Store(&list)
}

// tellOf is tell for one session. It takes no memory where nobody is told.
func (w *watches) tellOf(id string) {
	if w.list.Load() != nil {
		w.tell(id)
	}
}

// tell tells that something happened to sessions, to all of them where none is named. The
// caller may hold the locks of shards.
func (w *watches) tell(ids ...string) {
	list := w.list.Load()
	if list == nil {
		return
	}
	for _, watch := range *list {
		watch.mu.Lock()
		if !watch.closed {
			watch.changed(ids...)
		}
		watch.mu.Unlock()
	}
}
