package valkeystore

import (
	"context"
	"net"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Prefix returns what the keys of the store begin with.
func (s *Store) Prefix() string { return s.opts.Prefix }

// KnowsNoIFEQ reports whether the store will not try SET with IFEQ.
func (s *Store) KnowsNoIFEQ() bool { return !s.useIFEQ(0) }

// LetAMinutePass is for what the store does then.
func (s *Store) LetAMinutePass() {
	s.noIFEQ.said.Store(time.Unix(0, s.noIFEQ.said.Load()).Add(-askAgain).UnixNano())
}

// Polite returns what a client that Open makes writes to in place of conn, with another way
// to let others go first, and another clock.
func Polite(conn net.Conn, yield func(), now func() time.Time) net.Conn {
	return &politeConn{Conn: conn, yield: yield, now: now}
}

// DialsPolitely reports whether a client that Open makes has such connections.
func DialsPolitely(ctx context.Context, addr string) (bool, error) {
	var option valkey.ClientOption
	gather(&option)
	conn, err := option.DialCtxFn(ctx, addr, &net.Dialer{}, nil)
	if err != nil {
		return false, err
	}
	_, is := conn.(*politeConn)
	return is, conn.Close()
}

// SetPageTimeout sets for how long a server may be silent in a walk, and returns what puts
// that back.
func SetPageTimeout(d time.Duration) (restore func()) {
	before := pageTimeout
	pageTimeout = d
	return func() { pageTimeout = before }
}
