package core

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
)

// A Writer is the http.ResponseWriter of a handler with a session: it commits
// before the first byte leaves. Where that fails, it sends the error page in
// place of the handler's answer, and all that the handler writes gets the
// error. [http.ResponseController] works through it.
type Writer struct {
	http.ResponseWriter
	x     *Exchange
	page  ErrorPage // nil: the caller sends it later
	began bool
	paged bool // the error page was sent
	err   error
}

// An ErrorPage answers in place of a handler whose session could not be saved.
type ErrorPage interface {
	// ServeError writes the answer for err to w. Nothing was written before.
	ServeError(w http.ResponseWriter, err error)
}

// An ErrorPageFunc is a function that is an [ErrorPage].
type ErrorPageFunc func(w http.ResponseWriter, err error)

// ServeError calls f.
func (f ErrorPageFunc) ServeError(w http.ResponseWriter, err error) { f(w, err) }

// ServeError implements [ErrorPage] as [Manager.Fail] does.
func (x *Exchange) ServeError(w http.ResponseWriter, err error) { x.m.Fail(w, x.Request(), err) }

// Writer returns the writer for the handler. Where the commit fails it sends the
// error page; with a nil page nothing is sent, and the adapter has to do it when
// the handler has returned ([Writer.Err]).
func (x *Exchange) Writer(w http.ResponseWriter, page ErrorPage) *Writer {
	x.keepHeaders(w.Header())
	writer := &x.writer
	if writer.x != nil { // mounted twice
		writer = new(Writer)
	}
	*writer = Writer{ResponseWriter: w, x: x, page: page}
	return writer
}

// FailBy sets how the error page is sent where the commit fails from now on.
func (w *Writer) FailBy(page ErrorPage) { w.page = page }

// Began tells whether the response has begun.
func (w *Writer) Began() bool { return w.began }

// Err returns the error that took the place of the handler's answer, or nil.
func (w *Writer) Err() error { return w.err }

// Fail sends the error page where the commit came after the handler returned
// without writing anything.
func (w *Writer) Fail(err error) {
	if w.began {
		return
	}
	w.began, w.err = true, err
	w.x.out.Store(true)
	if w.page != nil {
		w.page.ServeError(w.ResponseWriter, err)
	}
}

// Begin commits, the first time that it is called, and returns what came of it.
// The methods of Writer call it; writers of frameworks that hold the status back
// do when they release it.
func (w *Writer) Begin() error {
	if w.began {
		return w.err
	}
	if w.x.ended.Load() { // an outer handler writes, after the commit
		w.began = true
		w.x.out.Store(true)
		return nil
	}
	w.err = w.x.firstByte(w.Header()) // may panic: then the response has not begun
	w.began = true
	if w.err != nil && w.page != nil {
		w.page.ServeError(w.ResponseWriter, w.err)
		w.paged = true
		// A handler that ignores errors may go on for long: let the client know.
		if canFlush(w.ResponseWriter) {
			_ = http.NewResponseController(w.ResponseWriter).Flush()
		}
	}
	return w.err
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
	if w.Begin() == nil {
		w.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (w *Writer) Write(b []byte) (int, error) {
	if err := w.Begin(); err != nil {
		return 0, err
	}
	return w.ResponseWriter.Write(b)
}

// WriteString implements [io.StringWriter].
func (w *Writer) WriteString(s string) (int, error) {
	if err := w.Begin(); err != nil {
		return 0, err
	}
	return io.WriteString(w.ResponseWriter, s)
}

// ReadFrom implements [io.ReaderFrom], which lets the kernel copy files.
func (w *Writer) ReadFrom(r io.Reader) (int64, error) {
	if err := w.Begin(); err != nil {
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
	if err := w.Begin(); err != nil {
		return err
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker]. The changes made so far are stored before
// the connection is handed over; later ones by Save only. A handler that then
// writes the response itself takes the cookie from [Session.UpgradeHeader].
func (w *Writer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if err := w.Begin(); err != nil {
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
