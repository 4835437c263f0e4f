package record

import (
	"bytes"
	"encoding/json"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// An UpdateFunc returns the new value of a key, or nil to delete it, given the value
// that is there, or nil where there is none.
type UpdateFunc func(stored json.RawMessage) (json.RawMessage, error)

// A Caller calls an UpdateFunc, which is the app's and may do what it must not.
type Caller func(UpdateFunc, json.RawMessage) (json.RawMessage, error)

// A Change is what a request does to one key.
type Change struct {
	// Value is what the key holds now. It is nil where there is no such key any
	// more.
	Value json.RawMessage

	// Absolute says that the value does not depend on the stored one.
	Absolute bool

	key string

	// first makes the value from the stored one, unless the value is absolute, and
	// those of then are called in turn with what came out. Most keys are updated
	// once in a request, and then is nil.
	first UpdateFunc
	then  []UpdateFunc

	// err is why the change could not be made. The commit fails with it.
	err error

	// written is for Encode alone: the key is in the text already.
	written bool
}

// Changes are what a request does to a session. They are kept as operations on top
// of the record that was loaded, so that they can be done again on a newer one when
// another request was faster. An operation on one key leaves all others alone. The
// zero value is no changes.
type Changes struct {
	// Age is the new max age of the session, valid if AgeSet.
	Age    Age
	AgeSet bool

	// Cleared says that of all that was stored nothing is kept.
	Cleared bool

	// list is in the order in which the keys were changed first, which is the order
	// in which new ones are written.
	list []Change

	// index holds the positions in list, by key, once there are more than
	// indexFrom.
	index map[string]int
}

// indexFrom is how many changes are searched one by one. An index pays for more.
const indexFrom = 16

// Get returns the change of a key, or nil. It is valid until the next key is changed.
func (ch *Changes) Get(key string) *Change {
	if ch.index != nil {
		if i, ok := ch.index[key]; ok {
			return &ch.list[i]
		}
		return nil
	}
	for i := range ch.list {
		if ch.list[i].key == key {
			return &ch.list[i]
		}
	}
	return nil
}

// find returns the change of the key that is the name of a member of text, or nil.
func (ch *Changes) find(text []byte, m jsontext.Member) *Change {
	if ch.index != nil {
		return ch.Get(jsontext.Name(text, m))
	}
	// To compare with a few names needs no copy of the member's own.
	for i := range ch.list {
		if jsontext.Is(text, m, ch.list[i].key) {
			return &ch.list[i]
		}
	}
	return nil
}

// at returns the change of a key, and makes one where there was none. It is valid
// until the next one is made.
func (ch *Changes) at(key string) *Change {
	if c := ch.Get(key); c != nil {
		return c
	}
	if ch.list == nil {
		ch.list = make([]Change, 0, 1) // most requests change one key
	}
	ch.list = append(ch.list, Change{key: key})
	if ch.index != nil {
		ch.index[key] = len(ch.list) - 1
	} else if len(ch.list) > indexFrom {
		ch.index = make(map[string]int, 2*indexFrom)
		for i := range ch.list {
			ch.index[ch.list[i].key] = i
		}
	}
	return &ch.list[len(ch.list)-1]
}

// Set gives key a value, whatever is stored. A nil value deletes the key.
func (ch *Changes) Set(key string, value json.RawMessage) {
	*ch.at(key) = Change{key: key, Value: value, Absolute: true}
}

// Fail makes the commit fail with err, unless key is set to something else until
// then. It is how a verb that returns nothing reports what it was given.
func (ch *Changes) Fail(key string, err error) {
	*ch.at(key) = Change{key: key, Absolute: true, err: err}
}

// Clear deletes all keys, also those that are in a newer record. The max age stays
// set, because it is no key.
func (ch *Changes) Clear() {
	*ch = Changes{Cleared: true, Age: ch.Age, AgeSet: ch.AgeSet}
}

// Decides reports whether what key holds follows from the changes alone, or from what is
// stored together with them.
func (ch *Changes) Decides(key string) bool { return ch.Cleared || ch.Get(key) != nil }

// Value returns what key holds on top of base, which may be nil, or nil where there
// is no such key.
func (ch *Changes) Value(base *Document, key string) json.RawMessage {
	if c := ch.Get(key); c != nil {
		return c.Value
	}
	if ch.Cleared {
		return nil
	}
	return base.Get(key)
}

// Update lets fn make the value of key from what it holds on top of base and, where
// that depends on the stored value, again whenever that turns out to be another. It
// calls fn by call.
func (ch *Changes) Update(base *Document, key string, fn UpdateFunc, call Caller) {
	before := ch.Value(base, key)
	c := ch.Get(key)
	if c != nil && c.err != nil {
		// The first error is the one to report, unless a newer record mends it.
		// Then fn has to be called as well.
		if !c.Absolute {
			c.follow(fn)
		}
		return
	}
	after, err := call(fn, before)
	if c == nil {
		// Only now, because fn may not return: a panic changes nothing.
		c = ch.at(key)
		c.Absolute = ch.Cleared
	}
	c.Value, c.err = after, err
	if err != nil {
		c.Value = before
	}
	if !c.Absolute {
		c.follow(fn)
	}
}

// FirstError returns why these changes cannot be stored, or nil. Of several reasons
// it is that of the key which was changed first.
func (ch *Changes) FirstError() error {
	for i := range ch.list {
		if ch.list[i].err != nil {
			return ch.list[i].err
		}
	}
	return nil
}

// Keys returns the keys in the order in which they were added: those of base, which
// may be nil, that are left, and then those that are new.
func (ch *Changes) Keys(base *Document) []string {
	// A name may stand in the text more than once. It counts where it is found first.
	var keys []string
	seen := make(map[string]bool)
	if base != nil && !ch.Cleared {
		for _, m := range base.Members() {
			name := jsontext.Name(base.Text, m)
			if c := ch.Get(name); IsReserved(name) || seen[name] || c != nil && c.Value == nil {
				continue
			}
			seen[name] = true
			keys = append(keys, name)
		}
	}
	for i := range ch.list {
		if c := &ch.list[i]; c.Value != nil && !seen[c.key] {
			keys = append(keys, c.key)
		}
	}
	return keys
}

// Names returns the keys that are changed.
func (ch *Changes) Names() []string {
	var names []string
	for i := range ch.list {
		names = append(names, ch.list[i].key)
	}
	return names
}

// Modifies reports whether the record that results differs from base, which may be
// nil. To set a key to what it holds is no change.
func (ch *Changes) Modifies(base *Document) bool {
	for i := range ch.list {
		stored := base.Get(ch.list[i].key)
		if (stored == nil) != (ch.list[i].Value == nil) || !bytes.Equal(stored, ch.list[i].Value) {
			return true
		}
	}
	if !ch.Cleared || base == nil {
		return false
	}
	// What was cleared makes a difference where it was there, and was not set again.
	for _, m := range base.Members() {
		if name := jsontext.Name(base.Text, m); !IsReserved(name) && ch.Get(name) == nil {
			return true
		}
	}
	return false
}
