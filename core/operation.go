package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/async"
)

// An operation is one piece of work with the store: it limits the time of its
// calls, and it keeps what the app has to be told until no lock is held. It is the
// context that the store is called with.
type operation struct {
	timeLimit
	exchange *Exchange // whose session it is about, if that is one
	mu       sync.Mutex
	told     atomic.Pointer[telling] // nil until there is something to tell; &over when all was
}

// A telling is what the app is told when an operation ends: what the Observer, the Logger and
// the Tracer hear is kept until then, because their code may call the session, whose lock the
// operation holds.
type telling struct {
	ctx   context.Context // what the Observer and the Logger are given
	span  func(error)     // ends the span of the Tracer; nil without one
	queue []func(context.Context)
	older *telling // the one that an exchange was left before
}

// tell tells the app of this operation, after the older ones.
func (t *telling) tell() {
	if t.older != nil {
		t.older.tell()
	}
	for _, tell := range t.queue {
		tell(t.ctx)
	}
}

// operationKey is the key under which a context leads to its operation.
type operationKey struct{}

// operate begins an operation that takes at most Config.StoreTimeout, whatever
// becomes of ctx. The Tracer is told, if there is one, so the caller holds no lock.
// The caller ends the operation when it has released its locks.
func (m *Manager) operate(ctx context.Context, kind Operation) *operation {
	op := m.untraced(ctx)
	op.parent = op.trace(ctx, m, kind)
	return op
}

// untraced is operate for what is part of another operation or runs beside one: the Tracer
// is not told.
func (m *Manager) untraced(ctx context.Context) *operation {
	op := new(operation)
	op.parent, op.detached, op.until = ctx, &m.deadlines, time.Now().Add(m.cfg.StoreTimeout)
	return op
}

// operate begins an operation on the session of an Exchange.
func (x *Exchange) operate(ctx context.Context, kind Operation) *operation {
	op := x.m.operate(ctx, kind)
	op.exchange = x
	return op
}

// limit returns a context for calls about the session of an Exchange, which ends after
// Config.StoreTimeout, and with ctx.
func (x *Exchange) limit(ctx context.Context) *operation {
	op := &operation{exchange: x}
	op.parent, op.until = ctx, time.Now().Add(x.m.cfg.StoreTimeout)
	return op
}

// trace tells the Tracer of m that the operation begins, and returns the context that
// its calls of the store descend from.
func (o *operation) trace(ctx context.Context, m *Manager, kind Operation) context.Context {
	if m.tracer == nil {
		return ctx
	}
	t := &telling{ctx: ctx}
	o.told.Store(t)
	ctx, t.span = m.tracer.Start(ctx, kind)
	return ctx
}

// Value implements [context.Context].
func (o *operation) Value(key any) any {
	if key == (operationKey{}) {
		return o
	}
	return o.timeLimit.Value(key)
}

// over is what there is to tell of an operation that has ended.
var over telling

// later calls tell when the operation ends. A call of the store that outlives it may have
// something to tell yet: a goroutine tells that, because nobody knows which locks are held.
func (o *operation) later(tell func(context.Context)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := o.told.Load()
	if t == nil {
		t = &telling{ctx: o.parent}
		if !o.told.CompareAndSwap(nil, t) {
			t = &over // it ended at this moment
		}
	}
	if t == &over {
		async.Beside(func() (struct{}, error) { tell(o.parent); return struct{}{}, nil })
		return
	}
	t.queue = append(t.queue, tell)
}

// end tells the app what there is to tell, and the Tracer that the operation has
// ended with err. The caller holds no lock.
func (o *operation) end(err error) {
	o.stop()
	told := o.take()
	if told == nil {
		return
	}
	told.tell()
	if told.span != nil {
		told.span(err)
	}
}

// take returns what there is to tell, or nil, and no more of it is kept.
func (o *operation) take() *telling {
	if o.told.CompareAndSwap(nil, &over) {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if t := o.told.Swap(&over); t != &over {
		return t
	}
	return nil
}

// beside does something beside the handler of x, as an operation of its own. Whoever waits
// for it may hold the lock of the session, so what the app is to be told of it is left to x.
func beside[T any](ctx context.Context, x *Exchange, do func(context.Context) (T, error)) async.Future[T] {
	return async.Beside(func() (T, error) {
		op := x.m.untraced(ctx)
		defer x.leave(op)
		return do(op)
	})
}

// answered stands in Exchange.left for an exchange that has been answered: nobody comes to
// tell what is left to it any more.
var answered telling

// leave ends an operation that ran beside the handler. What there is to tell is told when
// the lock of the session is released next, or when the answer is done; after that by a
// goroutine that nobody waits for.
func (x *Exchange) leave(op *operation) {
	op.stop()
	t := op.take()
	if t == nil {
		return
	}
	t.ctx = x.ctx
	for {
		t.older = x.left.Load()
		if t.older == &answered {
			t.older = nil
			async.Beside(func() (struct{}, error) { t.tell(); return struct{}{}, nil })
			return
		}
		if x.left.CompareAndSwap(t.older, t) {
			return
		}
	}
}

// tellLeft tells the app what was left to x. The caller holds no lock.
func (x *Exchange) tellLeft() {
	for t := x.left.Load(); t != nil && t != &answered; t = x.left.Load() {
		if x.left.CompareAndSwap(t, nil) {
			t.tell()
		}
	}
}

// endTelling is tellLeft when the answer is done.
func (x *Exchange) endTelling() {
	if t := x.left.Swap(&answered); t != nil && t != &answered {
		t.tell()
	}
}

// tell calls f at the end of the operation that ctx belongs to, or at once where
// it belongs to none: then no lock is held.
func tell(ctx context.Context, f func(ctx context.Context)) {
	if op, ok := ctx.Value(operationKey{}).(*operation); ok {
		op.later(f)
		return
	}
	f(ctx)
}

// notify tells the Observer.
func (m *Manager) notify(ctx context.Context, e Event) {
	if m.cfg.Observer != nil {
		tell(ctx, func(ctx context.Context) { m.cfg.Observer.Observe(ctx, e) })
	}
}
