package record

import "github.com/cloakroom-go/cloakroom/core/internal/jsontext"

// Encode returns the text of the record that results from base, which is nil for a
// new session, and the changes on top of it, and the number of the app's keys in
// that. next is the member __cloakroom. Nothing of base is written to: others may
// have the same bytes.
func Encode(base *Document, changes *Changes, next Meta, cookie CookieWriter) (text []byte, keys int) {
	e := encoder{out: make([]byte, 0, roomFor(base, changes)), base: base, changes: changes, next: next, cookie: cookie}
	e.out = append(e.out, '{')
	if base == nil || jsontext.Last(base.Text, base.Members(), cookieMember) < 0 {
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
		e.out = append(next.Append(append(e.out, `"__cloakroom":`...)), ',')
	}
	e.out[len(e.out)-1] = '}'
	return e.out, e.keys
}

// roomFor returns how many bytes the text of a record takes at most, as a rule. It is
// an estimate, which spares copies: a text that needs more gets more.
func roomFor(base *Document, changes *Changes) int {
	size := 256 // For the two members that are not the app's.
	if base != nil {
		size = len(base.Text) + 1
		if !base.Meta.Present {
			size += 64
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

	// What the text is made of: see Encode.
	base    *Document
	changes *Changes
	next    Meta
	cookie  CookieWriter
}

// member writes what becomes of a member of base: with its name as it was written,
// and at its place.
func (e *encoder) member(m jsontext.Member) {
	text := e.base.Text
	whole, name := text[m.Name-1:m.ValueEnd], text[m.Name-1:m.NameEnd()+1]
	switch {
	case jsontext.Is(text, m, cookieMember):
		if e.base.Bare && !e.cookie.Set {
			e.out = append(append(e.out, whole...), ',')
			return
		}
		e.out = append(e.cookie.append(append(append(e.out, name...), ':'), text[m.Value:m.ValueEnd]), ',')
	case jsontext.Is(text, m, metaMember):
		if !e.hasMeta { // Of several the first is replaced, and the others are dropped.
			e.hasMeta = true
			e.out = append(e.next.Append(append(append(e.out, name...), ':')), ',')
		}
	default:
		c := e.changes.find(text, m)
		switch {
		case c == nil && !e.changes.Cleared:
			e.keys++
			e.out = append(append(e.out, whole...), ',')
		case c != nil && c.Value != nil && !c.written:
			// Of several members of one name the first is kept, with the new value.
			c.written = true
			e.keys++
			e.out = append(append(append(append(e.out, name...), ':'), c.Value...), ',')
		}
	}
}

// added writes the keys that base does not have, in the order in which they were
// set. It leaves the changes ready for the next Encode, on top of a newer record.
func (e *encoder) added() {
	for i := range e.changes.list {
		c := &e.changes.list[i]
		if c.Value != nil && !c.written {
			e.keys++
			e.out = append(append(append(jsontext.AppendString(e.out, c.key), ':'), c.Value...), ',')
		}
		c.written = false
	}
}

// RetiredText returns what stays under an id that was given up: nothing of the
// session, but the proof that it once was one.
func RetiredText(m Meta, cookie CookieWriter) []byte {
	m.Age = Age{}
	cookie.Age = Age{}
	out := cookie.appendNew(append(make([]byte, 0, 256+len(m.Retired.Next)), `{"cookie":`...))
	out = append(out, `,"__cloakroom":`...)
	return append(m.Append(out), '}')
}
