package core

import (
	"bytes"
	"encoding/json"
)

// What a request changes is kept as operations on top of the record that was
// loaded, so that it can be done again on a newer one when another request was
// faster. An operation on one key leaves all others alone.

// An updateFunc returns the new value of a key, nil to delete it, given the
// stored one, nil if there is none.
type updateFunc func(stored json.RawMessage) (json.RawMessage, error)

// A caller calls an updateFunc, with the care that takes.
type caller func(updateFunc, json.RawMessage) (json.RawMessage, error)

// A change is what a request does to one key.
type change struct {
	key      string
	value    json.RawMessage // what the key holds now; nil: there is no such key any more
	absolute bool            // the value does not depend on the stored one
	first    updateFunc      // otherwise: how it follows from it
	then     []updateFunc    // and from what first made of it
	err      error           // why it could not be made: the commit fails with it

	written bool // used by encode
}

// changes are what a request does to a session.
type changes struct {
	list    []change
	index   map[string]int // into list, from a size on where it pays
	age     age            // valid if ageSet
	ageSet  bool
	cleared bool // of all that was stored nothing is kept
}

const indexFrom = 16

// get returns the change of a key, or nil.
func (ch *changes) get(key string) *change {
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

// find returns the change of the key that is the name of a member, or nil.
func (ch *changes) find(text []byte, m member) *change {
	if ch.index != nil {
		return ch.get(memberName(text, m))
	}
	for i := range ch.list {
		if memberIs(text, m, ch.list[i].key) {
			return &ch.list[i]
		}
	}
	return nil
}

// at returns the change of a key, made if there was none.
func (ch *changes) at(key string) *change {
	if c := ch.get(key); c != nil {
		return c
	}
	ch.list = append(ch.list, change{key: key})
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

// set gives key a value whatever is stored. A nil value deletes the key.
func (ch *changes) set(key string, value json.RawMessage) {
	*ch.at(key) = change{key: key, value: value, absolute: true}
}

// fail makes the commit fail for key, until it is set to something else.
func (ch *changes) fail(key string, err error) {
	*ch.at(key) = change{key: key, absolute: true, err: err}
}

// clear deletes all keys.
func (ch *changes) clear() {
	*ch = changes{cleared: true, age: ch.age, ageSet: ch.ageSet}
}

// value returns what key holds on top of base, nil if there is no such key.
func (ch *changes) value(base *document, key string) json.RawMessage {
	if c := ch.get(key); c != nil {
		return c.value
	}
	if ch.cleared {
		return nil
	}
	return base.get(key)
}

// update lets fn make the value of key from what it holds on top of base and,
// where that is the stored value, again whenever that turns out to be another.
//
// call calls fn.
func (ch *changes) update(base *document, key string, fn updateFunc, call caller) {
	before := ch.value(base, key)
	c := ch.get(key)
	if c != nil && c.err != nil { // the first error is the one to report, unless a newer record mends it
		if !c.absolute {
			c.follow(fn)
		}
		return
	}
	after, err := call(fn, before)
	if c == nil {
		c = ch.at(key)
		c.absolute = ch.cleared
	}
	c.value, c.err = after, err
	if err != nil {
		c.value = before
	}
	if !c.absolute {
		c.follow(fn)
	}
}

// rebase makes the values on top of a newer record. Where a function panics, those
// that were not made yet are on top of the older one, and must not be stored.
func (ch *changes) rebase(base *document, call caller) {
	for i := range ch.list {
		if c := &ch.list[i]; !c.absolute {
			c.err = errPanicked // unless its functions return
		}
	}
	for i := range ch.list {
		c := &ch.list[i]
		if c.absolute {
			continue
		}
		before := base.get(c.key)
		value, err := call(c.first, before)
		if err != nil {
			value = before
		}
		for _, fn := range c.then {
			if err != nil {
				break
			}
			var after json.RawMessage
			if after, err = call(fn, value); err == nil {
				value = after
			}
		}
		c.value, c.err = value, err
	}
}

// follow notes a further function that the value follows from.
func (c *change) follow(fn updateFunc) {
	if c.first == nil {
		c.first = fn
	} else {
		c.then = append(c.then, fn)
	}
}

// firstError returns why these changes cannot be stored, or nil.
func (ch *changes) firstError() error {
	for i := range ch.list {
		if ch.list[i].err != nil {
			return ch.list[i].err
		}
	}
	return nil
}

// modify tells whether the record that results differs from base. Setting a key
// to what it holds is no change.
func (ch *changes) modify(base *document) bool {
	for i := range ch.list {
		stored := base.get(ch.list[i].key)
		if (stored == nil) != (ch.list[i].value == nil) || !bytes.Equal(stored, ch.list[i].value) {
			return true
		}
	}
	if !ch.cleared || base == nil {
		return false
	}
	for _, m := range base.index() {
		if name := memberName(base.text, m); !isReserved(name) && ch.get(name) == nil {
			return true
		}
	}
	return false
}
