package sqlitestore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mostInBatch is how many writes share a transaction.
const mostInBatch = 256

// A writer has the one connection of this process that writes. A write that finds it free
// is done by who wants it. Those that do not are left to a goroutine, which does all that
// have come by the time when it looks in one transaction, so that they wait for the disk
// once. Who has taken what is in free uses the connection, and the fields above it.
type writer struct {
	handle  *handle
	durable Durability
	relaxed bool      // the connection does not wait for the disk
	idle    time.Time // since when nothing is done
	yielded time.Time // when others had a chance at last
	free    chan struct{}
	jobs    chan *job
	turns   chan *turn
	quit    chan struct{}
	done    sync.WaitGroup
	once    sync.Once
	err     error // of closing
}

// A job is a write that somebody waits for.
type job struct {
	query  string
	args   []driver.NamedValue
	state  atomic.Int32 // taken by the writer, or given up by who waited
	result driver.Result
	err    error
	done   chan struct{}
}

const (
	taken = 1 + iota
	givenUp
)

// A turn is a transaction of somebody who has the writer for himself.
type turn struct {
	ctx   context.Context // of who waits for it to begin
	w     *writer
	began chan error
	ended chan struct{}
}

func newWriter(ctx context.Context, name string, d Durability) (*writer, error) {
	h, err := openHandle(ctx, name)
	switch {
	case errors.Is(err, errNoLog):
		return nil, err
	case isBusy(err):
		return nil, errors.New("cloakroom: sqlite store: the file cannot be used: another process has locked it all the time")
	case err != nil:
		return nil, errors.New("cloakroom: sqlite store: the file cannot be used: it is no database of SQLite")
	}
	if err := h.set(ctx, "PRAGMA busy_timeout = 0"); err != nil { // see patiently
		return nil, errors.Join(errors.New("cloakroom: sqlite store: the connection cannot be set up"), h.close())
	}
	w := &writer{handle: h, durable: d, free: make(chan struct{}, 1), jobs: make(chan *job, mostInBatch), turns: make(chan *turn), quit: make(chan struct{})}
	w.free <- struct{}{}
	w.done.Go(w.run)
	return w, nil
}

// run does what others leave to it. While writes come together it keeps the connection:
// one that was done alone meanwhile would have all others wait for the disk once more.
func (w *writer) run() {
	kept := false
	take := func() {
		if !kept {
			<-w.free
			kept = true
		}
		w.yield()
	}
	for {
		together := false
		select {
		case first := <-w.jobs:
			take()
			together = w.batch(first) > 1
		case t := <-w.turns:
			take()
			w.give(t)
		case <-w.quit:
			if !kept {
				<-w.free
			}
			return
		}
		w.idle = time.Now()
		if !together {
			kept = false
			w.free <- struct{}{}
		}
	}
}

// exec does a write. It returns when ctx is done, where the write waits for others. What
// SQLite has begun it ends.
func (w *writer) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	select {
	case <-w.free:
	default:
		return w.leave(ctx, query, args)
	}
	defer func() { w.free <- struct{}{} }()
	w.yield()
	result, err := w.alone(ctx, query, args)
	w.idle = time.Now()
	return result, err
}

// leave leaves a write to the goroutine, and returns when it is done or ctx is.
func (w *writer) leave(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	j := &job{query: query, args: own(args), done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return nil, sql.ErrTxDone // says to package sqlstore that nothing was done
	case <-w.quit:
		return nil, sql.ErrConnDone
	}
	select {
	case <-j.done:
		return j.result, j.err
	case <-ctx.Done():
	case <-w.quit:
	}
	if j.state.CompareAndSwap(0, givenUp) {
		if ctx.Err() == nil {
			return nil, sql.ErrConnDone
		}
		return nil, errors.Join(sql.ErrTxDone, ctx.Err())
	}
	select {
	case <-j.done: // in this moment
		return j.result, j.err
	default:
	}
	if ctx.Err() == nil { // the store is being closed
		<-j.done
		return j.result, j.err
	}
	return nil, ctx.Err()
}

// own returns arguments whose bytes are the writer's: who gave them may go before it is
// done with them.
func own(args []driver.NamedValue) []driver.NamedValue {
	owned := make([]driver.NamedValue, len(args))
	for i, a := range args {
		if b, ok := a.Value.([]byte); ok {
			a.Value = append([]byte{}, b...)
		}
		owned[i] = a
	}
	return owned
}

// batch does a write and those that have come meanwhile, and returns how many they were.
func (w *writer) batch(first *job) int {
	jobs := make([]*job, 0, 16)
	for j := first; ; {
		if j.state.CompareAndSwap(0, taken) {
			jobs = append(jobs, j)
		}
		if len(jobs) == mostInBatch {
			break
		}
		select {
		case j = <-w.jobs:
			continue
		default:
		}
		break
	}
	if len(jobs) > 1 && w.together(jobs) {
		return len(jobs)
	}
	for _, j := range jobs {
		j.result, j.err = w.alone(context.Background(), j.query, j.args)
		close(j.done)
	}
	return len(jobs)
}

// alone does a write that is a transaction by itself.
func (w *writer) alone(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := w.sync(ctx, !w.spares(query)); err != nil {
		return nil, err
	}
	return w.patiently(ctx, query, args)
}

// together does jobs in one transaction. It reports false, and has done none of them,
// where one fails: the others are not to suffer for it.
func (w *writer) together(jobs []*job) bool {
	ctx := context.Background()
	wait := false
	for _, j := range jobs {
		wait = wait || !w.spares(j.query)
	}
	err := w.sync(ctx, wait)
	if err == nil {
		_, err = w.patiently(ctx, "BEGIN IMMEDIATE", nil)
	}
	if err != nil { // nor would any of them begin alone
		finish(jobs, err)
		return true
	}
	for _, j := range jobs {
		var err error
		if j.result, err = w.handle.exec(ctx, j.query, j.args); err != nil {
			w.rollback()
			return false
		}
	}
	if _, err = w.handle.exec(ctx, "COMMIT", nil); err != nil {
		w.rollback()
	}
	finish(jobs, err)
	return true
}

// finish tells those who wait for jobs.
func finish(jobs []*job, err error) {
	for _, j := range jobs {
		j.err = err
		close(j.done)
	}
}

const (
	// patience is how long a write waits for other processes, where it has no deadline, or
	// waits in line with others of this process.
	patience = 5 * time.Second

	// moment is how often it looks whether it is its turn. SQLite itself looks every
	// tenth of a second, in which a process that writes all the time has begun again.
	moment = time.Millisecond

	// spell is how long this process writes before it lets others have a moment.
	spell = 25 * time.Millisecond
)

// patiently does a statement that needs the lock of the file, when it is this process's
// turn. Where ctx is done before that, nothing is.
func (w *writer) patiently(ctx context.Context, query string, args []driver.NamedValue) (result driver.Result, err error) {
	_, limited := ctx.Deadline()
	for end := time.Now().Add(patience); ctx.Err() == nil; {
		result, err = w.handle.exec(context.WithoutCancel(ctx), query, args)
		if !isBusy(err) || !limited && time.Now().After(end) {
			return result, err
		}
		w.yielded = time.Now() // to them
		select {
		case <-time.After(moment):
		case <-ctx.Done():
		}
	}
	return nil, errors.Join(sql.ErrTxDone, ctx.Err())
}

// isBusy reports whether an error says that another process has the lock of the file.
func isBusy(err error) bool {
	const busy = 5 // SQLITE_BUSY
	var code interface{ Code() int }
	return errors.As(err, &code) && code.Code()&0xff == busy
}

// yield leaves the file alone for a moment where this process has written for a while
// without a pause.
func (w *writer) yield() {
	now := time.Now()
	switch {
	case now.Sub(w.idle) > moment:
		w.yielded = now
	case now.Sub(w.yielded) > spell:
		time.Sleep(moment)
		w.yielded = time.Now()
	}
}

func (w *writer) rollback() {
	_, _ = w.handle.exec(context.Background(), "ROLLBACK", nil) // SQLite may have done so
}

// spares reports whether a write need not wait for the disk. The statements are those of
// package sqlstore: one that inserts a session, and one that changes nothing but a life.
func (w *writer) spares(query string) bool {
	return w.durable == SyncChanges &&
		(strings.HasPrefix(query, "INSERT ") || strings.HasPrefix(query, "UPDATE ") && strings.Contains(query, " SET expires = "))
}

// sync says whether the next commit waits for the disk.
func (w *writer) sync(ctx context.Context, wait bool) error {
	if w.relaxed == !wait {
		return nil
	}
	pragma := "PRAGMA synchronous = NORMAL"
	if wait {
		pragma = "PRAGMA synchronous = FULL"
	}
	if _, err := w.handle.exec(context.WithoutCancel(ctx), pragma, nil); err != nil {
		return err
	}
	w.relaxed = !wait
	return nil
}

// begin returns when the writer has begun a transaction for the caller.
func (w *writer) begin(ctx context.Context) (*turn, error) {
	t := &turn{ctx: ctx, w: w, began: make(chan error, 1), ended: make(chan struct{})}
	select {
	case w.turns <- t:
	case <-ctx.Done():
		return nil, errors.Join(sql.ErrTxDone, ctx.Err())
	case <-w.quit:
		return nil, sql.ErrConnDone
	}
	select {
	case err := <-t.began:
		if err != nil {
			return nil, err
		}
		return t, nil
	case <-ctx.Done():
		go func() { // it may begin yet
			if <-t.began == nil {
				_ = t.end(context.WithoutCancel(ctx), "ROLLBACK")
			}
		}()
		return nil, errors.Join(sql.ErrTxDone, ctx.Err())
	}
}

// give lets somebody have the connection until his transaction ends.
func (w *writer) give(t *turn) {
	err := w.sync(t.ctx, true)
	if err == nil {
		_, err = w.patiently(t.ctx, "BEGIN IMMEDIATE", nil)
	}
	t.began <- err
	if err == nil {
		<-t.ended
	}
}

func (t *turn) exec(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return t.w.handle.exec(context.WithoutCancel(ctx), query, args) // the others wait: it is quick
}

func (t *turn) query(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	r, err := t.w.handle.query(context.WithoutCancel(ctx), query, args)
	if err != nil {
		return nil, err
	}
	return r.all()
}

// end ends the transaction by COMMIT or ROLLBACK. Where a COMMIT fails, it is still to be
// rolled back.
func (t *turn) end(ctx context.Context, statement string) error {
	_, err := t.exec(ctx, statement, nil)
	if err == nil || statement == "ROLLBACK" { // which fails where SQLite has done so
		close(t.ended)
		return nil
	}
	return err
}

// close waits for what is under way.
func (w *writer) close() error {
	w.once.Do(func() {
		close(w.quit)
		w.done.Wait()
		for { // came in the last moment
			select {
			case j := <-w.jobs:
				if j.state.CompareAndSwap(0, givenUp) {
					j.err = sql.ErrConnDone
				}
				close(j.done)
				continue
			default:
			}
			break
		}
		if w.handle.close() != nil {
			w.err = errors.New("cloakroom: sqlite store: the connection cannot be closed")
		}
	})
	return w.err
}
