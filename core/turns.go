package core

import (
	"context"
	"sync"
)

// A turns makes the commits to one session wait for each other within this
// process, so that they do not lose races against one another at the store. Who
// leaves hands the record just written to the next in line. Other processes are
// kept at bay by Store.Update alone.
type turns struct {
	mu    sync.Mutex
	queue map[string]*turn
	spare *turn // one that ended and that nobody knows any more
}

type turn struct {
	n      int           // who has it and who waits for it
	next   chan struct{} // passes it on; made by the first who waits
	latest *document     // what was written last in this line, or nil
}

// take waits for the turn of key.
func (t *turns) take(ctx context.Context, key string) (*turn, error) {
	t.mu.Lock()
	q := t.queue[key]
	if q == nil {
		if t.queue == nil {
			t.queue = make(map[string]*turn)
		}
		if q = t.spare; q == nil {
			q = new(turn)
		}
		t.spare = nil
		q.n = 1
		t.queue[key] = q
		t.mu.Unlock()
		return q, nil
	}
	q.n++
	if q.next == nil {
		q.next = make(chan struct{}, 1)
	}
	t.mu.Unlock()
	select {
	case <-q.next:
		return q, nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		if q.n--; q.n == 0 { // who had it left in the meantime and passed it to nobody
			delete(t.queue, key)
		}
		return nil, ctx.Err()
	}
}

// leave ends the turn of key.
func (t *turns) leave(key string, q *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.n--; q.n == 0 {
		delete(t.queue, key)
		if q.latest = nil; q.next == nil {
			t.spare = q
		}
		return
	}
	q.next <- struct{}{} // never blocks: there is one turn, and it was ours
}
