package core

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// Messages for the next page. They are one key of the session, whose value is bounded
// by itself: a page that leaves messages which nobody is shown must not make the
// session too large to be stored.

const (
	maxFlashes = 100 // messages, and kinds
	flashPart  = 4   // flashes take at most this part of Config.MaxBytes
)

// Flash leaves a message for the next request: of a kind such as "info" or
// "error". It is stored as connect-flash does, under the key "flash".
//
// A session keeps 100 messages at most, and no more than a quarter of Config.MaxBytes
// of them: the oldest one goes, of the kind that has most. A single message that is
// larger than that stays, for as long as the session may be as large.
func (s *Session) Flash(kind, message string) {
	most := s.x.m.cfg.MaxBytes / flashPart
	s.update(string(flashes), func(stored json.RawMessage) (json.RawMessage, error) {
		r := s.needRarities()
		if r.flashes == nil {
			r.flashes = new(flashBook)
		}
		return r.flashes.add(stored, kind, message, most)
	}, func() {})
}

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

// add returns the value that results from stored and one more message. Of a value that
// is another one than the book is about, and of one that has to be bounded, all is decoded.
func (b *flashBook) add(stored json.RawMessage, kind, message string, most int) (json.RawMessage, error) {
	size, kinds := b.size+len(message), len(b.kinds)
	i, found := slices.BinarySearchFunc(b.kinds, kind, func(k flashKind, name string) int { return strings.Compare(k.name, name) })
	if !found {
		size, kinds = size+len(kind), kinds+1
	}
	if len(stored) == 0 || len(stored) != len(b.of) || &stored[0] != &b.of[0] || b.count == maxFlashes || kinds > maxFlashes || size > most {
		return b.begin(stored, kind, message, most)
	}
	if !found {
		b.kinds = slices.Insert(b.kinds, i, newFlashKind(kind))
	}
	b.kinds[i].add(message)
	b.count, b.size = b.count+1, size
	return b.encode(), nil
}

// begin is add for a value that is not known yet.
func (b *flashBook) begin(stored json.RawMessage, kind, message string, most int) (json.RawMessage, error) {
	all, err := decodeKey[map[string][]string](string(flashes), "update", stored)
	if err != nil && stored != nil {
		return nil, err
	}
	if all == nil {
		all = make(map[string][]string, 1)
	}
	all[kind] = append(all[kind], message)
	boundFlashes(all, kind, most)
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
	return b.encode(), nil
}

func newFlashKind(name string) flashKind {
	return flashKind{name: name, head: append(jsontext.AppendString(nil, name), ":["...)}
}

// add adds a message.
func (k *flashKind) add(message string) {
	if len(k.list) > 0 {
		k.list = append(k.list, ',')
	}
	k.list = jsontext.AppendString(k.list, message)
}

// encode returns the value, which the book is about from then on.
func (b *flashBook) encode() json.RawMessage {
	size := 1
	for i := range b.kinds {
		size += len(b.kinds[i].head) + len(b.kinds[i].list) + len("],")
	}
	out := append(make([]byte, 0, size), '{')
	for i := range b.kinds {
		out = append(append(append(out, b.kinds[i].head...), b.kinds[i].list...), "],"...)
	}
	out[len(out)-1] = '}'
	b.of = out
	return out
}

// boundFlashes drops messages while there are more than maxFlashes, or more than most
// bytes of them and their kinds: each time the oldest of the kind that has most and, of
// several kinds with as many, of the first one by name. What was added last, to kind,
// stays.
func boundFlashes(all map[string][]string, kind string, most int) {
	names := slices.Sorted(maps.Keys(all))
	count, size := 0, 0
	for _, name := range names { // another program may have stored any number
		if len(all) > maxFlashes && name != kind {
			delete(all, name)
			continue
		}
		all[name] = all[name][max(0, len(all[name])-maxFlashes):]
		count, size = count+len(all[name]), size+len(name)
		for _, message := range all[name] {
			size += len(message)
		}
	}
	for count > maxFlashes || size > most {
		fullest, fill := "", 0
		for _, name := range names {
			if n := len(all[name]); n > fill && (name != kind || n > 1) {
				fullest, fill = name, n
			}
		}
		if fill == 0 {
			return
		}
		count, size = count-1, size-len(all[fullest][0])
		if all[fullest] = all[fullest][1:]; fill == 1 {
			size -= len(fullest)
			delete(all, fullest)
		}
	}
}

// Flashes returns the messages of a kind and removes them at the commit. Two
// requests at the same time may both get them; one that is added meanwhile is
// not lost.
//
// A page that the browser only fetches ahead (Sec-Purpose: prefetch) gets none, and
// takes none from the page that is really opened.
func (s *Session) Flashes(kind string) []string {
	if s.x.isFetchedAhead() {
		return nil
	}
	seen := flashes.Get(s)[kind]
	if len(seen) == 0 {
		return nil
	}
	s.update(string(flashes), func(stored json.RawMessage) (json.RawMessage, error) {
		all, _ := decodeKey[map[string][]string](string(flashes), "update", stored)
		if len(all[kind]) == 0 { // another request removed them
			return stored, nil
		}
		left := all[kind]
		for _, message := range seen {
			if i := slices.Index(left, message); i >= 0 {
				left = slices.Delete(left, i, i+1)
			}
		}
		if all[kind] = left; len(left) == 0 {
			delete(all, kind)
		}
		if len(all) == 0 {
			return nil, nil
		}
		return jsontext.Encode(all)
	}, func() {})
	return seen
}

const flashes Key[map[string][]string] = "flash"
