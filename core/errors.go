package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// The errors that a store returns, part of its contract ([Store]).
var (
	// ErrNotFound says that there is no live record with this id: never
	// created, deleted or expired.
	ErrNotFound = errors.New("cloakroom: no such session")

	// ErrExists says that Create was given an id that is in use.
	ErrExists = errors.New("cloakroom: session id is in use")

	// ErrConflict says that a session was changed by another request in the
	// meantime. A commit returns it only when it could not get its turn within
	// Config.StoreTimeout; the changes were not stored.
	ErrConflict = errors.New("cloakroom: session was changed by another request")

	// ErrStoreFull says that the store has reached its limit and refuses what
	// needs more room: a new session, or one that grows.
	ErrStoreFull = errors.New("cloakroom: session store is full")
)

// The errors of sessions and their commit.
var (
	// ErrSessionGone says that the session ended (logout, expiry, a renewed id)
	// while the request was under way. Changes made to it were not stored.
	ErrSessionGone = errors.New("cloakroom: session has ended")

	// ErrCommitted says that the headers are out, so that what was asked for,
	// which needs a cookie, is no longer possible. Nothing was changed.
	ErrCommitted = errors.New("cloakroom: response headers are already sent; do this before writing the body")

	// ErrUnknownOutcome says that the store did not tell whether a write was
	// applied, and that looking at what is stored did not settle it.
	ErrUnknownOutcome = errors.New("cloakroom: store did not tell whether the session was saved")

	// ErrNoSession says that this request has no session: the middleware is not
	// mounted in front of the handler, or left the request alone.
	ErrNoSession = errors.New("cloakroom: no session for this request")

	// ErrDegraded says that the store was down when the request began, that
	// Config.OnStoreError let it go on as anonymous, and that it made changes,
	// which cannot be stored.
	ErrDegraded = errors.New("cloakroom: session store was unavailable; changes cannot be stored")

	// ErrInsecure says that a new session needs a Secure cookie but the request
	// did not come over HTTPS as far as Config tells, so nothing was stored.
	ErrInsecure = errors.New("cloakroom: Secure cookie cannot be set over plain HTTP; behind a TLS proxy set Config.TrustedProxies, in development use SecureAuto")

	// ErrTooLarge says that the encoded session exceeds Config.MaxBytes.
	ErrTooLarge = errors.New("cloakroom: session is larger than Config.MaxBytes")

	// ErrTooManyKeys says that the session has more keys than Config.MaxKeys.
	ErrTooManyKeys = errors.New("cloakroom: session has more keys than Config.MaxKeys")

	// ErrCookieTooLarge says that the cookie exceeds 4096 bytes, which browsers
	// drop (RFC 6265bis section 5.6).
	ErrCookieTooLarge = errors.New("cloakroom: session cookie is larger than 4096 bytes")

	// ErrAbsent says that the session has no such key.
	ErrAbsent = errors.New("cloakroom: session has no such key")

	// ErrReservedKey says that a key is one that the record needs for itself,
	// or one that Express would drop. It comes inside a [*KeyError].
	ErrReservedKey = errors.New("key is reserved")

	// ErrReentered says that the function given to Update used the session.
	ErrReentered = errors.New("cloakroom: function given to Update used the session; it may depend on its argument only")

	// ErrUnknownSealKey says that a record is sealed under a key that is not in
	// Config.SealKeys. The session may be a good one, so this is a failure of
	// the set-up and not a missing session.
	ErrUnknownSealKey = errors.New("cloakroom: session is sealed under a key that is not in Config.SealKeys")

	// ErrUndecodable says that a stored record is not one that this
	// configuration can read. The session counts as gone.
	ErrUndecodable = errors.New("cloakroom: session record cannot be decoded")

	// errPanicked says that a function of the app (one given to Update, the
	// store, the Observer) panicked while the session was loaded or stored.
	errPanicked = errors.New("cloakroom: a panic ended the loading or saving of the session")

	// ErrInvalidID says that Config.GenerateID failed or returned an id that is
	// too short or not UTF-8, or kept returning ids that are in use.
	ErrInvalidID = errors.New("cloakroom: Config.GenerateID returned no usable id")
)

// A KeyError tells which key of a session could not be read or stored. The
// message has the key's name and the types involved, never the value.
type KeyError struct {
	Key string // the name of the key
	Op  string // "get", "set" or "update"
	Err error  // why
}

func (e *KeyError) Error() string {
	return fmt.Sprintf("cloakroom: %s session key %q: %v", e.Op, e.Key, e.Err)
}

func (e *KeyError) Unwrap() error { return e.Err }

// A ConfigError tells what is wrong with a [Config].
type ConfigError struct {
	Field  string // such as "Secrets" or "Cookie.SameSite"
	Reason string // what was found, and what to set
}

func (e *ConfigError) Error() string {
	return "cloakroom: Config." + e.Field + " " + e.Reason
}

// An Outcome tells what a failed call did to the storage.
type Outcome int

const (
	// Unknown says that the call may or may not have been applied, now or later.
	Unknown Outcome = iota
	// NotApplied says that it was not sent, or that the storage refused it.
	NotApplied
)

// A StoreError is a failure of the storage, as opposed to an answer of it.
type StoreError struct {
	Store   string  // the kind of store, such as "valkey"
	Verb    string  // "load", "create", "update", "touch", "delete", ...
	Outcome Outcome // for the verbs that write
	Class   string  // what went wrong in a word or two, such as "timeout" or "out of memory"
	Err     error   // a sentinel of this package, a context or a net error; nil where only the driver had one
}

func (e *StoreError) Error() string {
	s := "cloakroom: " + e.Store + " store: " + e.Verb
	if e.Class != "" {
		s += ": " + e.Class
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *StoreError) Unwrap() error { return e.Err }

// statusClientClosedRequest is nginx's code for a client that went away; it is
// seen in logs only.
const statusClientClosedRequest = 499

// HTTPStatus returns the status code that an error of this package deserves:
// 409 for a session that ended meanwhile, 401 and 403 for who has to sign in or
// may not, 503 for a store that failed or was too slow, 500 for what the application has to mend, and 499 where the client went
// away before its session was loaded.
func HTTPStatus(err error) int {
	var (
		key   *KeyError
		cfg   *ConfigError
		store *StoreError
	)
	switch {
	case errors.Is(err, ErrSessionGone):
		return http.StatusConflict
	case errors.Is(err, ErrTooManySessions):
		return http.StatusForbidden
	case errors.Is(err, ErrNotFresh):
		return http.StatusUnauthorized
	case errors.As(err, &store): // also one that says that a call was cancelled: by whom is another matter
		return http.StatusServiceUnavailable
	case errors.As(err, &key), errors.As(err, &cfg),
		errors.Is(err, ErrTooLarge), errors.Is(err, ErrTooManyKeys), errors.Is(err, ErrCookieTooLarge),
		errors.Is(err, ErrReentered), errors.Is(err, ErrInsecure), errors.Is(err, ErrInvalidID),
		errors.Is(err, ErrNoSession), errors.Is(err, ErrInvalidUser), errors.Is(err, errPanicked):
		return http.StatusInternalServerError
	case errors.Is(err, context.Canceled):
		return statusClientClosedRequest
	default:
		return http.StatusServiceUnavailable
	}
}
