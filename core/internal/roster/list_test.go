package roster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

func TestARevokedSessionIsEndingAndThenEnded(t *testing.T) {
	l := listOf("a", "b")
	if got := l.Revoke(one("a")); len(got) != 1 || got[0].Key != "a" {
		t.Fatalf("Revoke returned %v", got)
	}
	if !l.IsRevoked("a") || l.IsRevoked("b") || l.IsRevoked("c") {
		t.Error("it is not a alone that was revoked")
	}
	if got := l.Revoke(one("b")); len(got) != 2 {
		t.Errorf("with what was ending before, %d sessions are ending, want 2", len(got))
	}
	l.Finish(noon, one("a"))
	if got := l.Unfinished(); len(got) != 1 || got[0].Key != "b" {
		t.Errorf("unfinished: %v, want b", got)
	}
	if !l.IsRevoked("a") || len(l.Live()) != 0 || len(l.Handles()) != 0 {
		t.Error("a session that has ended is live again")
	}
	l.Tidy(noon.Add(time.Hour + time.Millisecond))
	if l.Find("a") >= 0 {
		t.Error("a revoked session is remembered for longer than an hour")
	}
}

func TestOnlySoManyRevokedSessionsAreRemembered(t *testing.T) {
	l := new(roster.List)
	for i := range 70 {
		l.Sessions = append(l.Sessions, roster.Entry{Key: fmt.Sprint(i), Until: noon.Add(time.Hour).UnixMilli()})
		l.Revoke(func(roster.Entry) bool { return true })
		l.Finish(noon.Add(time.Duration(i)*time.Millisecond), func(roster.Entry) bool { return true })
	}
	if n := len(l.Sessions); n != 64 || l.Find("5") >= 0 || l.Find("6") < 0 {
		t.Errorf("%d are remembered, the sixth: %v, the seventh: %v; want 64, those that ended last", n, l.Find("5") >= 0, l.Find("6") >= 0)
	}
}

func TestAListLivesAsLongAsItIsNeeded(t *testing.T) {
	if got := new(roster.List).Life(noon); got != time.Minute {
		t.Errorf("an empty list lives for %v, want a minute", got)
	}
	revoked := new(roster.List)
	revoked.RevokeAll(noon)
	if got := revoked.Life(noon); got != time.Hour {
		t.Errorf("a list that says that all were revoked lives for %v, want an hour", got)
	}
	if got := listOf("a").Life(noon.Add(-time.Hour)); got != 2*time.Hour {
		t.Errorf("a list lives for %v, want as long as its session", got)
	}
}

func TestTwoRevocationsHaveDifferentMarks(t *testing.T) {
	l := new(roster.List)
	l.RevokeAll(noon)
	first := l.Mark
	l.RevokeAll(noon)
	if first == "" || l.Mark == first {
		t.Error("the mark did not change")
	}
}

func TestAListIsReadAsItWasWritten(t *testing.T) {
	l := listOf("a", "b")
	l.Revoke(one("b"))
	l.RevokeAll(noon)
	text := l.Encode([]byte(`{"token":"x"}`))
	got, ok := roster.Decode(text, nil)
	if !ok || got.Mark != l.Mark || got.Revoked != l.Revoked || !slices.Equal(got.Sessions, l.Sessions) || string(got.Meta) != `{"token":"x"}` {
		t.Errorf("%s was read as %+v", text, got)
	}
	if empty := new(roster.List).Encode([]byte(`{}`)); string(empty) != `{"sessions":[],"__cloakroom":{}}` {
		t.Errorf("an empty list is %s", empty)
	}
	if _, ok := roster.Decode([]byte(`{"sessions":5}`), nil); ok {
		t.Error("what is no list was read as one")
	}
}

func TestKeepPutsASessionIntoTheListAgainOnlyWhereThatIsDueAndItWasNotRevoked(t *testing.T) {
	life := record.Lifespan{Idle: time.Hour}
	entry := roster.Entry{Key: "new", Handle: "new"}
	listed := listOf()
	listed.Sessions = append(listed.Sessions, roster.Entry{Key: "new", Until: roster.ListedUntil(life, noon)})
	revokedAt := func(at time.Time) *roster.List {
		l := listOf("a")
		l.RevokeAll(at)
		return l
	}
	ending := listOf("new")
	ending.Revoke(one("new"))
	full := new(roster.List)
	for i := range roster.Most {
		full.Sessions = append(full.Sessions, roster.Entry{Key: fmt.Sprint(i)})
	}
	for _, tt := range []struct {
		name             string
		l                *roster.List
		created          time.Time
		changed, revoked bool
	}{
		{"it is not there", listOf("a"), noon, true, false},
		{"it is there for long enough", listed, noon, false, false},
		{"it is there, but not for long enough", listOf("new"), noon, true, false},
		{"it is being revoked", ending, noon, false, true},
		{"all were revoked after it was made", revokedAt(noon.Add(time.Second)), noon, false, true},
		{"all were revoked within the millisecond that it was made in", revokedAt(noon.Add(time.Millisecond)), noon, true, false},
		{"all were revoked just after that millisecond", revokedAt(noon.Add(time.Millisecond + 1)), noon, false, true},
		{"all were revoked before", revokedAt(noon.Add(-time.Second)), noon, true, false},
		{"nobody knows when it was made", revokedAt(noon.Add(time.Second)), time.Time{}, true, false},
		{"there are as many as there may be, some of which have to go", full, noon, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := tt.l.Clone()
			changed, revoked := l.Keep(entry, tt.created, life, noon)
			if changed != tt.changed || revoked != tt.revoked {
				t.Errorf("changed %v, revoked %v; want %v, %v", changed, revoked, tt.changed, tt.revoked)
			}
			if i := l.Find("new"); changed && (i < 0 || l.Sessions[i].Until != roster.ListedUntil(life, noon)) {
				t.Error("it is not in the list for as long as it should be")
			}
		})
	}
}

func TestOnlyRevokedSessionsAreForgottenWhenOthersEnded(t *testing.T) {
	l := new(roster.List)
	for i := range 70 {
		l.Sessions = append(l.Sessions, roster.Entry{Key: fmt.Sprint(i), Until: noon.Add(time.Hour).UnixMilli()})
	}
	l.Revoke(one("0"))
	l.Finish(noon, one("0"))
	if n := len(l.Live()); n != 69 {
		t.Errorf("%d sessions live after another one was revoked, want 69", n)
	}
}

func TestACopyOfAListSharesNothingWithIt(t *testing.T) {
	l := listOf("a", "b")
	c := l.Clone()
	c.Revoke(func(roster.Entry) bool { return true })
	c.RevokeAll(noon)
	if l.IsRevoked("a") || l.IsRevoked("b") || len(l.Live()) != 2 || l.Mark != "" {
		t.Error("what was done to the copy was done to the list")
	}
}

func TestForHowLongAListIsNeededOfWhichNoSessionLives(t *testing.T) {
	revoked := func(l *roster.List, key string) *roster.List {
		l.Revoke(one(key))
		return l
	}
	all := listOf("a")
	all.RevokeAll(noon.Add(-20 * time.Minute))
	ended := revoked(listOf("a", "b"), "a")
	ended.Finish(noon.Add(-10*time.Minute), one("a"))
	for _, tt := range []struct {
		name string
		l    *roster.List
		want time.Duration
	}{
		{"nothing was revoked", listOf("a", "b"), 0},
		{"all were revoked", all, 40 * time.Minute},
		{"one is being revoked", revoked(listOf("a", "b"), "a"), time.Hour},
		{"one was revoked", ended, 50 * time.Minute},
	} {
		if got := tt.l.Linger(noon); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
