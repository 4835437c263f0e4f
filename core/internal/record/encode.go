package record

import (
	"bytes"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// Encode writes the text of next, which results from base, nil for a new session, and
// the changes on top of it, and returns the number of the app's keys in it. The member
// __cloakroom is next.Meta. Nothing of base is written to: others may have the same
// bytes.
func Encode(next, base *Document, changes *Changes, cookie CookieWriter) (keys int) {
	e := encoder{out: make([]byte, 0, roomFor(next, base, changes)), next: next, base: base, changes: changes, cookie: cookie}
	e.prepareNotes()
	e.out = append(e.out, '{')
	if base == nil || !base.Bare && jsontext.Last(base.Text, base.Members(), cookieMember) < 0 {
		// A new session, or one that Express could not load. It comes first, as
		// Express has it, and so that a Parser knows the text by its head.
		e.out = append(cookie.append(append(e.out, `"cookie":`...), nil), ',')
	}
	if base != nil {
		for _, m := range base.Members() {
			e.member(m)
		}
	}
	e.added()
	// In a record that has none, the member comes last: what Express wrote stays
	// together.
	if !e.hasMeta {
		e.meta([]byte(`"__cloakroom"`))
	}
	e.out[len(e.out)-1] = '}'
	next.Text = e.out
	e.finishNotes()
	return e.keys
}

// roomFor returns how many bytes the text of a record takes at most, as a rule. It is
// an estimate, which spares copies: a text that needs more gets more, and a store copies one
// that needs much less.
func roomFor(next, base *Document, changes *Changes) int {
	const cookie, meta = 96, 80 // what most sessions have in the two members that are not the app's
	size := cookie + meta + next.Meta.pieces()
	if base != nil {
		size = len(base.Text) + 1 + max(0, next.Meta.pieces()-base.Meta.pieces())
		if !base.Meta.Present {
			size += meta
		}
	}
	// Two quotes, a colon and a comma, and some escapes in the name.
	for i := range changes.list {
		size += len(changes.list[i].key) + len(changes.list[i].Value) + 8
	}
	return size
}

// An encoder writes the text of one record. Each member has a comma behind it.
type encoder struct {
	// out is the text so far, and keys counts the app's keys in it.
	out  []byte
	keys int

	// hasMeta says that out has the member __cloakroom.
	hasMeta bool

	// notes says that where the members are is noted in next, so that nobody has to
	// read the text again. at is where the pieces of the member __cloakroom are in out.
	notes bool
	at    places

	// What the text is made of: see Encode.
	next    *Document
	base    *Document
	changes *Changes
	cookie  CookieWriter
}

// prepareNotes decides whether next is to be a whole document. That is worth something
// where the store hands out the very bytes that are written here, and it is simple where the
// member cookie stays as it is and says nothing.
func (e *encoder) prepareNotes() {
	base := e.base
	e.notes = base != nil && base.IsWhole() && base.Record.Shared && base.Bare && !e.cookie.Set
	if !e.notes {
		return
	}
	e.next.members = e.next.few[:0]
	if n := len(base.members) + len(e.changes.list); n > len(e.next.few) {
		e.next.members = make([]jsontext.Member, 0, n)
	}
}

// note notes a member that was written.
func (e *encoder) note(m jsontext.Member) {
	if e.notes {
		e.next.members = append(e.next.members, m)
	}
}

// finishNotes makes next a whole document.
func (e *encoder) finishNotes() {
	if !e.notes || len(e.out) > jsontext.MaxText {
		return
	}
	d := e.next
	// They were pieces of an older text, which is not to be kept for them.
	d.Meta.User = moved(d.Meta.User, e.out, e.at.user)
	d.Meta.Before = moved(d.Meta.Before, e.out, e.at.before)
	d.Meta.Bind = moved(d.Meta.Bind, e.out, e.at.bind)
	d.Bare, d.whole = true, true
}

// moved returns a piece as it stands in out, where it begins at an index; nil stays nil.
func moved(piece, out []byte, at int) []byte {
	if piece == nil {
		return nil
	}
	return out[at:][:len(piece)]
}

// member writes what becomes of a member of base: with its name as it was written,
// and at its place.
func (e *encoder) member(m jsontext.Member) {
	text := e.base.Text
	whole, name := text[m.Name-1:m.ValueEnd], text[m.Name-1:m.NameEnd()+1]
	switch {
	case jsontext.Is(text, m, cookieMember):
		if e.base.Bare && !e.cookie.Set {
			e.copied(m, whole)
			return
		}
		e.out = append(e.cookie.append(append(append(e.out, name...), ':'), text[m.Value:m.ValueEnd]), ',')
	case jsontext.Is(text, m, metaMember):
		if !e.hasMeta { // Of several the first is replaced, and the others are dropped.
			e.meta(name)
		}
	default:
		c := e.changes.find(text, m)
		switch {
		case c == nil && !e.changes.Cleared:
			e.keys++
			e.copied(m, whole)
		case c != nil && c.Value != nil && !c.written:
			// Of several members of one name the first is kept, with the new value.
			c.written = true
			e.keys++
			e.written(append(e.out, name...), c.Value)
		}
	}
}

// copied writes a member of base as it is.
func (e *encoder) copied(m jsontext.Member, whole []byte) {
	e.note(m.Moved(len(e.out) - int(m.Name-1)))
	e.out = append(append(e.out, whole...), ',')
}

// written writes the value of a member whose name, in quotes, is the end of out.
func (e *encoder) written(out, value []byte) {
	name := len(e.out)
	e.out = append(append(append(out, ':'), value...), ',')
	if e.notes {
		e.note(jsontext.NewMember(e.out, name+1, len(out)-1, len(out)+1, len(e.out)-1))
	}
}

// meta writes the member __cloakroom, whose name it is given in quotes.
func (e *encoder) meta(name []byte) {
	e.hasMeta = true
	at := len(e.out)
	e.out = append(append(e.out, name...), ':')
	value := len(e.out)
	e.out, e.at = e.next.Meta.append(e.out)
	if e.notes {
		e.note(jsontext.NewMember(e.out, at+1, value-2, value, len(e.out)))
	}
	e.out = append(e.out, ',')
}

// added writes the keys that base does not have, in the order in which they were
// set. It leaves the changes ready for the next Encode, on top of a newer record.
func (e *encoder) added() {
	for i := range e.changes.list {
		c := &e.changes.list[i]
		if c.Value != nil && !c.written {
			e.keys++
			e.written(jsontext.AppendString(e.out, c.key), c.Value)
		}
		c.written = false
	}
}

// RetiredText returns what stays under an id that was given up: nothing of the
// session, but the proof that it once was one.
func RetiredText(m Meta, cookie CookieWriter) []byte {
	m.Age = Age{}
	cookie.Age = Age{}
	var buf [512]byte // enough for most: what a store keeps has no room behind it
	out := cookie.appendNew(append(buf[:0], `{"cookie":`...))
	out = append(out, `,"__cloakroom":`...)
	return bytes.Clone(append(m.Append(out), '}'))
}
