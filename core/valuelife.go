package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// Values that live shorter than their session. Such a value is stored inside of an object
// that says until when, in Unix milliseconds:
//
//	"coupon":{"__cloakroom_until":1763715600000,"value":"SPRING"}
//
// Express sees that object. A value without a life costs one look at its first bytes.

// SetFor sets the value, as Set does, for a time: when that is over there is no such key
// any more, to whoever reads it. What the session has of it is removed with the next
// change of the key, so such a key counts for Config.MaxKeys and MaxBytes until then.
//
// Update keeps the time that is left, and Set drops it. life counts from now on, by the
// clock of the server, to the millisecond; the session may end before. With one of less
// than a second, which is most likely a number of seconds that became one of nanoseconds,
// the commit fails with [ErrMaxAgeTooShort] in a [*KeyError].
func (k Key[T]) SetFor(s *Session, v T, life time.Duration) {
	if life < time.Second {
		s.failKey(string(k), "set", ErrMaxAgeTooShort)
		return
	}
	s.set(string(k), v, s.x.m.cfg.Now().Add(life).UnixMilli())
}

// failKey makes the commit fail because of a key.
func (s *Session) failKey(key, op string, err error) {
	s.change(key, func() { s.changes.Fail(key, &KeyError{Key: key, Op: op, Err: err}) })
}

// What a value with a life begins with.
const (
	lifeMember = "__cloakroom_until"
	lifePrefix = `{"` + lifeMember + `":`
)

// errLifeMember says that a value would be taken for one with a life.
var errLifeMember = fmt.Errorf("%w: %s, as the first member of a value", ErrReservedKey, lifeMember)

// hasLife reports whether a stored value looks like one with a life.
func hasLife(raw []byte) bool {
	return len(raw) > len(lifePrefix) && string(raw[:len(lifePrefix)]) == lifePrefix
}

// withLife returns the JSON of a value that lives until then.
func withLife(value []byte, until int64) json.RawMessage {
	raw := make([]byte, 0, len(lifePrefix)+len(value)+len(`1763715600000,"value":}`))
	raw = strconv.AppendInt(append(raw, lifePrefix...), until, 10)
	return append(append(append(raw, `,"value":`...), value...), '}')
}

// living returns the value itself of what is stored: nil where its life is over. until is
// when that is, 0 for a value without a life.
func (s *Session) living(raw json.RawMessage) (value json.RawMessage, until int64) {
	if !hasLife(raw) {
		return raw, 0
	}
	var buf [2]jsontext.Member
	members, ok := jsontext.Scan(raw, buf[:0])
	until, isTime := jsontext.ParseInt(jsontext.Find(raw, members, lifeMember))
	value = jsontext.Find(raw, members, "value")
	switch {
	case !ok || !isTime || value == nil: // somebody else's
		return raw, 0
	case s.x.m.cfg.Now().UnixMilli() >= until:
		return nil, 0
	}
	return value, until
}

// dropExpired drops the keys whose value has no life left. The caller holds the lock.
func (s *Session) dropExpired(keys []string) []string {
	if !s.rarities().usedSetFor && (s.base == nil || !bytes.Contains(s.base.Text, []byte(lifePrefix))) {
		return keys
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		value, _ := s.living(s.changes.Value(s.base, key))
		return value == nil
	})
}
