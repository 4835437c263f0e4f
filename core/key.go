package core

import (
	"context"
	"encoding/json"
)

// A Key names a value of type T in a session. Declare each once, as a constant:
//
//	const views core.Key[int] = "views"
//
// Values are kept as JSON, so T is anything that encoding/json can write and
// read back; they are decoded when read and encoded when set, so that what the
// caller does to a value afterwards does not change the session.
type Key[T any] string

// Get returns the value, or the zero value of T where there is none or it is of
// another shape. [Key.Lookup] tells these apart.
func (k Key[T]) Get(s *Session) T {
	v, _ := k.Lookup(s)
	return v
}

// Lookup returns the value. The error is [ErrAbsent] where the session has no
// such key, and a [*KeyError] where its value cannot be decoded as a T.
func (k Key[T]) Lookup(s *Session) (T, error) {
	return decodeKey[T](string(k), "get", s.raw(string(k)))
}

// Set sets the value. Where it cannot be encoded, the commit fails with a
// [*KeyError].
func (k Key[T]) Set(s *Session, v T) { s.Set(string(k), v) }

// Delete removes the key.
func (k Key[T]) Delete(s *Session) { s.Delete(string(k)) }

// Update sets the value to what fn makes of the present one (the zero value of
// T where there is none) and returns it. No update is ever lost: when another
// request changed the session in the meantime, fn is called again, at the
// commit, with the newer value. So fn depends on its argument alone and does
// not use the session, and what Update returned is provisional until then.
//
// Where the present value cannot be decoded as a T, fn is not called, nothing
// changes, and the commit fails with a [*KeyError].
func (k Key[T]) Update(s *Session, fn func(T) T) T {
	var result, returned T // result changes whenever fn is called again, by whoever commits
	s.update(string(k), func(stored json.RawMessage) (json.RawMessage, error) {
		v, err := decodeKey[T](string(k), "update", stored)
		if err != nil && stored != nil {
			return nil, err
		}
		result = fn(v)
		raw, err := encodeValue(result)
		if err != nil {
			return nil, &KeyError{Key: string(k), Op: "update", Err: safeJSONError(err)}
		}
		return raw, nil
	}, func() { returned = result })
	return returned
}

// Pop returns the value and removes the key at the commit. Two requests at the
// same time may both get it; where only one may, use [Key.Take].
func (k Key[T]) Pop(s *Session) T {
	v := k.Get(s)
	k.Delete(s)
	return v
}

// Take removes the key in the store, at once, and returns the value it had and
// whether it had one. Of all requests in the world exactly one gets it: use it
// for what may be used once, such as an OAuth state. Other changes of the
// request are not stored by it.
//
// It returns [ErrSessionGone] when the session has ended.
func (k Key[T]) Take(ctx context.Context, s *Session) (T, bool, error) {
	var zero T
	raw, err := s.take(ctx, string(k))
	if err != nil || raw == nil {
		return zero, false, err
	}
	v, err := decodeKey[T](string(k), "get", raw)
	return v, err == nil, err
}

func decodeKey[T any](key, op string, raw json.RawMessage) (v T, err error) {
	if raw == nil {
		return v, ErrAbsent
	}
	if decodePlain(raw, &v) {
		return v, nil
	}
	decoded := new(T)
	if err := json.Unmarshal(raw, decoded); err != nil {
		return v, &KeyError{Key: key, Op: op, Err: safeJSONError(err)}
	}
	return *decoded, nil
}
