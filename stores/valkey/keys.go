package valkeystore

import (
	"errors"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// separator is what prefixes end with. An id that has one stands behind one more,
// so that its key does not look like that of a store whose prefix is longer: with
// "p:" a session "staff:1" is "p::staff:1", and "p:staff:1" is the session "1" of
// the store with "p:staff:".
const separator = ":"

// key returns the key of an id.
func (s *Store) key(id string) string {
	if strings.Contains(id, separator) {
		return s.opts.Prefix + separator + id
	}
	return s.opts.Prefix + id
}

// isOwn reports whether a key that begins with the prefix is the store's.
func (s *Store) isOwn(key string) bool {
	id := s.idOf(key)
	return id != "" && s.key(id) == key
}

// idOf returns the id whose key it is, where that is the store's.
func (s *Store) idOf(key string) string {
	return strings.TrimPrefix(strings.TrimPrefix(key, s.opts.Prefix), separator)
}

// inseparable returns the error for a walk that would take what a longer prefix
// has.
func inseparable(verb string) error {
	return &store.Error{
		Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Err: errors.ErrUnsupported,
		Class: `a prefix that does not end with ":" cannot be told from a longer one`,
	}
}
