package vault

import (
	"context"
	"sync"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// turns make the writes to one record wait for each other within this process,
// so that they do not lose races against one another at the store. Whoever leaves
// hands the document just written to the next in line. Other processes are kept at
// bay by Store.Update alone.
type turns struct {
	mu    sync.Mutex
	queue map[string]*Turn
	spare *Turn // one that ended and that nobody knows any more
}

// A Turn is the right to write one record, until it is left.
type Turn struct {
	n      int           // who has it and who waits for it
	next   chan struct{} // passes it on; made by the first who waits
	latest *record.Document
}

// Latest returns what was written last in this line, or nil.
func (t *Turn) Latest() *record.Document { return t.latest }

// Wrote notes what was written, for the next in line.
func (t *Turn) Wrote(doc *record.Document) { t.latest = doc }

// take waits for the turn of key.
func (t *turns) take(ctx context.Context, key string) (*Turn, error) {
	t.mu.Lock()
	q := t.queue[key]
	if q == nil {
		q = t.begin(key)
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
		if q.n--; q.n == 0 { // the one before left meanwhile, and passed it to nobody
			delete(t.queue, key)
		}
		return nil, ctx.Err()
	}
}

// begin begins a line. The caller holds the lock.
func (t *turns) begin(key string) *Turn {
	if t.queue == nil {
		t.queue = make(map[string]*Turn)
	}
	q := t.spare
	if q == nil {
		q = new(Turn)
	}
	t.spare = nil
	q.n = 1
	t.queue[key] = q
	return q
}

// leave ends the turn of key.
func (t *turns) leave(key string, q *Turn) {
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
