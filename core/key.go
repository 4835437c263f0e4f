package core

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
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
// changes, and the commit fails with a [*KeyError]; [Key.Migrate] says what else is to
// become of it.
func (k Key[T]) Update(s *Session, fn func(T) T) T {
	var result, returned T // result changes whenever fn is called again, by whoever commits
	s.update(string(k), func(stored json.RawMessage) (json.RawMessage, error) {
		v, err := decodeKey[T](string(k), "update", stored)
		if err != nil && stored != nil {
			return nil, err
		}
		result = fn(v)
		raw, err := jsontext.Encode(result)
		if err != nil {
			return nil, &KeyError{Key: string(k), Op: "update", Err: jsontext.EncodingError(result, err)}
		}
		if hasLife(raw) {
			return nil, &KeyError{Key: string(k), Op: "update", Err: errLifeMember}
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

// Take removes the key in the store, at once, and returns the value it had. Of
// all requests in the world exactly one gets it: use it for what may be used once,
// such as an OAuth state. Other changes of the request are not stored by it.
//
// The error is [ErrAbsent] where the session has no such key, because it never had
// or another request took it; a [*KeyError] where the value cannot be decoded as a
// T; and [ErrSessionGone] when the session has ended.
func (k Key[T]) Take(ctx context.Context, s *Session) (T, error) {
	raw, err := s.take(ctx, string(k), nil)
	if err != nil {
		var zero T
		return zero, err
	}
	return decodeKey[T](string(k), "get", raw)
}

// Migrate says what becomes of a value that cannot be decoded as a T, because it was
// stored before T was what it is now: from makes a T of its JSON. With nil it is the
// zero value, to start over. All that reads the key goes by it, in every session and
// Manager, also at a commit that meets a value which an instance of the former version
// stored meanwhile. What was read so is stored when the key is set or updated next.
//
// Call it once for each key, in init, before any request. from depends on its argument
// alone. Where it returns an error, that of the call is a [*KeyError] that does not quote
// it, because it may hold data.
func (k Key[T]) Migrate(from func(json.RawMessage) (T, error)) {
	if from == nil {
		from = func(json.RawMessage) (v T, _ error) { return v, nil }
	}
	migrations.Store(migration[T]{string(k)}, from)
}

// migrations are what Migrate was given, by their migration.
var migrations sync.Map

// A migration is what a function that Migrate was given is for.
type migration[T any] struct{ key string }

// errNotMigrated says that a function that Migrate was given failed.
var errNotMigrated = errors.New("the function given to Migrate returned an error")

// decodeKey decodes the value of a key as a T, or has the function that Migrate was given
// make a T of it. op is what the caller does, for the error.
func decodeKey[T any](key, op string, raw json.RawMessage) (v T, err error) {
	if raw == nil {
		return v, ErrAbsent
	}
	if jsontext.DecodePlain(raw, &v) {
		return v, nil
	}
	decoded := new(T)
	if err := json.Unmarshal(raw, decoded); err != nil {
		if migrate, ok := migrations.Load(migration[T]{key}); ok {
			if v, err = migrate.(func(json.RawMessage) (T, error))(raw); err == nil {
				return v, nil
			}
			return v, &KeyError{Key: key, Op: op, Err: errNotMigrated}
		}
		return v, &KeyError{Key: key, Op: op, Err: jsontext.DecodingError[T](err)}
	}
	return *decoded, nil
}

// checkKey returns why an app may not use a key, or nil.
func (m *Manager) checkKey(key string) error {
	if record.IsReserved(key) || key == "__proto__" || m.cfg.ShareWithExpress && droppedByExpress[key] {
		return &KeyError{Key: key, Op: "set", Err: ErrReservedKey}
	}
	if !utf8.ValidString(key) { // It would be stored under another name, and never found again.
		return &KeyError{Key: key, Op: "set", Err: errors.New("key is not UTF-8")}
	}
	return nil
}

// droppedByExpress holds the names that express-session loses when it loads a
// session, because its Session object has them already.
var droppedByExpress = map[string]bool{
	"id": true, "req": true, "touch": true, "resetMaxAge": true, "save": true,
	"reload": true, "destroy": true, "regenerate": true, "constructor": true,
	"toString": true, "toLocaleString": true, "valueOf": true, "hasOwnProperty": true,
	"isPrototypeOf": true, "propertyIsEnumerable": true,
	"__defineGetter__": true, "__defineSetter__": true,
	"__lookupGetter__": true, "__lookupSetter__": true,
}
