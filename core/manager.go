package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// How many ids are remembered, of each kind.
const (
	rememberTouched  = 1 << 14
	rememberRetired  = 1 << 12
	rememberReported = 1 << 10
	rememberRelisted = 1 << 12
)

// A Manager finds, stores and ends sessions by its [Config]. Make one with
// [New] at start-up and use it from as many goroutines as there are; it starts
// none of its own, dials nothing and needs no closing.
type Manager struct {
	// Ids and keys are behind pointers, so that no verb of package fmt shows them.
	cfg      Config
	signer   atomic.Pointer[signer]
	sealKeys []*sealKey

	otherClock bool // Config.Now was set

	// What the store can do beyond the five verbs.
	replacer     Replacer
	updateLoader UpdateLoader
	lists        *userLists // nil where the store has none

	userPath []string // Config.UserKey, taken apart
	tracer   Tracer   // Config.Observer, if it is one

	parser    parser
	deadlines deadlines
	turns     *turns
	touched   *recent // when this process last extended a session
	retired   *recent // sessions that this process ended or renewed
	reported  *recent // records that were reported as undecodable
	relisted  *recent // when this process last put a session into a list again
	hints     hints
	emitting  sync.Mutex // for a moment: one for all sessions costs none of them anything
}

// hints are what is said once in the log.
type hints struct {
	untrustedProxy, insecure, shortSecret sync.Once
}

// New returns a Manager, or a [*ConfigError] that names the field that is wrong
// and what to set.
func New(cfg Config) (*Manager, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:        cfg.withDefaults(),
		otherClock: cfg.Now != nil,
		turns:      new(turns),
		touched:    newRecent(rememberTouched),
		retired:    newRecent(rememberRetired),
		reported:   newRecent(rememberReported),
		relisted:   newRecent(rememberRelisted),
	}
	m.tracer, _ = m.cfg.Observer.(Tracer)
	if m.cfg.UserKey != "" {
		m.userPath = strings.Split(m.cfg.UserKey, ".")
	}
	m.deadlines.slack = m.cfg.StoreTimeout / slackFraction
	m.replacer, _ = m.cfg.Store.(Replacer)
	m.updateLoader, _ = m.cfg.Store.(UpdateLoader)
	var err error
	if m.sealKeys, err = newSealKeys(m.cfg.SealKeys); err != nil {
		return nil, &ConfigError{"SealKeys", "cannot be used: " + err.Error()}
	}
	if indexer, ok := m.cfg.Store.(UserIndexer); ok {
		m.lists = newUserLists(m, indexer)
	}
	if m.cfg.ShareWithExpress && m.cfg.AbsoluteTimeout > 0 {
		m.cfg.Logger.Warn("cloakroom: Config.AbsoluteTimeout is not enforced by the Express side of Config.ShareWithExpress, " +
			"which knows no such limit: a session that is used there goes on there")
	}
	m.useSecrets(m.cfg.Secrets)
	m.cfg.Secrets, m.cfg.SealKeys = nil, nil // nothing prints what it does not have
	return m, nil
}

// SetSecrets replaces Config.Secrets while requests are served: the first signs
// from now on, all verify.
func (m *Manager) SetSecrets(secrets []string) error {
	if err := validateSecrets(secrets); err != nil {
		return err
	}
	m.useSecrets(secrets)
	return nil
}

func (m *Manager) useSecrets(secrets []string) {
	for _, s := range secrets {
		if len(s) < shortSecret {
			m.hints.shortSecret.Do(func() {
				m.cfg.Logger.Warn(fmt.Sprintf("cloakroom: a secret in Config.Secrets is shorter than %d bytes; use random ones, such as from: openssl rand -base64 32", shortSecret))
			})
		}
	}
	m.signer.Store(newSigner(secrets))
}

// Load returns the session of a cookie, for servers that are not net/http's.
// cookieValue is what stands behind "name=" in the Cookie header, or empty.
// There is always a session unless the store fails, as with an [Exchange].
// [Manager.Commit] stores it.
func (m *Manager) Load(ctx context.Context, cookieValue string) (*Session, error) {
	x := m.newExchange(ctx, nil)
	x.given = &given{cookie: cookieValue}
	if err := x.chooseCookie(); err != nil {
		return nil, err
	}
	if err := x.ensureLoaded(); err != nil {
		return nil, err
	}
	return x.demand(), nil
}

// Commit stores what was done to a session that Load returned, and returns the
// value of the Set-Cookie header that the response must carry, or an empty
// string. secure tells whether the request came over HTTPS. Call it before the
// first byte of the response; where it fails, send an error page instead. The
// session takes no changes any more: those that come later are dropped, which is
// logged.
func (m *Manager) Commit(ctx context.Context, s *Session, secure bool) (setCookie string, err error) {
	if s.lock() { // another goroutine of the request may be at it
		s.x.given = &given{secure: &secure} // the session is loaded: its cookie is not needed any more
		s.x.ended.Store(true)               // what comes later is dropped, which is logged
		s.x.mu.Unlock()
	}
	h := make(http.Header)
	if err := s.x.commit(ctx, h, true); err != nil {
		return "", err
	}
	return h.Get("Set-Cookie"), nil
}

// Edit changes the session with an id, outside of any request of it: fn gets
// the session, and what it changes is stored when it returns nil, on top of
// whatever is stored by then. It returns [ErrNotFound] when there is no such
// session and [ErrSessionGone] when it ended meanwhile. The browser's cookie
// cannot be changed from here, so Renew, Regenerate and SetMaxAge return
// [ErrCommitted].
func (m *Manager) Edit(ctx context.Context, id string, fn func(*Session) error) error {
	if id == "" {
		return ErrNotFound
	}
	x := m.newExchange(ctx, nil)
	x.loaded = true
	x.out.Store(true)
	limit := m.limit(ctx)
	defer limit.stop()
	key := m.storeKey(id)
	doc, err := m.loadLive(limit, key, x.cookie.MaxAge)
	if errors.Is(err, ErrUndecodable) {
		err = ErrNotFound
	}
	if err != nil {
		return err
	}
	s := x.demand()
	s.found(id, key, doc)
	defer x.ended.Store(true)
	if err := fn(s); err != nil {
		return err
	}
	x.end() // what comes later is dropped, which is logged
	return x.commit(ctx, http.Header{}, true)
}

// All walks the live sessions, in no particular order, each as it was when it
// was read: Destroy ends it, other changes are dropped ([Manager.Edit] makes
// them). With Config.HashIDs their ID is the hash, which Edit does not take. Where the store cannot list, the one
// error matches [errors.ErrUnsupported].
func (m *Manager) All(ctx context.Context) iter.Seq2[*Session, error] {
	return func(yield func(*Session, error) bool) {
		lister, ok := m.cfg.Store.(Lister)
		if !ok {
			yield(nil, fmt.Errorf("cloakroom: store cannot list sessions: %w", errors.ErrUnsupported))
			return
		}
		for rec, err := range lister.All(ctx) {
			if err != nil {
				yield(nil, m.storeFailed(ctx, "list", err))
				return
			}
			doc, err := m.read(rec, m.cfg.Cookie.MaxAge)
			if err != nil || !m.isLive(doc) {
				continue
			}
			x := m.newExchange(ctx, nil)
			x.loaded = true
			x.out.Store(true)
			x.ended.Store(true)
			s := x.demand()
			s.found(rec.ID, rec.ID, doc)
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Clear ends all sessions, and removes the lists of whose they were. The error matches [errors.ErrUnsupported] where the
// store cannot.
func (m *Manager) Clear(ctx context.Context) error {
	clearer, ok := m.cfg.Store.(Clearer)
	if !ok {
		return fmt.Errorf("cloakroom: store cannot clear: %w", errors.ErrUnsupported)
	}
	if m.lists != nil { // first, so that who signs in meanwhile is listed
		if index, ok := m.lists.m.cfg.Store.(Clearer); ok {
			if err := m.storeFailed(ctx, "clear", index.Clear(ctx)); err != nil {
				return err
			}
		}
	}
	return m.storeFailed(ctx, "clear", clearer.Clear(ctx))
}

// Count returns how many sessions there are, with those whose ids were renewed
// within the last minute counted twice. The error matches
// [errors.ErrUnsupported] where the store cannot count.
func (m *Manager) Count(ctx context.Context) (int, error) {
	counter, ok := m.cfg.Store.(Counter)
	if !ok {
		return 0, fmt.Errorf("cloakroom: store cannot count: %w", errors.ErrUnsupported)
	}
	n, err := counter.Count(ctx)
	return n, m.storeFailed(ctx, "count", err)
}

// Ping tells whether the store answers, within Config.StoreTimeout.
func (m *Manager) Ping(ctx context.Context) error {
	limit := m.limit(ctx)
	defer limit.stop()
	if p, ok := m.cfg.Store.(Pinger); ok {
		return m.storeFailed(ctx, "ping", p.Ping(limit))
	}
	_, err := m.cfg.Store.Load(limit, newID())
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return m.storeFailed(ctx, "ping", err)
}

// Settings are what a Manager goes by, with all defaults filled in. They hold
// no secret and may be shown to an operator or an auditor: they print as one
// line for each setting, and as JSON with durations such as "24h0m0s".
type Settings struct {
	Name               string
	Cookie             Cookie
	CookiePerRequest   bool // Config.CookieFor is set: Cookie is not what counts
	Secrets            int  // how many
	AAL                int  // whose time limits are kept; 0: none
	IdleTimeout        time.Duration
	AbsoluteTimeout    time.Duration // 0: none
	TouchInterval      time.Duration // a session may end up to that much before IdleTimeout, never after
	StoreTimeout       time.Duration
	MaxBytes, MaxKeys  int
	HashIDs            bool
	Sealed             bool
	ShareWithExpress   bool
	Rolling            bool
	Resave             bool
	SaveUninitialized  bool
	Lazy               bool
	MaxSessionsPerUser int // 0: no limit but 1000
	AtUserLimit        AtUserLimit
	UserKey            string
	TrustedProxies     int // how many prefixes
	TrustUnixSocket    bool
}

// Policy returns the settings in force.
func (m *Manager) Policy() Settings {
	c := &m.cfg
	return Settings{
		Name: c.Name, Cookie: c.Cookie, CookiePerRequest: c.CookieFor != nil,
		Secrets: len(m.signer.Load().macs), AAL: c.AAL,
		IdleTimeout: c.IdleTimeout, AbsoluteTimeout: c.AbsoluteTimeout,
		TouchInterval: m.touchInterval(c.IdleTimeout), StoreTimeout: c.StoreTimeout,
		MaxBytes: c.MaxBytes, MaxKeys: c.MaxKeys,
		HashIDs: c.HashIDs, Sealed: len(m.sealKeys) > 0, ShareWithExpress: c.ShareWithExpress,
		Rolling: c.Rolling, Resave: c.Resave, SaveUninitialized: c.SaveUninitialized, Lazy: c.Lazy,
		MaxSessionsPerUser: c.MaxSessionsPerUser, AtUserLimit: c.AtUserLimit, UserKey: c.UserKey,
		TrustedProxies: len(c.TrustedProxies), TrustUnixSocket: c.TrustUnixSocket,
	}
}

// Format keeps a Manager from printing what it holds.
func (m *Manager) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("Manager(" + m.cfg.Name + ")")) }

// touchInterval returns how often a session with that life is extended.
func (m *Manager) touchInterval(life time.Duration) time.Duration {
	switch interval := m.cfg.TouchInterval; {
	case interval == EveryRequest:
		return 0
	case interval > 0 && life >= m.cfg.IdleTimeout:
		return interval
	case interval > 0:
		return min(interval, life/touchFraction)
	}
	return min(maxTouchInterval, life/touchFraction)
}
