package core

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A Writer is the http.ResponseWriter of a handler with a session: it commits
// before the first byte leaves. Where that fails, the error page takes the place
// of the handler's answer, and all that the handler writes gets the error.
// [http.ResponseController] works through it.
type Writer struct {
	http.ResponseWriter

	// Failer sends the error page, where the commit fails from now on. A Manager
	// is one. Where it is nil nothing is sent, and the adapter sends the error page
	// when the handler has returned and [Writer.Err] is not nil.
	Failer Failer

	x        *Exchange
	answer   *answer
	response *response // nil: it has not begun
}

// A response is what the client gets.
type response struct {
	err   error // the error page took the place of the handler's answer
	paged bool  // which was sent
}

// ofHandler is the response that a handler writes itself.
var ofHandler response

// A Failer sends the error page: the response to a request whose session could not
// be loaded or saved. [Manager.Fail] is net/http's way of doing so; an adapter whose
// framework has another one has a Failer of its own.
type Failer interface {
	// Fail writes the answer for err to w, to which nothing was written before.
	// r is what [Exchange.Request] returns.
	Fail(w http.ResponseWriter, r *http.Request, err error)
}

// Writer returns the writer for the handler. It has no Failer yet.
func (x *Exchange) Writer(w http.ResponseWriter) *Writer {
	writer := &x.writer
	answer, first := x.beginAnswer(w.Header())
	if !first { // mounted twice, or of another answer
		writer = new(Writer)
	}
	writer.ResponseWriter, writer.x, writer.answer = w, x, answer
	return writer
}

// Began reports whether the response has begun.
func (w *Writer) Began() bool { return w.response != nil }

// Err returns the error that took the place of the handler's answer, or nil.
func (w *Writer) Err() error {
	if !w.Began() {
		return nil
	}
	return w.response.err
}

// Fail sends the error page where the commit came after the handler returned
// without writing anything.
func (w *Writer) Fail(err error) {
	if w.Began() {
		return
	}
	w.response = &response{err: err}
	w.answer.send()
	w.sendPage()
}

// sendPage sends the error page, if there is a Failer to do it.
func (w *Writer) sendPage() (sent bool) {
	if w.Failer == nil {
		return false
	}
	w.answer.outcome.Store(paged)
	w.Failer.Fail(w.ResponseWriter, cmp.Or(w.x.handled, w.x.r), w.Err())
	return true
}

// Commit commits, the first time that it is called, and returns what came of it.
// The methods of Writer call it; writers of frameworks that hold the status back
// do when they release it.
func (w *Writer) Commit() error {
	if w.Began() {
		return w.response.err
	}
	if w.x.ended.Load() || w.answer.outcome.Load() == paged { // an outer handler writes, after the commit; or the middleware that is inside, mounted twice
		w.response = &ofHandler
		w.answer.send()
		return nil
	}
	err := w.x.firstByte(w.Header()) // may panic: then the response has not begun
	if err == nil {
		w.response = &ofHandler
		return nil
	}
	w.response = &response{err: err}
	if w.sendPage() {
		w.response.paged = true
		// A handler that ignores errors may go on for long: let the client know.
		if canFlush(w.ResponseWriter) {
			_ = http.NewResponseController(w.ResponseWriter).Flush()
		}
	}
	return err
}

// canFlush asks the innermost writer, because there are some, Echo's for one,
// that panic when what they wrap cannot.
func canFlush(w http.ResponseWriter) bool {
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	_, ok := w.(http.Flusher)
	return ok
}

// WriteHeader implements [http.ResponseWriter]. Informational responses other
// than 101 are not the response and pass.
func (w *Writer) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status)
		return
	}
	if w.Commit() == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (w *Writer) Write(b []byte) (int, error) {
	if err := w.Commit(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// WriteString implements [io.StringWriter].
func (w *Writer) WriteString(s string) (int, error) {
	if err := w.Commit(); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements [io.ReaderFrom], which lets the kernel copy files.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.Commit(); err != nil {
		return 0, err
	}
	if rf, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return rf.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{w.ResponseWriter}, r)
}

// Flush implements [http.Flusher].
func (w *Writer) Flush() { _ = w.FlushError() }

// FlushError is what [http.ResponseController] calls.
func (w *Writer) FlushError() error {
	if err := w.Commit(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. The changes made so far are stored before
// the connection is handed over; later ones by Save only. A handler that then
// writes the response itself takes the cookie from [Session.UpgradeHeader].
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.Commit(); err != nil {
		return nil, nil, err
	}
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.x.hijack()
	}
	return conn, rw, err
}

// Push implements [http.Pusher].
func (w *Writer) Push(target string, opts *http.PushOptions) error {
	if p, ok := w.ResponseWriter.(http.Pusher); ok {
		return p.Push(target, opts)
	}
	return http.ErrNotSupported
}

// Format keeps a Writer from printing what its Exchange holds.
func (w *Writer) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "Writer(%T)", w.ResponseWriter) }

// Unwrap is for [http.ResponseController].
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }
