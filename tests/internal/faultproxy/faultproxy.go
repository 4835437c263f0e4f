// Package faultproxy stands between a client and its servers, and does to the
// connections what networks do. It understands their protocol, so a test can say
// to which command, and whether the server sees it.
package faultproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"maps"
	"net"
	"sync"
	"testing"
	"time"
)

// A Fault is what happens to a command.
type Fault int

// The faults. Those named Before happen before the server sees the command, and
// those named After when it has answered.
const (
	None          Fault = iota
	CutBefore           // the connection is closed
	CutAfter            //
	ResetBefore         // the connection is reset (RST)
	ResetAfter          //
	Truncate            // half of the reply comes, then the connection is closed
	Garbage             // what comes in place of the reply is not of the protocol
	StallBefore         // the connection stays open, but nothing passes any more
	StallAfter          //
	Late                // the connection is closed, and the server sees the command when ReleaseLate is called
	RefusedBefore       // the server does not see the command, and an error comes back as if it refused it
)

var names = [...]string{"none", "cut before", "cut after", "reset before", "reset after", "truncated reply", "garbage", "stall before", "stall after", "late", "refused"}

func (f Fault) String() string { return names[f] }

// A Command is what a client sends.
type Command []string

// Name returns the name of the command: in upper case for Valkey, as it is sent to
// MongoDB, and for SQL as NewPostgreSQL and NewMySQL say.
func (c Command) Name() string { return c[0] }

// A protocol tells what is on the wire of one connection.
type protocol interface {
	// readCommand and readReply return what comes next, as it is.
	readCommand(r *bufio.Reader) ([]byte, error)
	readReply(r *bufio.Reader) ([]byte, error)
	// command tells what a client sent.
	command(frame []byte) Command
	// unasked reports whether a reply is none, but what a server says by itself.
	unasked(reply []byte) bool
	// more reports whether further replies to the same command follow.
	more(reply []byte) bool
	// refusal returns the reply of a server that refuses a command.
	refusal(frame []byte) []byte
	// garbage returns what no server says.
	garbage() []byte
}

// A Proxy is what stands between.
type Proxy struct {
	tb       testing.TB
	protocol func() protocol // of a connection

	asking    sync.RWMutex // held while before is called
	mu        sync.Mutex
	wg        sync.WaitGroup
	closed    bool
	listeners map[string]net.Listener // by the address of the server
	conns     map[*conn]struct{}
	counts    map[string]int
	before    func(Command) Fault
	after     func(Command)
	distance  time.Duration
	late      []*call
	lost      bool // invalidations are dropped
	down      bool // no connection is taken
}

// New returns a proxy for Valkey servers, which is closed when the test is over.
func New(tb testing.TB) *Proxy { return newProxy(tb, func() protocol { return resp{} }) }

// NewMongo returns a proxy for servers that speak MongoDB's protocol, which is
// closed when the test is over.
func NewMongo(tb testing.TB) *Proxy { return newProxy(tb, func() protocol { return msg{} }) }

// NewPostgreSQL returns a proxy for servers that speak PostgreSQL's protocol, which is
// closed when the test is over. The name of a command is what verb makes of its
// statement, which is the command's second part.
func NewPostgreSQL(tb testing.TB, verb func(statement string) string) *Proxy {
	return newProxy(tb, func() protocol { return &wire{verb: verb, named: make(map[string]string)} })
}

// NewMySQL returns a proxy for servers that speak MySQL's protocol, which is closed when
// the test is over. Commands have names as for NewPostgreSQL.
func NewMySQL(tb testing.TB, verb func(statement string) string) *Proxy {
	return newProxy(tb, func() protocol { return &mysql{verb: verb, prepared: make(map[uint32]string)} })
}

func newProxy(tb testing.TB, protocol func() protocol) *Proxy {
	p := &Proxy{tb: tb, protocol: protocol, listeners: make(map[string]net.Listener), conns: make(map[*conn]struct{}), counts: make(map[string]int)}
	tb.Cleanup(p.close)
	return p
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.before, p.after = nil, nil
	for _, l := range p.listeners {
		_ = l.Close()
	}
	for _, call := range p.late {
		_ = call.conn.server.Close()
	}
	p.mu.Unlock()
	p.Cut()
	p.wg.Wait()
}

// Addr returns where the proxy stands for a server.
func (p *Proxy) Addr(server string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.listeners[server]
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			p.tb.Errorf("faultproxy: %v", err)
			return ""
		}
		p.listeners[server] = l
		p.wg.Go(func() { p.accept(l, server) })
	}
	return l.Addr().String()
}

// Dial connects to a server through the proxy. It is what a client takes as
// DialCtxFn, because the servers of a cluster tell it about one another.
func (p *Proxy) Dial(ctx context.Context, server string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
	return d.DialContext(ctx, "tcp", p.Addr(server))
}

// DialContext connects to a server through the proxy: the proxy is what a client
// takes for SetDialer, because the servers of a replica set tell it about one
// another.
func (p *Proxy) DialContext(ctx context.Context, network, server string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, p.Addr(server))
}

// On sets what is asked about each command before it is passed on; nil ends it,
// and nobody is being asked any more when On returns. It may wait, which delays
// the command and those behind it.
func (p *Proxy) On(before func(Command) Fault) {
	p.asking.Lock()
	defer p.asking.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before = before
}

// OnReply sets what is called before a reply is passed on; nil ends it. It may
// wait, which delays the reply and those behind it.
func (p *Proxy) OnReply(after func(Command)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.after = after
}

// Distance makes a command and its reply take at least that long. Commands that
// are under way together arrive together.
func (p *Proxy) Distance(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.distance = d
}

// Once makes a fault happen to the next command of that name.
func (p *Proxy) Once(f Fault, name string) {
	var once sync.Once
	p.On(func(c Command) (did Fault) {
		if c.Name() == name {
			once.Do(func() { did = f })
		}
		return did
	})
}

// LoseInvalidations drops what a server says by itself, or no longer.
func (p *Proxy) LoseInvalidations(lose bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = lose
}

// Counts returns how often each command was passed on.
func (p *Proxy) Counts() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Cut closes all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.end(false)
	}
}

// Stall lets nothing pass any more on the connections that are open.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.stall()
	}
}

// Down cuts all connections and takes no other, or does so again.
func (p *Proxy) Down(down bool) {
	p.mu.Lock()
	p.down = down
	p.mu.Unlock()
	if down {
		p.Cut()
	}
}

// ReleaseLate lets the servers see the commands that are late, and returns when
// they have answered.
func (p *Proxy) ReleaseLate() {
	p.mu.Lock()
	late := p.late
	p.late = nil
	p.mu.Unlock()
	for _, call := range late {
		_ = call.conn.server.SetDeadline(time.Now().Add(time.Minute)) // or Read tells
		if _, err := call.conn.server.Write(call.frame); err != nil {
			p.tb.Errorf("faultproxy: late %s: %v", call.command.Name(), err)
		} else if _, err := call.conn.protocol.readReply(call.conn.replies); err != nil {
			p.tb.Errorf("faultproxy: late %s: %v", call.command.Name(), err)
		}
		_ = call.conn.server.Close()
	}
}

func (p *Proxy) accept(l net.Listener, server string) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		down := p.down
		p.mu.Unlock()
		var upstream net.Conn
		if !down {
			upstream, err = net.DialTimeout("tcp", server, 5*time.Second)
		}
		if down || err != nil {
			reset(client)
			_ = client.Close()
			continue
		}
		c := &conn{p: p, protocol: p.protocol(), client: client, server: upstream, replies: bufio.NewReaderSize(upstream, 1<<16), stalled: make(chan struct{}), ended: make(chan struct{}), answered: make(chan struct{})}
		p.mu.Lock()
		if p.closed || p.down { // since it was looked at
			c.end(false)
		}
		p.conns[c] = struct{}{}
		p.wg.Go(c.forward)
		p.wg.Go(c.backward)
		p.mu.Unlock()
	}
}

// A conn is a pair of connections.
type conn struct {
	p              *Proxy
	protocol       protocol
	client, server net.Conn
	replies        *bufio.Reader

	mu        sync.Mutex
	queue     []*call // waiting for their replies
	stallOnce sync.Once
	stalled   chan struct{} // closed: nothing passes
	endOnce   sync.Once
	ended     chan struct{}
	keep      bool          // server is for a late command
	answered  chan struct{} // closed when backward has returned
}

type call struct {
	conn    *conn
	command Command
	frame   []byte
	sent    time.Time
	fault   Fault
}

func (c *conn) stall() { c.stallOnce.Do(func() { close(c.stalled) }) }

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

func (c *conn) end(byReset bool) {
	c.endOnce.Do(func() {
		if byReset {
			reset(c.client)
		}
		_ = c.client.Close()
		c.mu.Lock()
		if !c.keep {
			_ = c.server.Close()
		}
		c.mu.Unlock()
		close(c.ended)
	})
}

// wait returns when the connection has ended.
func (c *conn) wait() { <-c.ended }

func (c *conn) isStalled() bool {
	select {
	case <-c.stalled:
		return true
	default:
		return false
	}
}

// forward passes the commands on.
func (c *conn) forward() {
	defer func() {
		c.p.mu.Lock()
		delete(c.p.conns, c)
		c.p.mu.Unlock()
		c.end(false)
	}()
	r := bufio.NewReaderSize(c.client, 1<<16)
	for {
		frame, err := c.protocol.readCommand(r)
		if err != nil {
			return
		}
		if c.isStalled() {
			continue // down the black hole
		}
		call := &call{conn: c, command: c.protocol.command(frame), frame: frame, sent: time.Now()}
		c.p.asking.RLock()
		c.p.mu.Lock()
		before := c.p.before
		c.p.mu.Unlock()
		if before != nil {
			call.fault = before(call.command)
		}
		c.p.asking.RUnlock()
		switch call.fault {
		case CutBefore, ResetBefore:
			c.end(call.fault == ResetBefore)
			return
		case StallBefore:
			c.stall()
			continue
		case RefusedBefore:
			if !c.quiet() { // replies come in order
				return
			}
			if _, err := c.client.Write(c.protocol.refusal(frame)); err != nil {
				return
			}
			continue
		case Late:
			if !c.quiet() { // the replies to the commands before it are not late
				return
			}
			c.mu.Lock()
			c.keep = true
			c.mu.Unlock()
			_ = c.server.SetReadDeadline(time.Now()) // or backward does not let go of it
			<-c.answered
			c.end(false)
			c.p.mu.Lock()
			c.p.late = append(c.p.late, call)
			c.p.mu.Unlock()
			return
		}
		c.p.mu.Lock()
		c.p.counts[call.command.Name()]++
		c.p.mu.Unlock()
		c.mu.Lock()
		c.queue = append(c.queue, call)
		c.mu.Unlock()
		if _, err := c.server.Write(frame); err != nil {
			return
		}
	}
}

// quiet waits until no reply is to come any more. It reports whether the connection
// is still there.
func (c *conn) quiet() bool {
	for {
		c.mu.Lock()
		waiting := len(c.queue) > 0
		c.mu.Unlock()
		if !waiting {
			return true
		}
		select {
		case <-c.ended:
			return false
		case <-time.After(time.Millisecond):
		}
	}
}

// backward passes the replies back.
func (c *conn) backward() {
	defer c.end(false)
	defer close(c.answered)
	for {
		frame, err := c.protocol.readReply(c.replies)
		if err != nil {
			return
		}
		if c.isStalled() {
			continue
		}
		asked := !c.protocol.unasked(frame)
		if !asked && c.p.loses() {
			continue
		}
		if asked && !c.reply(frame) {
			c.wait()
			return
		}
		if _, err := c.client.Write(frame); err != nil {
			return
		}
		if asked && !c.protocol.more(frame) {
			c.mu.Lock()
			c.queue = c.queue[1:]
			c.mu.Unlock()
		}
	}
}

// loses reports whether a message that nobody asked for is dropped.
func (p *Proxy) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// reply does what is to be done to a reply, and reports whether it is passed on.
func (c *conn) reply(frame []byte) bool {
	c.mu.Lock()
	if len(c.queue) == 0 {
		c.mu.Unlock()
		c.p.tb.Errorf("faultproxy: a reply to nothing: %q", frame)
		return false
	}
	call := c.queue[0]
	c.mu.Unlock()
	c.p.mu.Lock()
	after, distance := c.p.after, c.p.distance
	c.p.mu.Unlock()
	time.Sleep(time.Until(call.sent.Add(distance)))
	if after != nil {
		after(call.command)
	}
	switch call.fault {
	case CutAfter, ResetAfter:
		c.end(call.fault == ResetAfter)
	case Truncate:
		_, _ = c.client.Write(frame[:len(frame)/2]) // it will be closed
		c.end(false)
	case Garbage:
		_, _ = c.client.Write(c.protocol.garbage())
		c.end(false)
	case StallAfter:
		c.stall()
	default:
		return true
	}
	return false
}
