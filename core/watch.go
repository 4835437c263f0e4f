package core

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How the sessions are looked at whose end somebody waits for. A hint says that
// something may have happened to one: it comes from a store that can tell, from a timer
// when the life of the session is over, and from this process where it ended the session
// itself. Then, and only then, what the store has is read. A store that cannot tell is
// asked for all of them every Config.PollInterval.

// lookTogether is how many sessions are read by one call.
const lookTogether = 512

// A watcher looks at the sessions that somebody waits for. The lock of the endings guards
// what was noted.
type watcher struct {
	m    *Manager
	stop context.CancelFunc

	noted map[string]struct{} // sessions to look at
	all   bool                // look at all of them
	wake  chan struct{}       // has a value where there is something noted

	watch store.Watch // nil where the store cannot tell
}

// startWatcher starts the watcher. The caller holds the lock of the endings.
func (m *Manager) startWatcher() *watcher {
	ctx, cancel := context.WithCancel(context.Background())
	w := &watcher{m: m, stop: cancel, wake: make(chan struct{}, 1), noted: make(map[string]struct{})}
	go w.run(ctx)
	return w
}

// note has a session looked at. The caller holds the lock of the endings.
func (w *watcher) note(key string) {
	w.noted[key] = struct{}{}
	w.awake()
}

// noteAll has all of them looked at. The caller holds the lock of the endings.
func (w *watcher) noteAll() {
	w.all = true
	w.awake()
}

func (w *watcher) awake() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns the sessions to look at.
func (w *watcher) take() []string {
	e := &w.m.endings
	e.mu.Lock()
	all, noted := w.all, w.noted
	w.all, w.noted = false, make(map[string]struct{})
	e.mu.Unlock()
	if all {
		return e.keys()
	}
	keys := make([]string, 0, len(noted))
	for key := range noted {
		keys = append(keys, key)
	}
	return keys
}

// run looks at sessions until ctx is done.
func (w *watcher) run(ctx context.Context) {
	if able, ok := w.m.cfg.Store.(store.Watcher); ok {
		w.watch = able.Watch(w.m.endings.hint)
		defer w.endWatch()
	}
	poll := time.NewTimer(w.m.cfg.PollInterval)
	defer poll.Stop()
	for {
		var polled bool
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-poll.C:
			polled = true
		}
		if !w.lookUntilDone(ctx, polled && w.watch == nil) {
			return
		}
		if polled { // and not for anything else, or the next poll would never come
			poll.Reset(w.m.cfg.PollInterval)
		}
	}
}

// lookUntilDone looks at what was noted, or at all sessions, until the store has answered.
// It reports whether it did before ctx was done.
func (w *watcher) lookUntilDone(ctx context.Context, all bool) bool {
	keys := w.take()
	if all {
		keys = w.m.endings.keys()
	}
	var retry async.Backoff
	for len(keys) > 0 {
		unseen, err := w.look(ctx, keys)
		if err != nil && !retry.Pause(ctx) {
			return false
		}
		keys = append(unseen, w.take()...)
		slices.Sort(keys)
		keys = slices.Compact(keys)
	}
	return true
}

// look looks at sessions, and returns those at which it did not because of an error.
func (w *watcher) look(ctx context.Context, keys []string) (unseen []string, err error) {
	unseen = keys
	defer func() {
		if recover() != nil { // by the app's doing: it would end the process, and not one stream
			w.m.cfg.Logger.Error("cloakroom: looking at the sessions of open streams panicked; it is tried again")
			err = errPanicked
		}
	}()
	for len(unseen) > 0 {
		n := min(len(unseen), lookTogether)
		if err := w.lookAt(ctx, unseen[:n]); err != nil {
			return unseen, err
		}
		unseen = unseen[n:]
	}
	return nil, nil
}

// lookAt looks at some sessions, and tells the end of those which the store does not have.
func (w *watcher) lookAt(ctx context.Context, keys []string) error {
	m := w.m
	limit := m.limit(ctx)
	defer limit.stop()
	records, err := w.inspect(limit, keys)
	if ctx.Err() != nil {
		return ctx.Err() // nobody waits any more
	}
	if err != nil {
		return m.sessions.Check(ctx, "inspect", err)
	}
	live := make(map[string]bool, len(records))
	for _, rec := range records {
		left := rec.TTL
		doc, err := m.sessions.Read(rec, m.cfg.Cookie.MaxAge)
		switch {
		case errors.Is(err, ErrUndecodable), err == nil && !m.isLive(doc):
			continue
		case err == nil: // else nothing is known of it but that it is there
			if end := m.deadline(doc.Meta.Created); !end.IsZero() && (left == 0 || end.Sub(m.cfg.Now()) < left) {
				left = end.Sub(m.cfg.Now())
			}
		}
		live[rec.ID] = true
		if left > 0 {
			m.endings.lookAfter(rec.ID, left)
		}
	}
	for _, key := range keys {
		if !live[key] {
			m.endings.settle(key)
		}
	}
	return nil
}

// inspect returns the records that there are under some keys, with the life that is left
// to them, or 0 where the store does not say.
func (w *watcher) inspect(ctx context.Context, keys []string) ([]store.Record, error) {
	if w.watch != nil {
		records, err := w.watch.Inspect(ctx, keys)
		if !errors.Is(err, errors.ErrUnsupported) {
			return records, err
		}
		w.endWatch()
		w.m.hints.watch.Do(func() {
			w.m.logFailure(ctx, slog.LevelWarn, "cloakroom: the store cannot tell that a session has ended, and is asked every Config.PollInterval", err)
		})
	}
	if w.m.cfg.Sealed != nil {
		return w.loadSealed(ctx, keys)
	}
	if indexer, ok := w.m.cfg.Store.(store.UserIndexer); ok {
		records, err := indexer.Inspect(ctx, keys)
		if !errors.Is(err, errors.ErrUnsupported) {
			return records, err
		}
	}
	return w.load(ctx, keys)
}

// load is inspect for a store that reads one record at a time.
func (w *watcher) load(ctx context.Context, keys []string) (records []store.Record, _ error) {
	ctx = store.BypassCache(ctx)
	for batch := range slices.Chunk(keys, sweepBatch) {
		found := make([]store.Record, len(batch))
		calls := make([]func() error, len(batch))
		for i, key := range batch {
			calls[i] = func() (err error) {
				found[i], err = w.m.cfg.Store.Load(ctx, key)
				found[i].ID, found[i].TTL = key, 0
				return err
			}
		}
		for i, err := range async.Together(calls...) {
			switch {
			case err == nil:
				records = append(records, found[i])
			case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUndecodable):
				return nil, err
			}
		}
	}
	return records, nil
}

// loadSealed is inspect for sessions that are in their cookies.
func (w *watcher) loadSealed(ctx context.Context, keys []string) (records []store.Record, _ error) {
	for _, key := range keys {
		x := w.m.endings.exchangeOf(key)
		if x == nil {
			continue // nobody waits any more
		}
		limit := x.limit(ctx)
		doc, err := w.m.sessions.Load(limit, key, x.cookie.MaxAge)
		limit.stop()
		switch {
		case err == nil:
			rec := doc.Record
			if kept, ok := x.jar.get(key); ok {
				rec.TTL = kept.expires.Sub(w.m.cfg.Now())
			}
			records = append(records, rec)
		case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, ErrUndecodable):
			return nil, err
		}
	}
	return records, nil
}

// endWatch ends the watch of the store, if there is one.
func (w *watcher) endWatch() {
	if w.watch != nil {
		w.watch.Close()
		w.watch = nil
	}
}
