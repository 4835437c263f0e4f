package core

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Instances of an app that have different secrets log everybody out at each switch from
// one to the other, and nothing fails. All that there is to see are cookies that look
// like ours and that no secret verifies: more of them than a forger, or a rotation that
// was long ago, would account for.

// strangers counts cookies of our form that no secret verifies, beside genuine ones.
type strangers struct {
	genuine  atomic.Int64 // in the present window
	watching atomic.Bool  // there is a window
	mu       sync.Mutex   // guards what follows
	since    time.Time    // when the window began
	strange  int64        // in the window
	told     time.Time    // when it was last said
}

// When many are too many.
const (
	strangeWindow   = time.Minute // for how long cookies are counted before the count begins anew
	strangeLeast    = 20          // strangers in a window that say something
	strangeFraction = 5           // they are at least that part of all
	strangeInterval = time.Hour   // it is said so often at most
)

// sawGenuine counts a cookie that a secret verified. There is nothing to count but
// where there was a stranger.
func (s *strangers) sawGenuine() {
	if s.watching.Load() {
		s.genuine.Add(1)
	}
}

// sawStranger counts a cookie of our form that no secret verifies, and reports whether
// there were so many that the operator is to be told.
func (s *strangers) sawStranger(now time.Time) (tell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.since) >= strangeWindow || now.Before(s.since) {
		s.since, s.strange = now, 0
		s.genuine.Store(0)
		s.watching.Store(true)
	}
	s.strange++
	if s.strange < strangeLeast || s.strange*strangeFraction < s.strange+s.genuine.Load() ||
		!s.told.IsZero() && now.Sub(s.told) < strangeInterval {
		return false
	}
	s.told = now
	return true
}

// warnOfStrangers tells that instances may have different secrets.
func (x *Exchange) warnOfStrangers() {
	if x.m.strangers.sawStranger(x.m.cfg.Now()) {
		x.log(slog.LevelWarn, "cloakroom: many cookies or tokens look like ours, but no secret in Config.Secrets verifies them: "+
			"does every instance have the same secrets, and did a restart not make new ones? Visitors who have such a cookie are logged out")
	}
}
