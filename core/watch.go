package core

import (
	"context"
	"errors"
	"log/slog"
	"maps"
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

// awake wakes the goroutine of the watcher. A second value would say nothing that the first
// does not.
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

// run looks at sessions until ctx is done. One that cannot be read is tried again and
// again, beside the others: it keeps no end of theirs from being told.
func (w *watcher) run(ctx context.Context) {
	if able, ok := w.m.cfg.Store.(store.Watcher); ok {
		w.watch = able.Watch(w.m.endings.hint)
		defer w.endWatch()
	}
	var (
		poll    = time.NewTimer(w.m.cfg.PollInterval)
		failing = make(map[string]struct{})
		backoff async.Backoff
		retry   <-chan time.Time // nil where nothing is failing
	)
	defer poll.Stop()
	for {
		var due []string
		polled := false
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
			due = w.take()
		case <-poll.C:
			if polled = true; w.watch == nil {
				due = w.m.endings.keys()
				clear(failing)
			}
		case <-retry:
			due, retry = slices.AppendSeq(w.take(), maps.Keys(failing)), nil // what was noted meanwhile is looked at first
			clear(failing)
		}
		for _, key := range w.look(ctx, due) {
			failing[key] = struct{}{}
		}
		switch {
		case len(failing) == 0:
			retry, backoff = nil, async.Backoff{}
		case retry == nil:
			retry = time.After(backoff.Next())
		}
		if polled { // and not for anything else, or the next poll would never come
			poll.Reset(w.m.cfg.PollInterval)
		}
	}
}

// look looks at sessions, and returns those at which it did not because of an error. Where
// a call for several fails, the others of them may be had all the same: those of other
// servers of a cluster, for instance. So each is read alone, unless the first of them fail
// as well: that is an outage. What fails slowly, as a server that hangs, is given up for
// now, so that what is noted meanwhile does not wait for all of it.
func (w *watcher) look(ctx context.Context, keys []string) (unseen []string) {
	until := time.Now().Add(2 * w.m.cfg.StoreTimeout)
	for len(keys) > 0 {
		batch := keys[:min(len(keys), lookTogether)]
		keys = keys[len(batch):]
		if w.lookAt(ctx, batch, w.inspect) == nil {
			continue
		}
		first := batch[:min(len(batch), sweepBatch)]
		failed := w.lookAtEach(ctx, first)
		if len(failed) == len(first) || !time.Now().Before(until) {
			return slices.Concat(unseen, batch[len(first):], keys, failed)
		}
		unseen = slices.Concat(unseen, failed, w.lookAtEach(ctx, batch[len(first):]))
	}
	return unseen
}

// lookAtEach looks at sessions one by one, and returns those at which it did not because of
// an error. A watch is for one goroutine, so there it takes no longer than one call may. Any
// other store is asked for all at once.
func (w *watcher) lookAtEach(ctx context.Context, keys []string) (unseen []string) {
	calls := make([]func() error, len(keys))
	for i := range keys {
		calls[i] = func() error { return w.lookAt(ctx, keys[i:i+1], w.ask) }
	}
	if w.watch != nil {
		until := time.Now().Add(w.m.cfg.StoreTimeout)
		for i, call := range calls {
			if time.Now().After(until) {
				return slices.Concat(keys[i:], unseen)
			}
			if call() != nil {
				unseen = append(unseen, keys[i])
			}
		}
		return unseen
	}
	for i, err := range async.Together(calls...) {
		if err != nil {
			unseen = append(unseen, keys[i])
		}
	}
	return unseen
}

// An askStore returns the records that there are under some keys, with the life that is
// left to them, or 0 where the store does not say.
type askStore func(ctx context.Context, keys []string) ([]store.Record, error)

// lookAt looks at some sessions, by what ask returns, and tells the end of those that live
// no more.
func (w *watcher) lookAt(ctx context.Context, keys []string, ask askStore) (err error) {
	m := w.m
	defer func() {
		if recover() != nil { // by the app's doing: it would end the process, and not one stream
			m.cfg.Logger.Error("cloakroom: looking at the sessions of open streams panicked; it is tried again")
			err = errPanicked
		}
	}()
	limit := m.limit(ctx)
	defer limit.stop()
	var live map[string]time.Duration
	if m.ends != nil {
		live, err = m.livesInCookies(limit, keys)
	} else {
		live, err = m.livesInStore(limit, keys, ask)
	}
	if ctx.Err() != nil {
		return ctx.Err() // nobody waits any more
	}
	if err != nil {
		return err
	}
	for _, key := range keys {
		left, lives := live[key]
		switch {
		case !lives:
			m.endings.settle(key)
		case left > 0:
			m.endings.lookAfter(key, left)
		}
	}
	return nil
}

// livesInStore returns which sessions live, and the life that is left to them, or 0 where
// that is not known.
func (m *Manager) livesInStore(ctx context.Context, keys []string, ask askStore) (map[string]time.Duration, error) {
	call := m.sessions.Call(ctx, "inspect")
	records, err := ask(ctx, keys)
	if err := call.End(err); err != nil {
		return nil, err
	}
	live := make(map[string]time.Duration, len(records))
	for _, rec := range records {
		left := rec.TTL
		doc, err := m.sessions.Read(rec, m.cfg.Cookie.MaxAge)
		switch {
		case errors.Is(err, ErrUndecodable), err == nil && !m.isLive(doc):
			continue
		case err == nil: // else nothing is known of it but that it is there
			if end := m.deadline(doc.Meta.Created); !end.IsZero() && (left == 0 || end.Sub(m.cfg.Now()) < left) {
				left = max(end.Sub(m.cfg.Now()), leastLife)
			}
		}
		live[rec.ID] = left
	}
	return live, nil
}

// inspect is ask, but that it gives up the watch of a store that turns out to be unable.
func (w *watcher) inspect(ctx context.Context, keys []string) ([]store.Record, error) {
	records, err := w.ask(ctx, keys)
	if w.watch == nil || !errors.Is(err, errors.ErrUnsupported) {
		return records, err
	}
	w.endWatch()
	if isFirst(&w.m.hints.watch) {
		w.m.logFailure(ctx, slog.LevelWarn, "cloakroom: the store cannot tell that a session has ended, and is asked every Config.PollInterval", err)
	}
	return w.ask(ctx, keys)
}

// ask is an askStore, in the best way that the store has.
func (w *watcher) ask(ctx context.Context, keys []string) ([]store.Record, error) {
	if w.watch != nil {
		return w.watch.Inspect(ctx, keys)
	}
	if indexer, ok := w.m.cfg.Store.(store.UserIndexer); ok {
		records, err := indexer.Inspect(ctx, keys)
		if !errors.Is(err, errors.ErrUnsupported) {
			return records, err
		}
	}
	return w.load(ctx, keys)
}

// load is ask for a store that reads one record at a time.
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

// endWatch ends the watch of the store, if there is one.
func (w *watcher) endWatch() {
	if w.watch != nil {
		w.watch.Close()
		w.watch = nil
	}
}
