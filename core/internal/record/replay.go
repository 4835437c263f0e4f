package record

import "encoding/json"

// Rebase makes the values on top of a newer record, with call to call the functions
// that they follow from. Where a function panics, those values that were not made yet
// are on top of the older record, and must not be stored: [Changes.FirstError]
// returns panicked then.
func (ch *Changes) Rebase(base *Document, call Caller, panicked error) {
	// All get the error first, and lose it when their functions return. So where one
	// panics, those behind it have it as well.
	for i := range ch.list {
		if c := &ch.list[i]; !c.Absolute {
			c.err = panicked
		}
	}
	for i := range ch.list {
		if c := &ch.list[i]; !c.Absolute {
			c.Value, c.err = c.replay(base.Get(c.key), call)
		}
	}
}

// replay returns what the functions of c make of a stored value, one after the other.
// Where one fails, the value is what the last one before it made.
func (c *Change) replay(stored json.RawMessage, call Caller) (json.RawMessage, error) {
	value, err := call(c.first, stored)
	if err != nil {
		return stored, err
	}
	for _, fn := range c.then {
		after, err := call(fn, value)
		if err != nil {
			return value, err
		}
		value = after
	}
	return value, nil
}

// follow notes a further function that the value follows from. It is called with what
// those before it made.
func (c *Change) follow(fn UpdateFunc) {
	if c.first == nil {
		c.first = fn
	} else {
		c.then = append(c.then, fn)
	}
}
