package roster_test

import (
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// listOf returns a list of sessions, each under a key that is also its handle.
func listOf(keys ...string) *roster.List {
	l := new(roster.List)
	for _, key := range keys {
		l.Sessions = append(l.Sessions, roster.Entry{Key: key, Handle: key, Until: noon.Add(time.Hour).UnixMilli()})
	}
	return l
}

// keysOf returns the keys of a list, in order.
func keysOf(l *roster.List) (keys []string) {
	for _, e := range l.Sessions {
		keys = append(keys, e.Key)
	}
	return keys
}

func one(key string) func(roster.Entry) bool {
	return func(e roster.Entry) bool { return e.Key == key }
}

func TestWhichAdmissionsAreRevoked(t *testing.T) {
	const timeout = 5 * time.Second
	revokedAll := func(at time.Time, keys ...string) *roster.List {
		l := listOf(keys...)
		l.RevokeAll(at)
		return l
	}
	revokedOne := func(key string, keys ...string) *roster.List {
		l := listOf(keys...)
		l.Revoke(one(key))
		return l
	}
	before := revokedAll(noon.Add(-time.Hour), "a")
	for _, tt := range []struct {
		name  string
		a     roster.Admission
		now   *roster.List
		after time.Duration // since SignIn
		want  bool
	}{
		{"a sign-in", roster.Admission{Since: listOf(), At: noon}, listOf(), 0, false},
		{"a sign-in after an old revocation", roster.Admission{Since: before, At: noon}, before, 0, false},
		{"a sign-in, and everything was revoked since", roster.Admission{Since: before, At: noon}, revokedAll(noon, "a"), 0, true},
		{"a sign-in whose list knew of a revocation that came after SignIn", roster.Admission{Since: revokedAll(noon.Add(time.Second)), At: noon}, nil, 0, true},
		{"the same, at the end of what a call may take", roster.Admission{Since: revokedAll(noon.Add(timeout)), At: noon}, nil, 0, true},
		{"the same, by a clock that is ahead", roster.Admission{Since: revokedAll(noon.Add(timeout + 1)), At: noon}, nil, 0, false},
		{"the same, but the list was read late", roster.Admission{Since: revokedAll(noon.Add(timeout + 1)), At: noon, Read: roster.ReadLate}, nil, 0, true},
		{"the same, but the list was read before anything that the sign-in depends on", roster.Admission{Since: revokedAll(noon.Add(time.Second)), At: noon, Read: roster.ReadBefore}, nil, 0, false},
		{"a list that was read before, and everything was revoked since", roster.Admission{Since: before, At: noon, Read: roster.ReadBefore}, revokedAll(noon.Add(-time.Minute), "a"), 0, true},
		{"a list that was read before, an hour ago", roster.Admission{Since: before, At: noon, Read: roster.ReadBefore}, before, time.Hour, true},
		{"at the moment of SignIn", roster.Admission{Since: revokedAll(noon), At: noon}, nil, 0, false},
		{"a sign-in of an hour ago", roster.Admission{Since: listOf(), At: noon}, listOf(), time.Hour, true},
		{"a sign-in of almost an hour ago", roster.Admission{Since: listOf(), At: noon}, listOf(), time.Hour - 1, false},
		{"a sign-in with a session that was revoked", roster.Admission{Parent: "a", Since: listOf("a"), At: noon}, revokedOne("a", "a"), 0, true},
		{"a sign-in with a session that was being revoked before", roster.Admission{Parent: "a", Since: revokedOne("a", "a"), At: noon}, listOf(), 0, true},
		{"a renewal", roster.Admission{Parent: "a", Since: listOf("a")}, listOf("a"), 0, false},
		{"a renewal of a session that was revoked", roster.Admission{Parent: "a", Since: listOf("a", "b")}, revokedOne("a", "a", "b"), 0, true},
		{"a renewal while another session was revoked", roster.Admission{Parent: "a", Since: listOf("a", "b")}, revokedOne("b", "a", "b"), 0, false},
		{"a renewal whose entry is gone, and nothing was revoked", roster.Admission{Parent: "a", Since: before}, func() *roster.List {
			l := before.Clone()
			l.Drop(one("a"))
			return l
		}(), 0, false},
		{"a renewal whose entry is gone, and everything was revoked", roster.Admission{Parent: "a", Since: before}, revokedAll(noon, "b"), 0, true},
		{"a renewal that was spared when everything else was revoked", roster.Admission{Parent: "a", Since: before}, revokedAll(noon, "a"), 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := tt.now
			if now == nil {
				now = tt.a.Since
			}
			if got := tt.a.Revoked(now, noon.Add(tt.after), timeout); got != tt.want {
				t.Errorf("Revoked returned %v, want %v", got, tt.want)
			}
		})
	}
}

func TestWhereASessionIsAdmitted(t *testing.T) {
	entry := roster.Entry{Key: "new", Handle: "b"}
	for _, tt := range []struct {
		name string
		a    roster.Admission
		want []string
	}{
		{"a sign-in of a visitor", roster.Admission{Entry: roster.Entry{Key: "new", Handle: "new"}, At: noon}, []string{"a", "b", "c", "new"}},
		{"a sign-in again", roster.Admission{Entry: entry, Parent: "b", At: noon}, []string{"a", "b", "c", "new"}},
		{"a renewal", roster.Admission{Entry: entry, Parent: "b"}, []string{"a", "b", "new", "c"}},
		{"a renewal whose entry is gone", roster.Admission{Entry: roster.Entry{Key: "new", Handle: "x"}, Parent: "x"}, []string{"a", "b", "c", "new"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := listOf("a", "b", "c")
			l.Admit(&tt.a)
			if got := keysOf(l); !slices.Equal(got, tt.want) {
				t.Errorf("the list is %v, want %v", got, tt.want)
			}
		})
	}
}

func TestTheIDsBeforeTheParentAreDroppedWhenItIsRenewed(t *testing.T) {
	l := listOf("a", "b1", "b2", "b3")
	for i := range l.Sessions[1:] {
		l.Sessions[i+1].Handle = "b"
	}
	l.Admit(&roster.Admission{Entry: roster.Entry{Key: "new", Handle: "b"}, Parent: "b2"})
	if got, want := keysOf(l), []string{"a", "b2", "new", "b3"}; !slices.Equal(got, want) {
		t.Errorf("the list is %v, want %v", got, want)
	}
}

func TestARenewalAddsNoSession(t *testing.T) {
	l := listOf("a")
	for _, tt := range []struct {
		name  string
		a     roster.Admission
		drops bool
		want  bool
	}{
		{"a sign-in", roster.Admission{Parent: "a", At: noon}, false, false},
		{"a renewal", roster.Admission{Parent: "a"}, true, true},
		{"a renewal whose entry is gone, where nobody has to go", roster.Admission{Parent: "x"}, false, true},
		{"a renewal whose entry is gone, where another may have its place", roster.Admission{Parent: "x"}, true, false},
	} {
		if got := l.AddsNone(&tt.a, tt.drops); got != tt.want {
			t.Errorf("%s: AddsNone returned %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWhoHasToGoAtTheLimit(t *testing.T) {
	alive := map[string]roster.Look{
		"a": {LastSeen: noon}, "b": {LastSeen: noon.Add(-2 * time.Minute)}, "c": {LastSeen: noon.Add(-time.Minute)},
		"stray": {LastSeen: noon.Add(-time.Hour), Strayed: true},
	}
	admitted := roster.Entry{Key: "new", Handle: "new"}
	for _, tt := range []struct {
		name  string
		limit int
		lru   bool
		want  []string
	}{
		{"there is room", 4, true, nil},
		{"the least recently used", 3, true, []string{"b"}},
		{"the two least recently used", 2, true, []string{"b", "c"}},
		{"the oldest", 3, false, []string{"a"}},
		{"all others", 1, false, []string{"a", "b", "c"}},
	} {
		l := listOf("stray", "a", "b", "c", "new")
		if got := l.Surplus(tt.limit, admitted, alive, tt.lru); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v has to go, want %v", tt.name, got, tt.want)
		}
	}
}

func TestWhenSomebodyHasToLook(t *testing.T) {
	full := func(n int) *roster.List {
		l := new(roster.List)
		for i := range n {
			l.Sessions = append(l.Sessions, roster.Entry{Key: string(rune('a' + i)), Handle: "one"})
		}
		return l
	}
	unfinished := listOf("a")
	unfinished.Revoke(one("a"))
	grown := full(41)
	grown.Kept = 20
	notYet := full(40)
	notYet.Kept = 20
	for _, tt := range []struct {
		name string
		l    *roster.List
		most int
		want bool
	}{
		{"few", full(32), 2, false},
		{"many ids that may be dead", full(33), 2, true},
		{"not twice what was kept", notYet, 2, false},
		{"more than twice what was kept", grown, 2, true},
		{"as many sessions as there may be", listOf("a", "b"), 2, false},
		{"more", listOf("a", "b", "c"), 2, true},
		{"an unfinished revocation", unfinished, 2, true},
	} {
		if got := tt.l.NeedsLook(tt.most); got != tt.want {
			t.Errorf("%s: NeedsLook returned %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPruneDropsWhatIsDeadButNotWhatIsAdmittedOrRevoked(t *testing.T) {
	l := listOf("dead", "alive", "revoked", "new")
	l.Revoke(one("revoked"))
	l.Prune(map[string]roster.Look{"alive": {}}, "new")
	if got, want := keysOf(l), []string{"alive", "revoked", "new"}; !slices.Equal(got, want) || l.Kept != 3 {
		t.Errorf("the list is %v, with %d kept; want %v", got, l.Kept, want)
	}
}

func TestAListHasASessionForLongEnough(t *testing.T) {
	life := record.Lifespan{Idle: time.Hour}
	until := roster.ListedUntil(life, noon)
	if want := noon.Add(4*time.Hour + 24*time.Hour).UnixMilli(); until != want {
		t.Errorf("it is there until %v, want %v", time.UnixMilli(until), time.UnixMilli(want))
	}
	for _, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, false}, {2 * time.Hour, false}, {2*time.Hour + time.Millisecond, true}} {
		if got := roster.IsDue(life, until, noon.Add(tt.after)); got != tt.want {
			t.Errorf("after %v it is due: %v, want %v", tt.after, got, tt.want)
		}
	}
	short := record.Lifespan{Idle: time.Hour, Deadline: noon.Add(time.Hour)}
	if got, want := roster.ListedUntil(short, noon), noon.Add(25*time.Hour).UnixMilli(); got != want {
		t.Errorf("with a deadline it is there until %v, want %v", time.UnixMilli(got), time.UnixMilli(want))
	}
}
