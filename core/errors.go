package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The errors of sessions and their commit.
var (
	// ErrSessionGone says that the session ended (logout, expiry, a renewed id)
	// while the request was under way. Changes made to it were not stored.
	ErrSessionGone = errors.New("cloakroom: session has ended")

	// ErrHeadersSent says that the headers are out, so that what was asked for,
	// which needs a cookie or a token, is no longer possible. Nothing was changed.
	ErrHeadersSent = errors.New("cloakroom: response headers are already sent; do this before writing the body")

	// ErrMaxAgeTooShort says that a max age for one session, or for a login, is less
	// than a second. Nothing was changed.
	ErrMaxAgeTooShort = errors.New("cloakroom: max age is less than a second; 3600 is 3.6µs: write 3600 * time.Second")

	// ErrUnknownOutcome says that the store did not tell whether a write was
	// applied, and that looking at what is stored did not settle it.
	ErrUnknownOutcome = vault.ErrUnknownOutcome

	// ErrNoSession says that this request has no session: the middleware is not
	// mounted in front of the handler, or left the request alone.
	ErrNoSession = errors.New("cloakroom: no session for this request")

	// ErrDegraded says that the store was down when the request began, that
	// Config.ServeAnonymously let it go on as anonymous, and that it made changes,
	// which cannot be stored.
	ErrDegraded = errors.New("cloakroom: session store was unavailable; changes cannot be stored")

	// ErrInsecure says that a new session needs a Secure cookie, or its token is to be as
	// secure as that (Cookie.Secure is SecureAlways), but the request
	// did not come over HTTPS as far as Config tells, so nothing was stored.
	ErrInsecure = errors.New("cloakroom: Secure cookie cannot be set over plain HTTP; behind a TLS proxy set Config.TrustedProxies or Config.IsHTTPS, in development use SecureAuto")

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

	// ErrUnknownSealKey says that a record is sealed under a key that is neither in
	// Config.SealKeys nor in Config.RetiredSealKeys. The session may be a good one,
	// so this is a failure of the set-up and not a missing session.
	ErrUnknownSealKey = seal.ErrUnknownKey

	// ErrUndecodable says that a stored record is not one that this
	// configuration can read. The session counts as gone.
	ErrUndecodable = record.ErrUndecodable

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

// Error names the key and the types involved, and never the value.
func (e *KeyError) Error() string {
	return fmt.Sprintf("cloakroom: %s session key %q: %v", e.Op, e.Key, e.Err)
}

// Unwrap returns Err.
func (e *KeyError) Unwrap() error { return e.Err }

// A ConfigError tells what is wrong with a [Config].
type ConfigError struct {
	Field  string // such as "Secrets" or "Cookie.SameSite"
	Reason string // what was found, and what to set
}

// Error names the field, what was found, and what to set.
func (e *ConfigError) Error() string {
	return "cloakroom: Config." + e.Field + " " + e.Reason
}

// statusClientClosedRequest is nginx's code for a client that went away; it is
// seen in logs only.
const statusClientClosedRequest = 499

// HTTPStatus returns the status code of the response to a request that ended with
// an error of this package. The error page has it, and so should what a
// Config.ErrorHandler writes, or a handler that got the error from Save or SignIn:
//
//   - 401 where the user has to sign in (again), [ErrNotSignedIn], [ErrSignInTooOld] and
//     [ErrUnproven];
//   - 403 where a user may not have another session, [ErrTooManySessions];
//   - 409 where the session ended meanwhile, [ErrSessionGone]: the client may try
//     again, without it;
//   - 499 where the client went away before its session was loaded, which is seen in
//     logs only;
//   - 500 for what the application has to mend: its Config, a value that is no JSON,
//     a session that is too large;
//   - 503 where the store failed or was too slow, and for any other error: the client
//     may try again later.
func HTTPStatus(err error) int {
	var (
		key *KeyError
		cfg *ConfigError
		st  *store.Error
	)
	switch {
	case errors.Is(err, ErrSessionGone):
		return http.StatusConflict
	case errors.Is(err, ErrTooManySessions):
		return http.StatusForbidden
	case errors.Is(err, ErrNotSignedIn), errors.Is(err, ErrSignInTooOld), errors.Is(err, ErrUnproven):
		return http.StatusUnauthorized
	case errors.As(err, &st): // also one that says that a call was cancelled: by whom is another matter
		return http.StatusServiceUnavailable
	case errors.As(err, &key), errors.As(err, &cfg),
		errors.Is(err, ErrTooLarge), errors.Is(err, ErrTooManyKeys), errors.Is(err, ErrCookieTooLarge),
		errors.Is(err, ErrReentered), errors.Is(err, ErrInsecure), errors.Is(err, ErrInvalidID),
		errors.Is(err, ErrNoSession), errors.Is(err, ErrInvalidUser), errors.Is(err, ErrMaxAgeTooShort), errors.Is(err, errPanicked):
		return http.StatusInternalServerError
	case errors.Is(err, context.Canceled):
		return statusClientClosedRequest
	default:
		return http.StatusServiceUnavailable
	}
}
