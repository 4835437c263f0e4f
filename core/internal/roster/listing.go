package roster

import (
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

const (
	// A list has a session for listedLives of its idle lives, counted from the
	// sign-in. One that is still in use when fewer than dueLives of these are left
	// is put there again. All that is listedSlack longer, so that clocks may
	// disagree by that much.
	listedLives = 4
	dueLives    = 2
	listedSlack = 24 * time.Hour
	longestLife = 10 * 365 * 24 * time.Hour
)

// ListedUntil returns until when a list has a session of that life which is put
// there now, in Unix ms.
func ListedUntil(life record.Lifespan, now time.Time) int64 {
	return endOf(life, listedLives, now).UnixMilli()
}

// IsDue reports whether a session of that life has to be put into its list again,
// which has it until then.
func IsDue(life record.Lifespan, until int64, now time.Time) bool {
	atMost := dueLives*min(life.Idle, longestLife) + listedSlack // most lists have a session for longer
	return until <= now.UnixMilli()+atMost.Milliseconds() && until < endOf(life, dueLives, now).UnixMilli()
}

// endOf returns when that many idle lives are over, or the deadline is reached,
// with the slack for clocks.
func endOf(life record.Lifespan, lives int, now time.Time) time.Time {
	end := now.Add(time.Duration(lives) * min(life.Idle, longestLife))
	if !life.Deadline.IsZero() && life.Deadline.Before(end) {
		end = life.Deadline
	}
	return end.Add(listedSlack)
}

// Keep puts a session into the list where it is not, or not for long enough. It
// reports whether the list changed, and whether the session was revoked, which
// changes nothing. created is when the user signed in, zero where that is not known.
func (l *List) Keep(e Entry, created time.Time, life record.Lifespan, now time.Time) (changed, revoked bool) {
	i := l.Find(e.Key)
	switch {
	case i >= 0:
		revoked = l.Sessions[i].State != Live
	case !created.IsZero():
		// The record has its time in milliseconds, the list in nanoseconds.
		revoked = created.Add(time.Millisecond).UnixNano() < l.Revoked
	}
	if revoked {
		return false, true
	}
	if i < 0 {
		e.Until = 0
		l.Sessions = append(l.Sessions, e)
		i = len(l.Sessions) - 1
	}
	if entry := &l.Sessions[i]; IsDue(life, entry.Until, now) {
		entry.Until = ListedUntil(life, now)
		return true, false
	}
	return false, false
}
