package core

import (
	"encoding/json"
	"iter"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
)

// What a handler reads and changes. [Key] is the typed way to it.

// Get returns the value of key as its JSON says it, whatever type was set: a string, a
// bool, an int for a whole number, a float64 for any other, a map[string]any or a []any
// of these, or nil for null and where there is none. A whole number that is too large for
// an int is a [json.Number], so that none is rounded; one that is written with an exponent
// is a float64. [Key] gives typed access.
func (s *Session) Get(key string) any {
	raw := s.raw(key)
	if raw == nil {
		return nil
	}
	v, err := jsontext.DecodeAny(raw)
	if err != nil {
		return nil
	}
	return v
}

// Has reports whether the session has a key.
func (s *Session) Has(key string) bool { return s.raw(key) != nil }

// raw returns the JSON of a key with the changes of this request on top, nil where there is
// none or its life is over.
func (s *Session) raw(key string) json.RawMessage {
	if !s.lock() {
		return nil
	}
	defer s.x.unlock()
	var stored json.RawMessage
	if index := s.index(); index != nil && !s.changes.Decides(key) {
		stored = index.Get(key)
	} else {
		stored = s.changes.Value(s.base, key)
	}
	value, _ := s.living(stored)
	return value
}

// A record with manyMembers gets an index once it was asked for manyKeys: a handler that asks
// for a few is quicker without.
const (
	manyMembers = 32
	manyKeys    = 16
)

// index returns the index of the record; nil where there is none. The caller holds the
// lock.
func (s *Session) index() *record.Index {
	if s.base == nil || len(s.base.Members()) < manyMembers {
		return nil
	}
	if s.asked < manyKeys {
		s.asked++
		return nil
	}
	r := s.needRarities()
	if !r.index.IsOf(s.base) {
		r.index = record.NewIndex(s.base)
	}
	return r.index
}

// Keys returns the keys in the order in which they were added, as of now.
func (s *Session) Keys() iter.Seq[string] {
	if !s.lock() {
		return func(func(string) bool) {}
	}
	defer s.x.unlock()
	return slices.Values(s.dropExpired(s.changes.Keys(s.base)))
}

// Set sets key to v, which is encoded at once. Where that is not possible, or
// the key is reserved ("cookie", "__cloakroom", "__proto__"), the commit fails
// with a [*KeyError], which names the type of v.
//
// Keep to maps whose keys are strings, integers, or marshal themselves as text. Others,
// such as map[any]int, are saved by apps built with Go 1.27 alone; and a field with a tag
// "format:" is saved by those built with older versions alone, and not as the tag says.
func (s *Session) Set(key string, v any) { s.set(key, v, 0) }

// set sets key to v, until then in Unix milliseconds, or for as long as the session lives
// where that is 0.
func (s *Session) set(key string, v any, until int64) {
	raw, err := jsontext.Encode(v)
	switch {
	case err != nil:
		err = &KeyError{Key: key, Op: "set", Err: jsontext.EncodingError(v, err)}
	case hasLife(raw): // it would be taken for one with a life
		err = &KeyError{Key: key, Op: "set", Err: errLifeMember}
	default:
		err = s.x.m.checkKey(key)
	}
	s.change(key, func() {
		switch {
		case err != nil:
			s.changes.Fail(key, err)
			return
		case until != 0:
			raw, s.needRarities().usedSetFor = withLife(raw, until), true
		}
		s.changes.Set(key, raw)
	})
}

// change calls do with the lock held, where changes can still be stored. key is what it
// changes, or empty.
func (s *Session) change(key string, do func()) {
	if !s.lock() {
		return
	}
	defer s.x.unlock()
	if s.mutable(key) {
		do()
	}
}

// Delete removes a key.
func (s *Session) Delete(key string) {
	s.change(key, func() {
		if !record.IsReserved(key) {
			s.changes.Set(key, nil)
		}
	})
}

// Clear removes all keys. The session stays, with its id; [Session.Destroy]
// ends it.
func (s *Session) Clear() {
	s.change("", func() {
		s.changes.Clear()
		s.nameUser()
	})
}

// update lets fn make the value of key. It calls done with the lock held, so before the
// commit can call fn again.
func (s *Session) update(key string, fn record.UpdateFunc, done func()) {
	err := s.x.m.checkKey(key)
	s.change(key, func() {
		if err != nil {
			s.changes.Fail(key, err)
			return
		}
		s.changes.Update(s.base, key, fn, s.callFunc)
		done()
	})
}
