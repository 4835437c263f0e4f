package vault_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestOneOfManyClaimsIsGiven(t *testing.T) {
	r := vault.NewRecent(noon, 128, 128)
	var given atomic.Int32
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if r.Claim("id", noon, time.Minute) {
				given.Add(1)
			}
		})
	}
	wg.Wait()
	if n := given.Load(); n != 1 {
		t.Errorf("%d claims were given, want 1", n)
	}
}

func TestWhenAClaimIsGivenAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		then  func(r *vault.Recent)
		after time.Duration
		want  bool
	}{
		{"it is under way", func(*vault.Recent) {}, time.Minute - 1, false},
		{"nobody heard of it for an interval", func(*vault.Recent) {}, time.Minute, true},
		{"it failed", func(r *vault.Recent) { r.Release("id") }, 0, true},
		{"it was done", func(r *vault.Recent) { r.Put("id", noon, record.Lifespan{}) }, time.Minute - 1, false},
		{"it was done an interval ago", func(r *vault.Recent) { r.Put("id", noon, record.Lifespan{}) }, time.Minute, true},
		{"another one failed", func(r *vault.Recent) { r.Release("other") }, 0, false},
		{"it is forgotten", func(r *vault.Recent) { r.Forget("id") }, 0, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := vault.NewRecent(noon, 128, 128)
			if !r.Claim("id", noon, time.Minute) {
				t.Fatal("the first claim was not given")
			}
			tt.then(r)
			if got := r.Claim("id", noon.Add(tt.after), time.Minute); got != tt.want {
				t.Errorf("given: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestARecentMayForgetButDoesNotInvent(t *testing.T) {
	r := vault.NewRecent(noon, 256, 256)
	life := record.Lifespan{Idle: time.Hour}
	for i := range 1000 {
		r.Put(fmt.Sprint(i), noon.Add(time.Duration(i)), life)
	}
	known := 0
	for i := range 2000 {
		note := r.Last(fmt.Sprint(i))
		if note == (vault.Note{}) {
			continue
		}
		if known++; i >= 1000 || !note.At.Equal(noon.Add(time.Duration(i))) || note.Life != life {
			t.Fatalf("of %d it says %v", i, note)
		}
	}
	if known == 0 || known > 300 {
		t.Errorf("it remembers %d of 1000 ids, want about 256", known)
	}
}

// When more ids come within a minute than there is room for, there is more room, up to
// a limit. What happened longer ago makes room by going.
func TestARecentGrowsWithWhatHappensWithinAMinute(t *testing.T) {
	life := record.Lifespan{Idle: time.Hour, Deadline: time.UnixMilli(noon.Add(5 * time.Hour).UnixMilli())}
	for _, tt := range []struct {
		name        string
		apart       time.Duration
		least, most int
	}{
		{"within a minute", time.Millisecond, 980, 1000},
		{"over an hour", 4 * time.Second, 100, 300},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := vault.NewRecent(noon, 256, 4096)
			for i := range 1000 {
				r.Put(fmt.Sprint(i), noon.Add(time.Duration(i)*tt.apart), life)
			}
			known := 0
			for i := range 1000 {
				if note := r.Last(fmt.Sprint(i)); note == (vault.Note{At: noon.Add(time.Duration(i) * tt.apart), Life: life}) {
					known++
				} else if note != (vault.Note{}) {
					t.Fatalf("of %d it says %v", i, note)
				}
			}
			if known < tt.least || known > tt.most {
				t.Errorf("it remembers %d of 1000 ids, want %d to %d", known, tt.least, tt.most)
			}
		})
	}
}

// 100,000 sessions that are in use within a minute are extended about once each, in 8 MB.
func TestARecentHasRoomForAHundredThousandSessions(t *testing.T) {
	const sessions = 100_000
	r := vault.NewRecent(noon, 1<<12, 1<<18)
	again := 0
	for pass := range 3 {
		for i := range sessions {
			id, now := fmt.Sprint(i), noon.Add(time.Duration(pass*sessions+i)*time.Minute/(3*sessions))
			switch note := r.Last(id); {
			case !r.Claim(id, now, time.Minute):
			case !r.PutAfter(id, note, now, record.Lifespan{Idle: time.Hour}):
				t.Fatal("nobody else was at it")
			case pass > 0:
				again++
			}
		}
	}
	if most := sessions * 2 / 50; again > most {
		t.Errorf("%d of %d were extended again within a minute, want at most %d", again, 2*sessions, most)
	}
}

func TestWhatWasNotedMeanwhileIsKept(t *testing.T) {
	r := vault.NewRecent(noon, 128, 128)
	long, short := record.Lifespan{Idle: time.Hour}, record.Lifespan{Idle: time.Minute}
	before := r.Last("id")
	r.Put("id", noon, short)
	if r.PutAfter("id", before, noon, long) || r.Last("id").Life != short {
		t.Error("what another request noted was overwritten")
	}
	before = r.Last("id")
	r.Claim("id", noon.Add(time.Minute), time.Second) // a claim is no news of it
	if !r.PutAfter("id", before, noon.Add(time.Minute), long) || r.Last("id").Life != long {
		t.Error("nothing was noted in between, and PutAfter did nothing")
	}
}

func TestANoteTellsHowASessionEnded(t *testing.T) {
	idle := vault.Note{At: noon, Life: record.Lifespan{Idle: time.Hour}}
	deadline := vault.Note{At: noon, Life: record.Lifespan{Idle: time.Hour, Deadline: noon.Add(time.Minute)}}
	for _, tt := range []struct {
		name             string
		note             vault.Note
		after            time.Duration
		over, byDeadline bool
	}{
		{"of nothing", vault.Note{}, time.Hour, false, false},
		{"before the idle timeout", idle, time.Hour - 1, false, false},
		{"at the idle timeout", idle, time.Hour, true, false},
		{"before the deadline", deadline, time.Minute - 1, false, true},
		{"at the deadline", deadline, time.Minute, true, true},
	} {
		if over := tt.note.Over(noon.Add(tt.after)); over != tt.over || tt.note.ByDeadline() != tt.byDeadline {
			t.Errorf("%s: over %v, by the deadline %v; want %v, %v", tt.name, over, tt.note.ByDeadline(), tt.over, tt.byDeadline)
		}
	}
}
