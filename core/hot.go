package core

import (
	"strings"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// What is remembered of cookies whose sessions come again and again, so that a
// signature is not verified anew for each picture of a page, and a sealed cookie not opened
// anew. A cookie is remembered only once it was verified and its session was found: in
// itself, or in a store in the memory of this process. It is recognized by all of its
// value. What is remembered belongs to the secrets that verified it, and goes with them.
// Whether the session has ended is asked each time.

const (
	maxTicket  = 512     // the longest value that is remembered, in bytes
	maxTickets = 1 << 20 // bytes of all of them
	maxOpened  = 8 << 20 // bytes of sealed cookies that are remembered with what is in them
	maxRecords = 8 << 20 // bytes of records that are remembered together with what was read in them
)

// A knownTicket is a cookie, or a token of a header, that led to a session.
type knownTicket struct {
	value   string // of the cookie, as it stands in the header
	id      string
	key     string // what the store calls the session
	verdict ticket.Verdict
}

// Hot implements the interface of a value of package hot.
func (t *knownTicket) Hot() (key string, size int) {
	const room = 128 // what it takes beside its texts
	return t.value, len(t.value) + len(t.id) + len(t.key) + room
}

// verify returns the id in the value of a cookie, and what the value is, as a Signer
// does. Where that is known already, it returns what the store calls the session, too.
func (k *keyRing) verify(value string) (c candidate, verdict ticket.Verdict) {
	known, at := k.tickets.Get(value)
	if known != nil {
		return candidate{id: known.id, key: known.key, outdated: known.verdict == ticket.Outdated}, known.verdict
	}
	id, verdict := k.signer.Verify(value)
	return candidate{id: id, outdated: verdict == ticket.Outdated, value: value, place: at, keys: k}, verdict
}

// remember notes that a candidate has led to the session with that record.
func (c *candidate) remember(doc *record.Document) {
	if c.cookie != nil {
		c.cookie.value = strings.Clone(c.cookie.value)
		c.keys.opened.Put(c.place, c.cookie)
		return
	}
	if !doc.Record.Shared || c.keys == nil || len(c.value) > maxTicket || !c.keys.tickets.Wants(c.place) {
		return
	}
	verdict := ticket.Genuine
	if c.outdated {
		verdict = ticket.Outdated
	}
	// The value is a piece of the header, whose memory a server may use again.
	c.keys.tickets.Put(c.place, &knownTicket{strings.Clone(c.value), c.id, doc.Record.ID, verdict})
}

// A knownCookie is a sealed cookie that was opened, or that was sealed here.
type knownCookie struct {
	value    string // as it stands in the header
	bound    string // what it is bound to
	outdated bool   // sealed by a secret that is not the first
	seal.Cookie
}

// Hot implements the interface of a value of package hot.
func (c *knownCookie) Hot() (key string, size int) {
	const room = 192 // what it takes beside its texts
	return c.value, len(c.value) + len(c.Host) + len(c.ID) + len(c.Record) + room
}

// open returns what is in the value of a cookie that is bound to a text, whether that was
// known, and where it is or would be remembered.
func (k *keyRing) open(value, bound string) (c knownCookie, isKnown bool, at hot.Place, err error) {
	known, at := k.opened.Get(value)
	if known != nil && known.bound == bound {
		return *known, true, at, nil
	}
	opened, key, err := seal.OpenCookie(k.cookies, bound, value)
	return knownCookie{value, bound, key > 0, opened}, false, at, err
}

// seal returns the value of the cookie that holds c. It is remembered in the place of the
// one that the session came in, if it came in one: the browser will send this one next.
func (k *keyRing) seal(c seal.Cookie, bound, former string) (value string) {
	value = k.cookies[0].SealCookie(c, bound)
	if former != "" {
		k.opened.Drop(former)
		_, at := k.opened.Get(value)
		k.opened.Put(at, &knownCookie{value, bound, false, c})
	}
	return value
}

// A knownProof is a bound cookie that was verified.
type knownProof struct {
	value      string // as it stands in the header
	key        string // what the store calls the session
	thumbprint string // of the key that the session is bound to
	until      int64  // when the cookie ends, in Unix seconds
}

// Hot implements the interface of a value of package hot.
func (p *knownProof) Hot() (key string, size int) {
	const room = 128 // what it takes beside its texts
	return p.value, len(p.value) + len(p.key) + len(p.thumbprint) + room
}
