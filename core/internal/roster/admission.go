package roster

import (
	"slices"
	"time"
)

// An Admission is a session that is to get into the list of its user: by a
// sign-in, or because its id was renewed. Its record is stored already.
type Admission struct {
	Entry  Entry
	Parent string    // the key of the session that it follows; empty for none
	Since  *List     // what the list was; Read says when
	Read   Reading   // when Since was read
	At     time.Time // when the sign-in began; zero for a renewal
}

// A Reading is when the list was read that an admission is based on.
type Reading uint8

const (
	// ReadBeside is while the sign-in was under way, within one call of the store
	// after it began. A renewal reads the list beside its commit.
	ReadBeside Reading = iota
	// ReadLate is any time after the sign-in began, because what was read beside it
	// could not be had.
	ReadLate
	// ReadBefore is before anything was done that the sign-in depends on, such as
	// reading the user's password: then clocks do not matter.
	ReadBefore
)

// IsSignIn reports whether somebody signs in, as opposed to a renewal.
func (a *Admission) IsSignIn() bool { return !a.At.IsZero() }

// Revoked reports whether somebody has revoked what this admission is based on,
// given the list as it is now. timeout is how long one call of the store may take.
func (a *Admission) Revoked(l *List, now time.Time, timeout time.Duration) bool {
	if l.IsRevoked(a.Parent) || a.Since.IsRevoked(a.Parent) {
		return true
	}
	if !a.IsSignIn() {
		// The entry of the parent is dropped when its id is retired, and when it is
		// one of many that were revoked: then the mark alone tells.
		return l.Find(a.Parent) < 0 && l.Mark != a.Since.Mark
	}
	if l.Mark != a.Since.Mark || now.Sub(a.At) >= markLife {
		return true
	}
	// Between SignIn and the moment when the list as of SignIn was read, only the
	// clocks tell. Unless the list had to be read again, that is no longer than one
	// call of the store may take; a revocation later than that, which the list knew
	// nevertheless, is one by a clock that is ahead.
	between := time.Unix(0, l.Revoked).Sub(a.At)
	switch a.Read {
	case ReadBefore:
		return false
	case ReadLate:
		return between > 0
	}
	return between > 0 && between <= timeout
}

// Admit puts the session where it belongs: at the end where somebody signs in,
// also again, else behind its parent. The parent is what a browser has, so the ids
// that it follows are retired, and what else followed these came too late.
func (l *List) Admit(a *Admission) {
	parent := l.Find(a.Parent)
	next := make([]Entry, 0, len(l.Sessions)+1)
	for i, e := range l.Sessions {
		if i >= parent || e.Handle != a.Entry.Handle || e.State != Live {
			next = append(next, e)
		}
		if i == parent && !a.IsSignIn() {
			next = append(next, a.Entry)
		}
	}
	if parent < 0 || a.IsSignIn() {
		next = append(next, a.Entry)
	}
	l.Sessions = next
}

// AddsNone reports whether the admission adds no session to the list, but only one
// more id to a session that is there. drops says that sessions have to go at the
// limit: then another one may have taken the place of a parent that was dropped.
func (l *List) AddsNone(a *Admission, drops bool) bool {
	return !a.IsSignIn() && (l.Find(a.Parent) >= 0 || !drops)
}

// NeedsLook reports whether somebody has to look which of the sessions live: there
// are unfinished ones, more than limit, or many that may be dead.
func (l *List) NeedsLook(limit int) bool {
	unfinished := slices.ContainsFunc(l.Sessions, func(e Entry) bool { return e.State == Ending })
	return unfinished || len(l.Sessions) > max(fewListed, 2*l.Kept) || len(l.Sessions) > limit && len(l.Handles()) > limit
}

// A Look is what was found out about a session whose record lives.
type Look struct {
	LastSeen time.Time
	Strayed  bool // it is another user's, as an Express app says, which may change that back
}

// Prune drops the entries of sessions that were not found alive, but for the key
// that is being admitted.
func (l *List) Prune(alive map[string]Look, admitted string) {
	l.Drop(func(e Entry) bool {
		_, lives := alive[e.Key]
		return e.State == Live && !lives && e.Key != admitted
	})
	l.Kept = len(l.Sessions)
}

// Surplus returns the handles of the sessions that are too many for the limit,
// without the one that is being admitted: those that were least recently used, or
// the oldest. Sessions that strayed do not count.
func (l *List) Surplus(limit int, admitted Entry, alive map[string]Look, leastRecentlyUsed bool) []string {
	own := l.Clone()
	own.Drop(func(e Entry) bool { return alive[e.Key].Strayed })
	others := slices.DeleteFunc(own.Handles(), func(handle string) bool { return handle == admitted.Handle })
	surplus := len(others) + 1 - limit
	if surplus <= 0 {
		return nil
	}
	if leastRecentlyUsed {
		seen := make(map[string]time.Time)
		for _, e := range l.Sessions {
			seen[e.Handle] = later(seen[e.Handle], alive[e.Key].LastSeen)
		}
		slices.SortStableFunc(others, func(a, b string) int { return seen[a].Compare(seen[b]) })
	}
	return others[:min(surplus, len(others))]
}
