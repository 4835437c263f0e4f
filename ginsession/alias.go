package ginsession

import (
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The types of package core that an app names, so that most apps import this
// package and a store.
type (
	// Config is [core.Config]: what there is to set.
	Config = core.Config
	// Cookie is [core.Cookie]: the attributes of the session cookie.
	Cookie = core.Cookie
	// SealedCookie is [core.SealedCookie]: what Config.Sealed holds.
	SealedCookie = core.SealedCookie

	// Header is [core.Header]: a token in the place of the cookie.
	Header = core.Header
	// Bind is [core.Bind]: sessions that a thief cannot use.
	Bind = core.Bind
	// Binding is [core.Binding]: whether a session is bound to its browser.
	Binding = core.Binding
	// Carrier is [core.Carrier]: what brings a session, a cookie or a header.
	Carrier = core.Carrier
	// Predecessor is [core.Predecessor]: where the sessions were before.
	Predecessor = core.Predecessor
	// Priority is [core.Priority], an attribute of the cookie.
	Priority = core.Priority
	// Secure is [core.Secure], an attribute of the cookie.
	Secure = core.Secure
	// Manager is [core.Manager]: sessions outside of requests.
	Manager = core.Manager
	// Session is [core.Session]: what a handler gets.
	Session = core.Session
	// SignInAttempt is [core.SignInAttempt]: what BeginSignIn of a session returns.
	SignInAttempt = core.SignInAttempt
	// SignInPage is [core.SignInPage]: where RequireUser leads a browser.
	SignInPage = core.SignInPage
	// Status is [core.Status]: where a session came from.
	Status = core.Status
	// Info is [core.Info]: a session of a user, described.
	Info = core.Info
	// AtUserLimit is [core.AtUserLimit]: what Config.MaxSessionsPerUser does.
	AtUserLimit = core.AtUserLimit
	// Key is [core.Key]: the name and type of a value.
	Key[T any] = core.Key[T]
	// OneTime is [core.OneTime]: values each of which may be used once.
	OneTime[T any] = core.OneTime[T]
	// Flashes is [core.Flashes]: a kind of messages for the next page.
	Flashes[T any] = core.Flashes[T]
	// Expiry is [core.Expiry]: when a session ends.
	Expiry = core.Expiry
	// ConfigError is [core.ConfigError].
	ConfigError = core.ConfigError
	// CookieSizeError is [core.CookieSizeError].
	CookieSizeError = core.CookieSizeError

	// KeyError is [core.KeyError].
	KeyError = core.KeyError
	// RevocationError is [core.RevocationError]: how far RevokeUser came.
	RevocationError = core.RevocationError
	// StoreError is [store.Error].
	StoreError = store.Error
)

// Values of [Config] and [Cookie].
const (
	EveryRequest   = core.EveryRequest
	SecureAuto     = core.SecureAuto
	SecureAlways   = core.SecureAlways
	SecureNever    = core.SecureNever
	SameSiteAuto   = core.SameSiteAuto
	PriorityLow    = core.PriorityLow
	PriorityMedium = core.PriorityMedium
	PriorityHigh   = core.PriorityHigh

	DropLeastRecentlyUsed = core.DropLeastRecentlyUsed
	DropOldest            = core.DropOldest
	RefuseNew             = core.RefuseNew
)

// Values of [Session.Status].
const (
	StatusNew       = core.StatusNew
	StatusLoaded    = core.StatusLoaded
	StatusUnknown   = core.StatusUnknown
	StatusInvalid   = core.StatusInvalid
	StatusTakenOver = core.StatusTakenOver
)

// Values of [Session.CarriedBy].
const (
	CarrierCookie = core.CarrierCookie
	CarrierHeader = core.CarrierHeader
)

// Values of [Session.Binding].
const (
	Unbound  = core.Unbound
	Bound    = core.Bound
	Unproven = core.Unproven
)

// Errors that a handler can meet.
var (
	ErrAbsent      = core.ErrAbsent
	ErrHeadersSent = core.ErrHeadersSent
	ErrConflict    = store.ErrConflict
	ErrNotStored   = core.ErrNotStored
	ErrNoSession   = core.ErrNoSession
	ErrSessionGone = core.ErrSessionGone

	ErrInvalidUser     = core.ErrInvalidUser
	ErrNotFound        = store.ErrNotFound
	ErrNotSignedIn     = core.ErrNotSignedIn
	ErrSignInTooOld    = core.ErrSignInTooOld
	ErrRevoked         = core.ErrRevoked
	ErrTooManySessions = core.ErrTooManySessions
	ErrUnproven        = core.ErrUnproven
)
