package valkeystore

import (
	"bytes"
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
		return &politeConn{Conn: conn, yield: runtime.Gosched, now: time.Now}, nil
	}
}

// dialTCP is what a client does that is not told how to dial.
func dialTCP(ctx context.Context, addr string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", addr)
}

// A politeConn lets the goroutines that are ready to run go before it writes, where many
// requests are at it. The client writes as soon as it has one command, and a write costs more
// than all else that it does for one: what the others want to send meanwhile is then in the
// next write, in place of a write for each.
type politeConn struct {
	net.Conn
	yield   func()           // lets the others go first: runtime.Gosched
	now     func() time.Time // time.Now
	sent    atomic.Int64     // commands since the last answer
	before  atomic.Int64     // commands between the last two answers
	hurries atomic.Int64     // nobody is let go first until then, in Unix ns
}

const (
	// few requests at once would pay for each other's turns, and gain nothing.
	few = 4

	// turns is how often the others go first: once for whoever hands out answers, and once
	// for those who got them, and send the next command.
	turns = 2

	// patience is for how long: Go's time slice. Where others use it up, the app computes more
	// than it has processors for, and each turn is one more wait.
	patience = 10 * time.Millisecond

	// hurry is how long nobody goes first after that.
	hurry = 100 * time.Millisecond
)

// Read implements [net.Conn].
func (c *politeConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if sent := c.sent.Swap(0); sent > 0 {
		c.before.Store(sent)
	}
	return n, err
}

// Write implements [net.Conn].
func (c *politeConn) Write(b []byte) (int, error) {
	sent := c.sent.Add(1 + int64(bytes.Count(b, nextCommand)))
	if max(sent, c.before.Load()) > few {
		c.letOthersGo()
	}
	return c.Conn.Write(b)
}

// nextCommand is how a command begins that is not the first of a write. A value that looks
// like that is counted, too, which costs a turn.
var nextCommand = []byte("\r\n*")

func (c *politeConn) letOthersGo() {
	from := c.now()
	if from.UnixNano() < c.hurries.Load() {
		return
	}
	for range turns {
		c.yield()
		if now := c.now(); now.Sub(from) > patience {
			c.hurries.Store(now.Add(hurry).UnixNano())
			return
		}
	}
}
