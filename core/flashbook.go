package core

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// A flashBook is the messages of a session, taken apart, so that a request which leaves
// many does not decode those before it each time.
type flashBook struct {
	of          json.RawMessage // the value that it is about
	kinds       []flashKind     // by name
	count, size int             // of the messages, and of these and the names in bytes
}

// A flashKind is the messages of one kind.
type flashKind struct {
	name string
	head []byte // what stands before the messages in JSON
	list []byte // the messages, with commas between them
}

// begin makes it the book of those messages.
func (b *flashBook) begin(all flashesByKind) {
	*b = flashBook{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		k := newFlashKind(name)
		b.count, b.size = b.count+len(all[name]), b.size+len(name)
		for _, message := range all[name] {
			k.add(message)
			b.size += len(message)
		}
		b.kinds = append(b.kinds, k)
	}
	b.encode()
}

// add adds a message to the value that the book is about, and reports whether it did: not
// where stored is another value, and not where messages have to go for it.
func (b *flashBook) add(stored json.RawMessage, kind string, message json.RawMessage, most int) bool {
	if len(stored) == 0 || len(stored) != len(b.of) || &stored[0] != &b.of[0] { // the same bytes in memory, and not just equal ones
		return false
	}
	size, kinds := b.size+len(message), len(b.kinds)
	i, found := slices.BinarySearchFunc(b.kinds, kind, func(k flashKind, name string) int { return strings.Compare(k.name, name) })
	if !found {
		size, kinds = size+len(kind), kinds+1
	}
	if b.count == maxFlashes || kinds > maxFlashes || size > most {
		return false
	}
	if !found {
		b.kinds = slices.Insert(b.kinds, i, newFlashKind(kind))
	}
	b.kinds[i].add(message)
	b.count, b.size = b.count+1, size
	b.encode()
	return true
}

// encode makes the value that the book is about.
func (b *flashBook) encode() {
	size := len("{}")
	for i := range b.kinds {
		size += len(b.kinds[i].head) + len(b.kinds[i].list) + len("],")
	}
	out := append(make([]byte, 0, size), '{')
	for i := range b.kinds {
		out = append(append(append(out, b.kinds[i].head...), b.kinds[i].list...), "],"...)
	}
	out[len(out)-1] = '}' // there is a kind, with the message that was added last
	b.of = out
}

// newFlashKind returns a kind without messages.
func newFlashKind(name string) flashKind {
	return flashKind{name: name, head: append(jsontext.AppendString(nil, name), ":["...)}
}

// add adds a message.
func (k *flashKind) add(message json.RawMessage) {
	if len(k.list) > 0 {
		k.list = append(k.list, ',')
	}
	k.list = append(k.list, message...)
}
