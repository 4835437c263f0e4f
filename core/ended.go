package core

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// How whoever outlives a request, a stream or a socket, is told that its session has
// ended. A Manager has one list of the sessions that somebody waits for, and as long as
// there are any, one watcher (watch.go), which looks at them whenever something may have
// happened to them. Nobody is told by anything else than what the store has.

// Ended returns a channel that is closed when the session has ended, by whomever and in
// whatever process: by a logout, a revocation, a limit, a timeout, or because it goes on
// under another id (SignIn, Renew, Rotate), since the old one may be known to others. It
// is for what outlives the request that opened it, such as an event stream or a
// WebSocket:
//
//	ended := s.Ended(ctx)
//	for {
//		select {
//		case <-ended:
//			return // the browser connects again, with the cookie that it has now
//		case <-ctx.Done():
//			return
//		case message := <-messages:
//
// Where ctx is done first, nobody waits any more and the channel stays open, so give it
// the context of the stream, and listen to that as well. The channels of one session
// are one. Ended does not call the store; a goroutine of the Manager's does.
//
// How soon an end is told depends on the store: at once by one that is a
// [store.Watcher], and within Config.PollInterval by any other. A store that fails ends
// no session: what happened meanwhile is told when it answers again, and for the session
// that stands in while it is down (Config.ServeAnonymously) the channel stays open.
//
// A sealed cookie ([Config.Sealed]) says itself until when its session lives. This process
// ends the waiting then, unless it has sent the cookie again meanwhile, and when it learns
// of the end: at once where it ended the session itself, and within Config.PollInterval
// where another one did, if SealedCookie.Ends is set.
//
// Waiting is no activity and extends nothing. The request itself is, for as long as it is
// under way: a session whose stream is open does not end by the idle timeout, unless
// Config.Passive says that the stream is no activity.
//
// It speaks of the session as it is stored when Ended is called. Where none is, the
// channel is closed at once, as Check would say that it is gone: for a visitor without a
// session, and for a new session before its first [Session.Save] or the first byte of
// the response. Where this request renews it, call Ended after that.
func (s *Session) Ended(ctx context.Context) <-chan struct{} {
	if !s.lock() {
		return make(chan struct{}) // the commit fails
	}
	defer s.x.unlock()
	switch s.standing {
	case state.Live, state.Ending:
		return s.awaitEnd(ctx)
	case state.Unavailable:
		return make(chan struct{}) // nothing is known of it
	}
	over := make(chan struct{})
	close(over)
	return over
}

// An awaited is what Ended has returned to somebody who waits.
type awaited struct {
	gone  <-chan struct{} // of the context: whoever waited has gone
	key   string
	ended <-chan struct{}
}

// awaitEnd returns the channel of the session as it is stored: to whoever asks again, as a
// stream does before each message, the one that they have.
func (s *Session) awaitEnd(ctx context.Context) <-chan struct{} {
	rare, gone := s.needRarities(), ctx.Done()
	for _, a := range rare.awaited {
		if a.key == s.key && a.gone == gone {
			return a.ended
		}
	}
	rare.awaited = slices.DeleteFunc(rare.awaited, func(a awaited) bool {
		select {
		case <-a.gone:
			return true
		default:
			return a.key != s.key
		}
	})
	ended := s.x.m.await(ctx, s.key, s.inCookie())
	rare.awaited = append(rare.awaited, awaited{gone, s.key, ended})
	return ended
}

// endings are the sessions whose end somebody waits for.
type endings struct {
	mu      sync.Mutex
	byKey   map[string]*ending
	watcher *watcher // nil where there are none
}

// An ending is the end of one session, for all who wait for it.
type ending struct {
	done    chan struct{} // closed when the session has ended
	waiting int
	timer   *time.Timer // looks again when its life is over; nil until that is known
	in      inCookie    // what its cookie said; of use with Config.Sealed alone
}

// await returns the channel of the session under key, for as long as ctx lasts.
func (m *Manager) await(ctx context.Context, key string, in inCookie) <-chan struct{} {
	if ctx.Err() != nil {
		return make(chan struct{})
	}
	e := &m.endings
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.byKey[key]
	if end == nil {
		if e.byKey == nil {
			e.byKey = make(map[string]*ending)
		}
		end = &ending{done: make(chan struct{})}
		e.byKey[key] = end
		if e.watcher == nil {
			e.watcher = m.startWatcher()
		}
		e.watcher.note(key)
	}
	end.waiting++
	if end.in.until.Before(in.until) {
		end.in = in
	}
	context.AfterFunc(ctx, func() { e.leave(key, end) })
	return end.done
}

// leave notes that one waits no more for the end of a session.
func (e *endings) leave(key string, end *ending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if end.waiting--; end.waiting == 0 && e.byKey[key] == end {
		e.drop(key, end)
	}
}

// drop takes a session off the list, and ends the watcher with the last one. The caller
// holds the lock.
func (e *endings) drop(key string, end *ending) {
	if end.timer != nil {
		end.timer.Stop()
	}
	delete(e.byKey, key)
	if len(e.byKey) == 0 {
		e.watcher.stop()
		e.watcher = nil
	}
}

// hint has the sessions looked at that somebody waits for, of those named, or all of
// them where none is. It is what a [store.Watch] calls, which may hold locks.
func (e *endings) hint(keys ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.watcher == nil:
	case len(keys) == 0:
		e.watcher.noteAll()
	default:
		for _, key := range keys {
			if e.byKey[key] != nil {
				e.watcher.note(key)
			}
		}
	}
}

// keys returns the sessions that somebody waits for.
func (e *endings) keys() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	keys := make([]string, 0, len(e.byKey))
	for key := range e.byKey {
		keys = append(keys, key)
	}
	return keys
}

// inCookies returns what the cookies said of those sessions. Those that nobody waits for
// any more are unknown: whoever waits for one again, meanwhile, is not to be told of it.
func (e *endings) inCookies(keys []string) (in map[string]inCookie, unknown map[string]time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	in, unknown = make(map[string]inCookie, len(keys)), make(map[string]time.Duration, len(keys))
	for _, key := range keys {
		if end := e.byKey[key]; end != nil {
			in[key] = end.in
		} else {
			unknown[key] = 0
		}
	}
	return in, unknown
}

// settle tells those who wait that a session has ended.
func (e *endings) settle(key string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if end := e.byKey[key]; end != nil {
		close(end.done)
		e.drop(key, end)
	}
}

// leastLife is what a session is taken to live yet, however little is left: a store tells
// less by up to its unit of time.
const leastLife = 2 * time.Millisecond

// lookAfter has a session looked at that lives, when so much of its life is over: it may
// have been extended by then.
func (e *endings) lookAfter(key string, left time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	end := e.byKey[key]
	if end == nil {
		return
	}
	left = max(left, leastLife)
	if end.timer == nil {
		end.timer = time.AfterFunc(left, func() { e.hint(key) })
	} else {
		end.timer.Reset(left)
	}
}

// giveUp notes that the session under key has ended, or goes on under another id, by the
// doing of this process. When it was extended does not matter any more.
func (m *Manager) giveUp(key string) {
	m.givenUp.Put(key, m.cfg.Now(), record.Lifespan{})
	m.extended.Forget(key)
	m.endings.hint(key)
}
