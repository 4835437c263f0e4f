package echosession

import "github.com/cloakroom-go/cloakroom/core"

// What an app needs of package core, so that most apps import this package and
// a store. The meaning of each is documented there.
type (
	Config      = core.Config
	Cookie      = core.Cookie
	Priority    = core.Priority
	Secure      = core.Secure
	Policy      = core.Policy
	Manager     = core.Manager
	Session     = core.Session
	Status      = core.Status
	Key[T any]  = core.Key[T]
	ConfigError = core.ConfigError
	KeyError    = core.KeyError
	StoreError  = core.StoreError
)

// Values of [Config] and [Cookie].
const (
	EveryRequest   = core.EveryRequest
	Unavailable    = core.Unavailable
	Anonymous      = core.Anonymous
	SecureAuto     = core.SecureAuto
	SecureAlways   = core.SecureAlways
	SecureNever    = core.SecureNever
	SameSiteAuto   = core.SameSiteAuto
	PriorityLow    = core.PriorityLow
	PriorityMedium = core.PriorityMedium
	PriorityHigh   = core.PriorityHigh
)

// Values of [Session.Status].
const (
	StatusNew     = core.StatusNew
	StatusLoaded  = core.StatusLoaded
	StatusUnknown = core.StatusUnknown
	StatusInvalid = core.StatusInvalid
)

// Errors that a handler can meet.
var (
	ErrAbsent      = core.ErrAbsent
	ErrCommitted   = core.ErrCommitted
	ErrConflict    = core.ErrConflict
	ErrNoSession   = core.ErrNoSession
	ErrSessionGone = core.ErrSessionGone
)
