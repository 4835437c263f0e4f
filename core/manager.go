package core

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// How many ids are remembered, of each kind. What is forgotten costs a call of the store more,
// and no promise: all promises rest on what the store has.
const (
	rememberExtended = 1 << 12
	mostExtended     = 1 << 18 // when so many sessions are in use within a minute: 8 MB
	rememberGivenUp  = 1 << 12
	rememberRelisted = 1 << 12
)

// A Manager finds, stores and ends sessions by its [Config]. Make one with
// [New] at start-up and use it from as many goroutines as there are. It dials
// nothing and needs no closing. It has one goroutine of its own, and only while
// somebody waits for the end of a session ([Session.Ended]).
type Manager struct {
	// Ids and keys are behind pointers, so that no verb of package fmt shows them.
	cfg           Config
	keys          atomic.Pointer[keyRing]
	sealKeys      []*seal.Key
	retired       []*seal.Key   // those of Config.RetiredSealKeys
	otherClock    bool          // Config.Now was set
	userPath      []string      // Config.UserKey, taken apart
	tracer        Tracer        // Config.Observer, if it is one
	storeObserver StoreObserver // likewise
	oldCookies    []string      // the names of the cookies of Config.Predecessor

	sessions *vault.Vault
	lists    *userLists // nil where the store has none
	ends     *ends      // of sessions with Config.Sealed; nil without

	extended *vault.Recent // when this process last extended a session
	givenUp  *vault.Recent // ids that this process gave up or ended
	relisted *vault.Recent // until when this process knows a session to be in a list, as its deadline

	deadlines deadlines
	flights   flights
	endings   endings
	hints     hints
	outage    outage
	strangers strangers
	goneByKey atomic.Int64 // sessions that were found to be sealed under a retired key
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
	}
	// What goes by the clock begins with the app's, which may be years away from time.Now.
	now := m.cfg.Now()
	m.extended = vault.NewRecent(now, rememberExtended, mostExtended)
	m.givenUp = vault.NewRecent(now, rememberGivenUp, rememberGivenUp)
	m.relisted = vault.NewRecent(now, rememberRelisted, rememberRelisted)
	m.tracer, _ = m.cfg.Observer.(Tracer)
	m.storeObserver, _ = m.cfg.Observer.(StoreObserver)
	if m.cfg.UserKey != "" {
		m.userPath = strings.Split(m.cfg.UserKey, ".")
	}
	m.deadlines.slack = m.cfg.StoreTimeout / slackFraction
	var err error
	if m.sealKeys, err = seal.NewKeys(m.cfg.SealKeys); err != nil {
		return nil, &ConfigError{"SealKeys", "cannot be used: " + err.Error()}
	}
	if m.retired, err = seal.NewKeys(m.cfg.RetiredSealKeys); err != nil {
		return nil, &ConfigError{"RetiredSealKeys", "cannot be used: " + err.Error()}
	}
	if err := m.useSecrets(m.cfg.Secrets); err != nil {
		return nil, err
	}
	if m.cfg.Sealed != nil {
		m.useCookies()
	} else {
		sessions := m.vaultOptions(m.cfg.Store, "a stored session cannot be decoded; it counts as gone and was left in the store")
		sessions.Hot = maxRecords
		m.sessions = vault.New(sessions)
	}
	if indexer, ok := m.cfg.Store.(store.UserIndexer); ok {
		m.lists = newUserLists(m, indexer)
	}
	for _, p := range m.cfg.TrustedProxies {
		if p.Bits() == 0 {
			m.cfg.Logger.Warn("cloakroom: Config.TrustedProxies has a network of all addresses: every client can say where it comes from, "+
				"and whether over HTTPS; name the networks of your proxies", slog.String("network", p.String()))
		}
	}
	if m.cfg.ShareWithExpress && m.cfg.AbsoluteTimeout > 0 {
		m.cfg.Logger.Warn("cloakroom: Config.AbsoluteTimeout is not enforced by the Express side of Config.ShareWithExpress, " +
			"which knows no such limit: a session that is used there goes on there")
	}
	m.warnOfPredecessor()
	m.cfg.Secrets, m.cfg.SealKeys, m.cfg.RetiredSealKeys = nil, nil, nil // nothing prints what it does not have
	return m, nil
}

// vaultOptions are those of the vault over a store. damaged is what is said of a record
// of it that cannot be decoded.
func (m *Manager) vaultOptions(st store.Store, damaged string) vault.Options {
	return vault.Options{
		Store: st, Keys: m.sealKeys, Retired: m.retired, Now: m.cfg.Now, Remember: m.cfg.IdleTimeout,
		Failed: func(ctx context.Context, err error) { m.notify(ctx, Event{Kind: EventStoreError, Err: err}) },
		Called: m.observeCall(),
		Damaged: func(ctx context.Context) {
			m.log(ctx, slog.LevelWarn, "cloakroom: "+damaged)
			m.notify(ctx, Event{Kind: EventUndecodable})
		},
		Gone: func(ctx context.Context) {
			if isFirst(&m.hints.retiredKey) {
				m.log(ctx, slog.LevelWarn, "cloakroom: a stored session is sealed under one of Config.RetiredSealKeys and counts as gone, "+
					"as all others will that are; the Observer is told how many")
			}
			m.notify(ctx, Event{Kind: EventKeyRetired, Count: int(m.goneByKey.Add(1))})
		},
		Leftover: func(ctx context.Context, err error) {
			m.logFailure(ctx, slog.LevelWarn, "cloakroom: a record that is of no use was left in the store until it expires", err)
		},
	}
}

// SetSecrets replaces Config.Secrets while requests are served: the first signs
// from now on, all verify.
func (m *Manager) SetSecrets(secrets []string) error {
	if err := validateSecrets(secrets); err != nil {
		return err
	}
	if m.cfg.Sealed != nil {
		if err := validateSealingSecrets(secrets); err != nil {
			return err
		}
	}
	return m.useSecrets(secrets)
}

// useSecrets makes these the secrets in use, at once and for requests under way as well.
func (m *Manager) useSecrets(secrets []string) error {
	for _, s := range secrets {
		if len(s) < shortSecret && isFirst(&m.hints.shortSecret) {
			m.cfg.Logger.Warn(fmt.Sprintf("cloakroom: a secret in Config.Secrets is shorter than %d bytes; use random ones, such as from: openssl rand -base64 32", shortSecret))
		}
	}
	keys, err := newKeyRing(secrets)
	if err != nil {
		return &ConfigError{"Secrets", "cannot be used: " + err.Error()}
	}
	m.keys.Store(keys)
	return nil
}

// Load returns the session of a ticket, for what is no request of net/http: another
// server, gRPC, a queue. The ticket is what stands behind "name=" in the Cookie header, or
// a token ([Session.Token]), or empty.
// There is always a session unless the store fails, as with an [Exchange]. Functions that
// are given [Session.Context] find it by [FromContext]. [Manager.Commit] stores it.
func (m *Manager) Load(ctx context.Context, ticket string) (*Session, error) {
	x := m.newExchange(ctx, nil)
	x.raw = &rawRequest{ticket: ticket}
	if outer := exchangeOf(ctx); outer != nil { // the session of another Manager is found in its context, too
		x.nest().outer = outer
	}
	if err := x.chooseCookie(); err != nil {
		return nil, err
	}
	if err := x.find(); err != nil {
		return nil, err
	}
	return x.ensureSession(), nil
}

// Commit stores what was done to a session that Load returned, and returns the
// value of the Set-Cookie header that the response must carry, or an empty
// string. A client without cookies is told [Session.Token] in its place, where that is
// another than the one that it sent. secure reports whether the request came over HTTPS. Call it before the
// first byte of the response; where it fails, send an error page instead. The
// session takes no changes any more: those that come later are dropped, which is
// logged.
func (m *Manager) Commit(ctx context.Context, s *Session, secure bool) (setCookie string, err error) {
	if s.lock() { // another goroutine of the request may be at it
		s.x.raw = &rawRequest{secure: &secure} // the session is loaded: its cookie is not needed any more
		s.x.ended.Store(true)                  // what comes later is dropped, which is logged
		s.x.unlock()
	}
	defer s.x.endTelling()
	h := make(http.Header)
	if err := s.x.commit(ctx, h, true); err != nil {
		return "", err
	}
	return h.Get("Set-Cookie"), nil
}

// Edit changes the session with an id, outside of any request of it: fn gets
// the session, and what it changes is stored when it returns nil, on top of
// whatever is stored by then. That is no activity of the visitor: the session keeps
// the life that is left, unless fn calls Touch. It returns [store.ErrNotFound] when there is no such
// session and [ErrSessionGone] when it ended meanwhile. The browser's cookie
// cannot be changed from here, so Renew, Regenerate and SetMaxAge return
// [ErrHeadersSent]. With Config.Sealed the error matches [errors.ErrUnsupported].
func (m *Manager) Edit(ctx context.Context, id string, fn func(*Session) error) error {
	if m.ends != nil {
		return errSealedEdit
	}
	if id == "" {
		return store.ErrNotFound
	}
	x := m.newFoundExchange(ctx)
	limit := m.limit(ctx)
	defer limit.stop()
	key := m.storeKey(id)
	doc, err := m.loadLive(limit, key, x.cookie.MaxAge)
	if err != nil {
		return err
	}
	s := x.ensureSession()
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
		for rec, err := range m.walk(ctx, m.sessions, 0) {
			if err != nil {
				yield(nil, err)
				return
			}
			doc, err := m.sessions.Read(rec, m.cfg.Cookie.MaxAge)
			if err != nil || !m.isLive(doc) {
				continue
			}
			x := m.newFoundExchange(ctx)
			x.ended.Store(true)
			s := x.ensureSession()
			s.found(rec.ID, rec.ID, doc)
			if !yield(s, nil) {
				return
			}
		}
	}
}

// Count returns how many sessions there are, with those whose ids were renewed
// within the last minute counted twice. The error matches
// [errors.ErrUnsupported] where the store cannot count.
func (m *Manager) Count(ctx context.Context) (int, error) {
	counter, ok := m.cfg.Store.(store.Counter)
	if !ok {
		return 0, fmt.Errorf("cloakroom: store cannot count: %w", errors.ErrUnsupported)
	}
	call := m.sessions.Call(ctx, "count")
	n, err := counter.Count(ctx)
	return n, call.End(err)
}

// Ping reports whether the store answers, within Config.StoreTimeout: with Config.Sealed
// that of the ends, if there is one.
func (m *Manager) Ping(ctx context.Context) error {
	limit := m.limit(ctx)
	defer limit.stop()
	v := m.sessions
	if m.ends != nil {
		if !m.ends.isShared() {
			return nil // there is nobody to ask
		}
		v = m.ends.Vault
	}
	if p, ok := v.Store.(store.Pinger); ok {
		return v.Call(ctx, "ping").End(p.Ping(limit))
	}
	call := v.Call(ctx, "ping")
	_, err := v.Store.Load(limit, ticket.NewID())
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return call.End(err)
}

// Config returns the Config in force, for an operator or an auditor: the defaults
// are filled in, and there are no secrets in it, but as many "REDACTED" in Secrets,
// SealKeys and RetiredSealKeys as there are. %+v prints all of it.
func (m *Manager) Config() Config {
	c := m.cfg
	if c.TouchInterval == 0 {
		c.TouchInterval = m.touchInterval(c.IdleTimeout)
	}
	c.Secrets = redacted(m.keys.Load().signer.Len())
	c.SealKeys = redacted(len(m.sealKeys))
	c.RetiredSealKeys = redacted(len(m.retired))
	c.TrustedProxies = slices.Clone(c.TrustedProxies)
	if c.Sealed != nil {
		sealed := *c.Sealed
		c.Sealed = &sealed
	}
	c.Header = c.Header.withDefaults()
	c.Bind = c.Bind.withDefaults(&c)
	return c
}

// Format keeps a Manager from printing what it holds.
func (m *Manager) Format(f fmt.State, _ rune) {
	_, _ = f.Write([]byte("Manager(" + m.cfg.Cookie.Name + ")"))
}
