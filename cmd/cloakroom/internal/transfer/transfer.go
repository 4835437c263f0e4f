// Package transfer copies the sessions of a store into another one, while apps use the
// first.
//
// It walks both, again and again, until a pass finds nothing to do: what changed in the
// source during a pass is found by the next. It changes in the target only what it has put
// there itself and nobody has changed since, by the conditional writes of the stores. So a
// copy that is run once too often, when the apps are on the target already, undoes
// nothing of what they did: it reports it.
package transfer

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Side is one part of a store: its sessions, or its lists of users' sessions.
type Side interface {
	store.Store
	store.Lister
	store.Remover
	store.BatchCreator
	Inspect(ctx context.Context, ids []string) ([]store.Record, error)
}

// A Part is what is copied from where to where.
type Part struct {
	Name     string // "sessions" or "lists"
	From, To Side
}

// A Pass says what one pass has done.
type Pass struct {
	Looked   int // records of the source
	Copied   int // that the target did not have
	Updated  int // that had changed in the source
	Extended int // that live longer or shorter in the source
	Removed  int // that ended in the source
	Foreign  int // that the target has otherwise, and not from a copy: they were left alone
	Target   int // records that the target had at the end of the pass
}

// Changes returns how many records the pass found not to be in the target as in the source.
// That a session was extended is none: sessions in use are all the time.
func (p Pass) Changes() int { return p.Copied + p.Updated + p.Removed }

func (p *Pass) add(q Pass) {
	p.Looked += q.Looked
	p.Copied += q.Copied
	p.Updated += q.Updated
	p.Extended += q.Extended
	p.Removed += q.Removed
	p.Foreign += q.Foreign
	p.Target += q.Target
}

// A Copy is one run.
type Copy struct {
	Parts    []Part
	Journal  *Journal
	Progress func(looked int) // is told how many records of the source were looked at; may be nil
	Now      func() time.Time
}

const (
	batchSize  = 1024    // records that are looked at in one call
	batchBytes = 4 << 20 // and how large they are together, about
	workers    = 4       // batches at once
	attempts   = 8       // of a batch, where a store fails

	// tolerance is by how much the lives of two records may differ that are to be the
	// same: stores have units, and time passes between two questions.
	tolerance = 2 * time.Second

	// longest is how long a record lives at most in the target: in the source one may have
	// no end.
	longest = 10 * 365 * 24 * time.Hour
)

// Run makes one pass over all parts.
func (c *Copy) Run(ctx context.Context) (total Pass, err error) {
	for _, part := range c.Parts {
		r := &run{Copy: c, Part: part, seen: make(map[uint64]struct{}), looked: total.Looked}
		pass, err := r.run(ctx)
		total.add(pass)
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// A run is a pass over one part.
type run struct {
	*Copy
	Part

	mu     sync.Mutex // guards what follows
	seen   map[uint64]struct{}
	looked int
	pass   Pass
}

func (r *run) run(ctx context.Context) (Pass, error) {
	err := r.each(ctx, r.From, func(id string) bool { return true }, r.bring)
	if err == nil {
		err = r.each(ctx, r.To, r.isLeft, r.clear)
	}
	return r.pass, err
}

func (r *run) key(id string) uint64 { return digest(r.Name, []byte(id)) }

// isLeft reports whether the target has an id that the source did not have in this pass.
func (r *run) isLeft(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass.Target++
	_, seen := r.seen[r.key(id)]
	return !seen
}

// each walks a side, and has some ids at a time looked at, several times at once.
func (r *run) each(ctx context.Context, side Side, want func(id string) bool, look func(ctx context.Context, ids []string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	batches := make(chan []string)
	for range workers {
		wg.Go(func() {
			for ids := range batches {
				if err := insist(ctx, func() error { return look(ctx, ids) }); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	send := func(ids []string) bool {
		select {
		case batches <- ids:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var err error
	ids, bytes := make([]string, 0, batchSize), 0
	for rec, failed := range side.All(ctx) {
		if err = failed; err != nil {
			break
		}
		if !want(rec.ID) {
			continue
		}
		ids, bytes = append(ids, rec.ID), bytes+len(rec.Data)
		if len(ids) == batchSize || bytes >= batchBytes {
			if !send(ids) {
				break
			}
			ids, bytes = make([]string, 0, batchSize), 0
		}
	}
	if err == nil && len(ids) > 0 {
		send(ids)
	}
	close(batches)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// insist does something again where a store fails: all that is done here can be.
func insist(ctx context.Context, do func() error) (err error) {
	pause := 50 * time.Millisecond
	for range attempts {
		if err = do(); err == nil || ctx.Err() != nil || errors.Is(err, store.ErrFull) {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// bring brings records of the source into the target.
func (r *run) bring(ctx context.Context, ids []string) error {
	wanted, err := r.From.Inspect(ctx, ids)
	if err != nil {
		return err
	}
	for i := range wanted {
		wanted[i].TTL = min(wanted[i].TTL, longest)
	}
	have, err := r.inTarget(ctx, ids)
	if err != nil {
		return err
	}
	var (
		b   = batch{run: r, before: make(map[uint64]entry, len(wanted))}
		now = r.Now()
	)
	for _, want := range wanted {
		b.sort(want, have, now)
	}
	if err := r.Journal.note(b.intents...); err != nil {
		return err
	}
	if err := b.write(ctx, have); err != nil {
		return err
	}
	if err := r.Journal.note(b.done...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		r.seen[r.key(id)] = struct{}{}
	}
	b.pass.Looked = len(ids)
	r.pass.add(b.pass)
	r.looked += len(ids)
	if r.Progress != nil {
		r.Progress(r.looked)
	}
	return nil
}

// inTarget returns what the target has under these ids.
func (r *run) inTarget(ctx context.Context, ids []string) (map[string]store.Record, error) {
	recs, err := r.To.Inspect(ctx, ids)
	have := make(map[string]store.Record, len(recs))
	for _, rec := range recs {
		have[rec.ID] = rec
	}
	return have, err
}

// A batch is what is to be done with some records.
type batch struct {
	*run

	pass    Pass
	create  []store.Record
	update  []store.Record
	touch   []store.Record
	intents []note
	done    []note
	before  map[uint64]entry // what the journal knew
}

// sort decides what to do with a record of the source.
func (b *batch) sort(want store.Record, have map[string]store.Record, now time.Time) {
	key, hash := b.key(want.ID), digest("", want.Data)
	known := b.Journal.get(key)
	b.before[key] = known
	old, exists := have[want.ID]
	is := func(kind byte) note {
		return note{kind: kind, key: key, hash: hash, expires: now.Add(want.TTL).UnixMilli()}
	}
	switch {
	case !exists && known.wasEnded(now):
		b.pass.Foreign++
	case !exists:
		b.create = append(b.create, want)
		b.intents, b.done = append(b.intents, is(kindIntent)), append(b.done, is(kindDone))
	case bytes.Equal(old.Data, want.Data):
		if (old.TTL - want.TTL).Abs() > tolerance {
			b.touch = append(b.touch, want)
			b.done = append(b.done, is(kindDone))
		} else if known.done != hash || known.intent != 0 {
			b.done = append(b.done, is(kindDone))
		}
	case known.isOurs(digest("", old.Data)):
		b.update = append(b.update, want)
		b.intents, b.done = append(b.intents, is(kindIntent)), append(b.done, is(kindDone))
	default:
		b.pass.Foreign++
	}
}

// write does what was decided.
func (b *batch) write(ctx context.Context, have map[string]store.Record) error {
	var inUse []string
	if len(b.create) > 0 {
		var err error
		if inUse, err = b.To.CreateBatch(ctx, b.create); err != nil {
			return err
		}
	}
	for _, id := range inUse { // since it was looked at
		b.takeBack(id)
	}
	b.pass.Copied += len(b.create) - len(inUse)
	err := together(b.update, func(want store.Record) error {
		err := b.To.Update(ctx, have[want.ID], want)
		return b.settled(&b.pass.Updated, want.ID, err)
	})
	if err != nil {
		return err
	}
	return together(b.touch, func(want store.Record) error {
		err := b.To.Touch(ctx, want.ID, want.TTL)
		return b.settled(&b.pass.Extended, want.ID, err)
	})
}

// settled counts a write. Where somebody else changed the record meanwhile, the next pass
// sees what it is.
func (b *batch) settled(n *int, id string, err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		*n++
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrNotFound):
		b.takeBack(id)
		err = nil
	}
	return err
}

// takeBack notes that a record was not written, because somebody else changed or ended the
// one in the target meanwhile. The next pass sees what became of it.
func (b *batch) takeBack(id string) {
	b.pass.Foreign++
	key := b.key(id)
	was := b.before[key]
	for i := range b.done {
		if b.done[i].key == key {
			b.done[i] = note{kind: kindDone, key: key, hash: was.done, expires: was.expires}
			if was.done == 0 {
				b.done[i].kind = kindGone
			}
		}
	}
}

// clear removes from the target what has ended in the source.
func (r *run) clear(ctx context.Context, ids []string) error {
	still, err := r.From.Inspect(ctx, ids)
	if err != nil {
		return err
	}
	lives := make(map[string]bool, len(still))
	for _, rec := range still { // made, or seen by the walk, only now
		lives[rec.ID] = true
	}
	have, err := r.inTarget(ctx, ids)
	if err != nil {
		return err
	}
	var (
		pass   Pass
		remove []store.Record
		gone   []note
		mu     sync.Mutex
	)
	for id, old := range have {
		switch known := r.Journal.get(r.key(id)); {
		case lives[id]:
		case known.isOurs(digest("", old.Data)):
			remove = append(remove, old)
		default:
			pass.Foreign++
		}
	}
	err = together(remove, func(old store.Record) error {
		err := r.To.Remove(ctx, old)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil, errors.Is(err, store.ErrNotFound):
			pass.Removed++
			pass.Target--
			gone = append(gone, note{kind: kindGone, key: r.key(old.ID)})
		case errors.Is(err, store.ErrConflict):
			pass.Foreign++
		default:
			return err
		}
		return nil
	})
	if noted := r.Journal.note(gone...); err == nil {
		err = noted
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pass.add(pass)
	return err
}

// together does something with records, some at once.
func together(recs []store.Record, do func(store.Record) error) error {
	const atOnce = 32
	var (
		wg   sync.WaitGroup
		errs = make([]error, atOnce)
	)
	for w := range min(atOnce, len(recs)) {
		wg.Go(func() {
			for i := w; i < len(recs) && errs[w] == nil; i += atOnce {
				errs[w] = do(recs[i])
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
