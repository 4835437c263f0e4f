package mongostore_test

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A wire is what lies between a client and its servers.
type wire struct {
	fault  atomic.Int32
	onLost func(command []byte) // told what a lost reply was to, if set
	onSunk func(command []byte) // told what a silent wire took, if set
}

// What a wire does to connections, those that are open too.
const (
	sound     = iota
	broken    // they are refused, and reset before anything is sent
	deafening // the server sees what is sent, and its reply is lost with the connection
	silent    // nothing passes any more, and nobody says so
)

// options returns the options of a client that uses the wire.
func (w *wire) options() *options.ClientOptions { return options.Client().SetDialer(w) }

func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if w.fault.Load() == broken {
		return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &end{Conn: c, wire: w}, nil
}

// An end is the client's end of a connection.
type end struct {
	net.Conn
	wire *wire
	sent []byte // last
}

func (e *end) reset(op string) error {
	_ = e.Close()
	return &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
}

func (e *end) Write(p []byte) (int, error) {
	switch e.wire.fault.Load() {
	case broken:
		return 0, e.reset("write")
	case silent:
		if e.wire.onSunk != nil {
			e.wire.onSunk(p)
		}
		return len(p), nil
	}
	e.sent = append(e.sent[:0], p...)
	return e.Conn.Write(p)
}

func (e *end) Read(p []byte) (int, error) {
	n, err := e.Conn.Read(p)
	switch fault := e.wire.fault.Load(); {
	case err == nil && fault == silent:
		return e.Conn.Read(p) // until the deadline
	case err == nil && fault != sound:
		if e.wire.onLost != nil {
			e.wire.onLost(e.sent)
		}
		return 0, e.reset("read")
	}
	return n, err
}
