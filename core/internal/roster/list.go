// Package roster is the list of a user's sessions: who is in it, who was revoked,
// who has to go when there are too many. It is pure; package core loads lists,
// looks at the sessions that they name, and stores them.
//
// What makes a list complete is the order of things. A session gets into the list
// after its record is stored and before any browser hears of it:
//
//	SignIn, Renew:  create the record; put it into the list; retire the old id; answer
//	Revoke:         mark it in the list as ending; delete the record; mark it as ended
//
// Both change the list, so one comes first. Where the entry does, whoever revokes
// finds it, and the record, which is there already. Where the mark does, SignIn
// and Renew see it when they change the list: they delete the record again, and
// fail. What a crash leaves behind is harmless: a record that no browser knows; an
// entry without a record, which is dropped when somebody looks; an entry marked as
// ending, whose record is deleted by the next SignIn of the user, the next
// revocation, or whoever uses it.
//
// A logout does not touch the list. Its entry has no record either.
package roster

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"
)

const (
	// Most is how many sessions a list has at most.
	Most = 1000

	// A list that grew to twice of what was live in it when somebody last looked
	// is looked through for what is dead. One with up to fewListed is not.
	fewListed = 32

	// mostEnded is how many entries are kept of sessions that were revoked, so
	// that a renewal under way finds out.
	mostEnded = 64

	// markLife is how long it is remembered at least that a user's sessions were
	// revoked, and for how long after SignIn its commit is possible.
	markLife = time.Hour

	// listLife is how long a list lives at least, so that none is written in vain.
	listLife = time.Minute
)

// A State is where a session of a list stands.
type State uint8

const (
	// Live is a session that nobody has revoked. It may have ended by itself.
	Live State = iota
	// Ending is one that was revoked and whose record may still be there.
	Ending
	// Ended is one that was revoked and whose record is not there any more.
	Ended
)

// An Entry is a session in the list of its user.
type Entry struct {
	Key    string `json:"key"`    // what the store calls the session
	Handle string `json:"handle"` // the same for all ids of one session
	Until  int64  `json:"until"`  // Unix ms; the session has ended by then
	State  State  `json:"state,omitempty"`
}

// A List is the list of a user's sessions, the one that signed in last at the
// end. The ids of one session follow each other: a renewed one at once, one that
// signed in again behind the others.
type List struct {
	Mark     string          `json:"mark,omitempty"`    // changes when all are revoked; empty: they never were
	Revoked  int64           `json:"revoked,omitempty"` // when that was, in Unix ns
	Kept     int             `json:"kept,omitempty"`    // how many were left when the list was last looked through
	Sessions []Entry         `json:"sessions"`
	Meta     json.RawMessage `json:"__cloakroom"` // the member of ours that every record has
}

// Clone returns a copy that shares nothing with l.
func (l *List) Clone() *List {
	c := *l
	c.Sessions = slices.Clone(l.Sessions)
	return &c
}

// Find returns the index of the entry of a key, or -1.
func (l *List) Find(key string) int {
	return slices.IndexFunc(l.Sessions, func(e Entry) bool { return e.Key == key })
}

// IsRevoked reports whether the session with that key was revoked.
func (l *List) IsRevoked(key string) bool {
	i := l.Find(key)
	return i >= 0 && l.Sessions[i].State != Live
}

// Live returns the sessions that were not revoked.
func (l *List) Live() []Entry {
	return slices.DeleteFunc(slices.Clone(l.Sessions), func(e Entry) bool { return e.State != Live })
}

// Unfinished returns the sessions that were revoked and whose records may still
// be there.
func (l *List) Unfinished() []Entry {
	return slices.DeleteFunc(slices.Clone(l.Sessions), func(e Entry) bool { return e.State != Ending })
}

// Keys returns the keys of the sessions whose records may be there.
func (l *List) Keys() []string {
	keys := make([]string, 0, len(l.Sessions))
	for _, e := range l.Sessions {
		if e.State != Ended {
			keys = append(keys, e.Key)
		}
	}
	return keys
}

// Handles returns the handles of the sessions that were not revoked, each once.
func (l *List) Handles() (all []string) {
	seen := make(map[string]bool, len(l.Sessions))
	for _, e := range l.Sessions {
		if e.State == Live && !seen[e.Handle] {
			seen[e.Handle] = true
			all = append(all, e.Handle)
		}
	}
	return all
}

// Among returns a function that reports whether a session is one of those, by its key.
func Among(sessions []Entry) func(Entry) bool {
	keys := make(map[string]bool, len(sessions))
	for _, e := range sessions {
		keys[e.Key] = true
	}
	return func(e Entry) bool { return keys[e.Key] }
}

// Drop takes entries off the list.
func (l *List) Drop(which func(Entry) bool) {
	l.Sessions = slices.DeleteFunc(l.Sessions, which)
}

// Revoke marks entries as ending. It returns all that are ending now, those of an
// earlier call included.
func (l *List) Revoke(which func(Entry) bool) []Entry {
	for i := range l.Sessions {
		if e := &l.Sessions[i]; e.State == Live && which(*e) {
			e.State = Ending
		}
	}
	return l.Unfinished()
}

// RevokeAll notes that everything was revoked that is in the list or on its way
// there: a sign-in that knows the list as it was before cannot end well.
func (l *List) RevokeAll(now time.Time) {
	l.Mark, l.Revoked = rand.Text(), now.UnixNano()
}

// Finish marks entries that were ending as ended, because their records are
// deleted, and drops what is not needed any more.
func (l *List) Finish(now time.Time, which func(Entry) bool) {
	var ended []*Entry
	for i := range l.Sessions {
		e := &l.Sessions[i]
		if e.State == Ending && which(*e) {
			e.State, e.Until = Ended, now.Add(markLife).UnixMilli()
		}
		if e.State == Ended {
			ended = append(ended, e)
		}
	}
	slices.SortStableFunc(ended, func(a, b *Entry) int { return cmp.Compare(a.Until, b.Until) })
	for _, e := range ended[:max(0, len(ended)-mostEnded)] { // those that ended first
		e.Until = 0
	}
	l.Tidy(now)
}

// Tidy drops the entries of sessions that have ended by now.
func (l *List) Tidy(now time.Time) {
	l.Drop(func(e Entry) bool { return e.Until < now.UnixMilli() })
}

// Life returns how long the list is needed.
func (l *List) Life(now time.Time) time.Duration {
	end := now.Add(listLife)
	if l.Revoked != 0 {
		end = later(end, time.Unix(0, l.Revoked).Add(markLife))
	}
	for _, e := range l.Sessions {
		end = later(end, time.UnixMilli(e.Until))
	}
	return end.Sub(now)
}

// Linger returns how long the list is needed when none of its sessions lives: what was
// revoked within the last hour is remembered for whoever signs in or renews meanwhile.
func (l *List) Linger(now time.Time) time.Duration {
	end := now
	if l.Revoked != 0 {
		end = later(end, time.Unix(0, l.Revoked).Add(markLife))
	}
	for _, e := range l.Sessions {
		switch e.State {
		case Ending:
			end = later(end, now.Add(markLife))
		case Ended:
			end = later(end, time.UnixMilli(e.Until))
		}
	}
	return end.Sub(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
