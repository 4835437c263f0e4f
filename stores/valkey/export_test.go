package valkeystore

import (
	"net"
	"time"
)

// Prefix returns what the keys of the store begin with.
func (s *Store) Prefix() string { return s.opts.Prefix }

// KnowsNoIFEQ reports whether the store will not try SET with IFEQ.
func (s *Store) KnowsNoIFEQ() bool { return !s.useIFEQ(0) }

// LetAMinutePass is for what the store does then.
func (s *Store) LetAMinutePass() {
	s.noIFEQ.said.Store(time.Unix(0, s.noIFEQ.said.Load()).Add(-askAgain).UnixNano())
}

// Polite returns what a client that Open makes writes to in place of conn, and whether that
// is in a hurry.
func Polite(conn net.Conn) (polite net.Conn, hurries func() bool) {
	c := &politeConn{Conn: conn}
	return c, func() bool { return time.Now().UnixNano() < c.hurries.Load() }
}
