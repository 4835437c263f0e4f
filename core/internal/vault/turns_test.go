package vault

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

func TestTheNextInLineGetsWhatTheLastOneWrote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line turns
		first, err := line.take(t.Context(), "id")
		if err != nil || first.Latest() != nil {
			t.Fatalf("the first turn: %v, with %v", err, first.Latest())
		}
		doc := new(record.Document)
		var wg sync.WaitGroup
		wg.Go(func() {
			second, err := line.take(t.Context(), "id")
			if err != nil || second.Latest() != doc {
				t.Errorf("the second turn: %v, with another document: %v", err, second.Latest() != doc)
				return
			}
			line.leave("id", second)
		})
		synctest.Wait()
		other, err := line.take(t.Context(), "other")
		if err != nil {
			t.Errorf("a turn of another id: %v", err)
		}
		line.leave("other", other)
		first.Wrote(doc)
		line.leave("id", first)
		wg.Wait()
		if len(line.queue) != 0 {
			t.Errorf("%d lines are left", len(line.queue))
		}
	})
}

// Whoever waits may give up before or after the turn was passed to nobody.
func TestALineEndsWhenTheLastOneWhoWaitedGaveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var line turns
		first, _ := line.take(t.Context(), "id")
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := line.take(ctx, "id"); err == nil {
				t.Error("who gave up got a turn")
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		line.leave("id", first)
		if len(line.queue) != 0 {
			t.Fatalf("%d lines are left, whose ids nobody can write any more", len(line.queue))
		}
		again, err := line.take(t.Context(), "id")
		if err != nil || again.Latest() != nil {
			t.Fatalf("the next turn: %v, with what an earlier line wrote: %v", err, again.Latest())
		}
		line.leave("id", again)
	})
}

// The same where the turn was passed on already, to one who had given up.
func TestATurnThatWasPassedToNobodyIsNotLost(t *testing.T) {
	var line turns
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 200 { // select chooses at random where both are ready
		first, err := line.take(t.Context(), "id")
		if err != nil {
			t.Fatal(err)
		}
		line.mu.Lock()
		first.n++ // as take does for whoever waits
		first.next = make(chan struct{}, 1)
		line.mu.Unlock()
		line.leave("id", first)
		line.mu.Lock()
		first.n-- // and as it does for one who gives up
		line.mu.Unlock()
		second, err := line.take(ctx, "id")
		if err == nil {
			line.leave("id", second)
			continue
		}
		line.mu.Lock()
		left := len(line.queue)
		line.mu.Unlock()
		if left != 0 {
			t.Fatalf("%d lines are left after everybody gave up", left)
		}
	}
}
