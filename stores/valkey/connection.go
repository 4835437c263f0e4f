package valkeystore

import (
	"context"
	"crypto/tls"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"
)

// oneConnection as the PipelineMultiplex of a client has it pipeline on one connection.
const oneConnection = -1

// gather makes a client write as seldom as it can: the commands of all goroutines go over
// one connection, and those that come while it is about to write go out together.
func gather(option *valkey.ClientOption) {
	option.PipelineMultiplex = oneConnection
	dial := option.DialCtxFn
	if dial == nil {
		dial = dialTCP
	}
	option.DialCtxFn = func(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		conn, err := dial(ctx, addr, dialer, config)
		if err != nil {
			return nil, err
		}
		return &politeConn{Conn: conn}, nil
	}
}

// dialTCP is what a client does that is not told how to dial.
func dialTCP(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", addr)
}

// A politeConn lets the goroutines that are ready to run go before it writes. The client
// writes as soon as it has one command, and a write costs more than all else that it does
// for one: what the others want to send meanwhile is then in the next write, in place of a
// write for each. Where nobody else is ready, it waits for nothing.
type politeConn struct {
	net.Conn
	hurries atomic.Int64 // it lets nobody go first until then, in Unix ns
}

const (
	// turns is how often the others go first: once for whoever hands out answers, and once
	// for those who got them, and send the next command.
	turns = 2

	// patience is for how long: Go's time slice. Where others use it up, the app computes more
	// than it has processors for, and each turn is one more wait.
	patience = 10 * time.Millisecond

	// hurry is how long nobody goes first after that.
	hurry = 100 * time.Millisecond
)

// Write implements [net.Conn].
func (c *politeConn) Write(b []byte) (int, error) {
	c.letOthersGo()
	return c.Conn.Write(b)
}

func (c *politeConn) letOthersGo() {
	from := time.Now()
	if from.UnixNano() < c.hurries.Load() {
		return
	}
	for range turns {
		runtime.Gosched()
		if time.Since(from) > patience {
			c.hurries.Store(time.Now().Add(hurry).UnixNano())
			return
		}
	}
}
