package memorystore

import (
	"fmt"
	"math"
	"time"
)

// Options are what can be set about a [Store]. The zero value has
// no limits.
type Options struct {
	// MaxSessions is how many live sessions the store holds at most. The
	// default, 0, is no limit.
	MaxSessions int

	// MaxBytes is how many bytes the sessions take at most. A session counts as
	// the length of its id, the length of its data and 160 bytes, which is
	// about what the store itself needs for it. So does the list of the sessions
	// of each user who signed in, which goes with the last of these, or, where
	// sessions were revoked, an hour after that. Garbage that the runtime has
	// not collected yet comes on top: allow the process twice as much. The
	// default, 0, is no limit.
	MaxBytes int64

	// AtLimit is what happens when a limit is reached. The default is
	// RefuseNew.
	AtLimit AtLimit

	// SweepInterval is the time between two rounds that remove expired
	// sessions, while there are any sessions. An expired session is not served,
	// counted or held against a limit for as long as it waits: all that is at
	// stake is when its memory is freed. It is at least a millisecond. The default, 0,
	// is 10 seconds.
	SweepInterval time.Duration

	// Now is the clock that decides when a session is expired, for tests. It is
	// called by many goroutines at once. The default is the monotonic clock,
	// so that a session's life is not changed by setting the machine's time.
	Now func() time.Time
}

// AtLimit is what a [Store] does when MaxSessions or MaxBytes leaves no room.
type AtLimit int

const (
	// RefuseNew keeps all sessions and refuses what does not fit, by a
	// [*store.Error] with [store.ErrFull] in it: a new session, a new id
	// for a session (the retired one is kept for a while), and, at MaxBytes, an
	// update by which a session grows.
	RefuseNew AtLimit = iota

	// DropLeastRecentlyUsed removes the sessions that were not loaded, updated
	// or touched for the longest time, as many as it takes. Their users are
	// logged out, so whoever can make sessions can log others out: choose it
	// for sessions that are cheap to lose. A list of which no session lives is removed
	// in its turn as if it were one; what it remembered of a revocation is lost then, so
	// that a login which was under way all the time since may come through. What
	// exceeds MaxBytes on its own is refused.
	DropLeastRecentlyUsed
)

// check returns which option cannot be, or nil.
func (o Options) check() error {
	switch {
	case o.MaxSessions < 0:
		return fmt.Errorf("cloakroom: memory store: Options.MaxSessions is %d, want 0 (no limit) or more", o.MaxSessions)
	case o.MaxBytes < 0:
		return fmt.Errorf("cloakroom: memory store: Options.MaxBytes is %d, want 0 (no limit) or more", o.MaxBytes)
	case o.AtLimit != RefuseNew && o.AtLimit != DropLeastRecentlyUsed:
		return fmt.Errorf("cloakroom: memory store: Options.AtLimit is %d, want RefuseNew or DropLeastRecentlyUsed", o.AtLimit)
	case o.SweepInterval < 0:
		return fmt.Errorf("cloakroom: memory store: Options.SweepInterval is %v, want 0 (10 seconds) or more", o.SweepInterval)
	case o.SweepInterval > 0 && o.SweepInterval < time.Millisecond: // most likely it was meant to be seconds
		return fmt.Errorf("cloakroom: memory store: Options.SweepInterval is too short: %d is %v: write %d * time.Second",
			int64(o.SweepInterval), o.SweepInterval, int64(o.SweepInterval))
	}
	return nil
}

// withDefaults returns the options with their zero values replaced by what they mean.
func (o Options) withDefaults() Options {
	if o.MaxSessions == 0 {
		o.MaxSessions = math.MaxInt
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = math.MaxInt64
	}
	if o.SweepInterval == 0 {
		o.SweepInterval = 10 * time.Second
	}
	return o
}
