// Package record reads and writes the records of sessions: what a session is in the
// storage, and what the changes of a request make of it.
//
// A session is stored as express-session stores it: one JSON object with a member
// "cookie" and the app's keys beside it. One more member, "__cloakroom", holds what
// Express has no place for. Express keeps members that it does not know, and so do
// we: everything that a handler did not touch is written back byte for byte and in
// the same order.
//
//	{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},
//	 "user":"bob",
//	 "__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}
package record

import (
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// ErrUndecodable says that a stored record is not one that can be read here.
var ErrUndecodable = store.ErrUndecodable

// The members of a record that are not the app's.
const (
	cookieMember = "cookie"
	metaMember   = "__cloakroom"
)

// IsReserved reports whether name is a member of the record that is not the app's.
func IsReserved(name string) bool {
	return name == cookieMember || name == metaMember
}

// A Document is a record that was read or written. It belongs to one request, unless it
// [Document.IsWhole]: even its methods that only read may note what they found.
type Document struct {
	// Record is what the store has: with a hashed id, and sealed, where that is on.
	Record store.Record

	// Text is the JSON of the session.
	Text []byte

	// Meta is the member __cloakroom.
	Meta Meta

	// Age is the max age of the session's cookie.
	Age Age

	// members are those of Text, and nil until somebody asks for them.
	members []jsontext.Member

	// few is room for the members of most sessions, which then cost no allocation
	// of their own.
	few [6]jsontext.Member

	// Bare says that the member cookie is an object without a max age and an
	// expiry. It is then written back as it is, without a look into it.
	Bare bool

	// whole says that all of the document is there which Parse would make of its text.
	// Such a document may belong to several requests, because nothing is noted any more.
	whole bool
}

// An Age is the max age of a session's cookie.
type Age struct {
	// Own says that the max age was set for this session, by a handler or by
	// Express, and does not follow from the configuration.
	Own bool

	// Max is the max age. 0 is a cookie for the browser's session.
	Max time.Duration
}

// Members returns the members of the top level. For a document that this request
// wrote they are looked for when they are needed, which is rarely.
func (d *Document) Members() []jsontext.Member {
	if d.members == nil {
		d.members, _ = jsontext.Scan(d.Text, d.few[:0])
	}
	return d.members
}

// IsWhole reports whether nothing is left to be found out about the document, so that
// several requests may have it.
func (d *Document) IsWhole() bool { return d.whole && d.Meta.Present }

// IsReadWith reports whether Parse, with the max age that the configuration gives, would
// make the same of the text. The document is a whole one.
func (d *Document) IsReadWith(configured time.Duration) bool {
	return d.Age.Own || d.Age.Max == configured
}

// Hot implements the interface of a value of package hot.
func (d *Document) Hot() (key string, size int) {
	const (
		room       = 512 // what a document takes beside its texts
		memberSize = 16
	)
	return d.Record.ID, len(d.Record.ID) + cap(d.Text) + len(d.Meta.Rest) + memberSize*cap(d.members) + room
}

// Get returns the value of a key of the app as it is stored, or nil where there is
// none. d may be nil.
func (d *Document) Get(key string) []byte {
	if d == nil || IsReserved(key) {
		return nil
	}
	return jsontext.Find(d.Text, d.Members(), key)
}

// Keys returns how many keys of the app the record has.
func (d *Document) Keys() (n int) {
	for _, m := range d.Members() {
		if !jsontext.Is(d.Text, m, cookieMember) && !jsontext.Is(d.Text, m, metaMember) {
			n++
		}
	}
	return n
}

// Cookie returns the value of the member cookie, or nil where there is none.
func (d *Document) Cookie() []byte {
	return jsontext.Find(d.Text, d.Members(), cookieMember)
}

// WrittenMaxAge returns the max age that the member cookie says, which stays as it
// is when the record is written again; otherwise is for a record without one.
func (d *Document) WrittenMaxAge(otherwise time.Duration) time.Duration {
	if d.Bare {
		return 0
	}
	if cookie := d.Cookie(); jsontext.IsObject(cookie) {
		return CookieMaxAge(cookie)
	}
	return otherwise
}

// value returns the value of the member at an index.
func (d *Document) value(i int) []byte {
	return d.Text[d.members[i].Value:d.members[i].ValueEnd]
}

// An Index finds the keys of a large document without a walk over all of its members. It
// is made by who has many to find, and is theirs: a Document may be read by several.
type Index struct {
	of     *Document
	places map[string]int32 // the last one of each name
}

// NewIndex returns an index of d.
func NewIndex(d *Document) *Index {
	members := d.Members()
	x := &Index{of: d, places: make(map[string]int32, len(members))}
	for i, m := range members {
		x.places[jsontext.Name(d.Text, m)] = int32(i) //nolint:gosec // there are fewer than bytes
	}
	return x
}

// IsOf reports whether it is the index of d. x may be nil.
func (x *Index) IsOf(d *Document) bool { return x != nil && x.of == d }

// Get does what [Document.Get] does.
func (x *Index) Get(key string) []byte {
	i, ok := x.places[key]
	if !ok || IsReserved(key) {
		return nil
	}
	return x.of.value(int(i))
}
