package valkeystore

import (
	"testing"
	"testing/synctest"
	"time"
)

// A write may take longer than anything is kept in the cache, and what is read
// from there while it is under way may be older.
func TestAWriteIsRememberedFromItsBeginningAndFromItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const cacheTTL = time.Second
		s := &Store{own: newWrites(cacheTTL)}
		remembered := func(want bool, when string) {
			t.Helper()
			if got := s.own.recently("key"); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		remembered(false, "before")
		done := s.writing("key")
		remembered(true, "while it is under way")
		time.Sleep(10 * cacheTTL)
		done()
		remembered(true, "when it was answered")
		time.Sleep(2*cacheTTL - 1)
		remembered(true, "as long as the cache may have something older")
		time.Sleep(time.Nanosecond)
		remembered(false, "after that")

		// What is over is forgotten when something else is written.
		time.Sleep(time.Nanosecond)
		other := ""
		for sh := s.own.shard("key"); other == "" || s.own.shard(other) != sh; {
			other += "x"
		}
		s.own.note(other)
		if n := len(s.own.shard("key").until); n != 1 {
			t.Errorf("%d keys are kept, want 1", n)
		}
	})
}
