package core

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Whose session it is. The record says so in the member "user" of __cloakroom,
// which changes only together with the id; the list of the user's sessions
// (userlist.go) is what the calls of the Manager go by.

const (
	maxUser    = 255 // bytes
	maxMethods = 8
	maxMethod  = 64  // bytes
	maxDevice  = 200 // bytes

	// clockSkew is how far the clocks of two processes may be apart for a sign-in
	// to count as fresh in the other one at once.
	clockSkew = time.Minute
)

// signedIn is the member "user" of __cloakroom.
type signedIn struct {
	Name   string   `json:"name"`
	Handle string   `json:"handle"`
	Until  int64    `json:"until,omitempty"` // how long the list of the user has the session, in Unix ms
	By     []string `json:"by,omitempty"`
	Device string   `json:"device,omitempty"`
	Net    string   `json:"net,omitempty"`
	Peer   bool     `json:"peer,omitempty"` // an Express app did it: the rest is not known, nor when
}

// A login is what SignIn asks for.
type login struct {
	signedIn
	at    time.Time
	list  <-chan fetched // the list of the user, on its way
	since *userList      // and when it is there
	again bool           // it had to be asked for again
}

// SignIn makes this the session of a user, at the commit: it gets a new id, as by
// Renew, so that an id that somebody else may know is worth nothing, also when
// the same user signs in again. Its data is kept, unless it was the session of
// another user: then it is dropped, as by Regenerate. The time from which
// [Session.AuthenticatedAt], [Session.CreatedAt] and Config.AbsoluteTimeout
// count starts anew.
//
// user is the name by which the app knows the user for good, such as a primary
// key: 1 to 255 bytes of UTF-8. methods say how it was shown, such as "password"
// or "totp": for [Session.AuthenticatedBy] and [Manager.Sessions].
//
// Where the store can ([UserIndexer]), the session is put into the list of the
// user's sessions, which costs one round trip more than Renew, two with RefuseNew,
// and two more where Config.MaxSessionsPerUser is reached and another session has
// to go. The commit then fails
//
//   - with [ErrTooManySessions] where Config.MaxSessionsPerUser is reached and
//     Config.AtUserLimit says RefuseNew; the visitor's session stays what it was;
//   - with [ErrRevoked] where [Manager.RevokeUser] or [Manager.RevokeOthers] was
//     called for the user since SignIn was; the session may have ended.
//
// A handler that wants to answer that itself calls [Session.Save] after SignIn,
// which returns the error; what the request changed is forgotten then.
//
// SignIn returns [ErrInvalidUser] for a name that is too long or no UTF-8,
// [ErrCommitted] when the headers are out, [ErrSessionGone] after Destroy, and the
// error of ctx where that is done: a visitor who hung up is not signed in.
func (s *Session) SignIn(ctx context.Context, user string, methods ...string) error {
	if !validUser(user) || !validMethods(methods) {
		return ErrInvalidUser
	}
	if err := ctx.Err(); err != nil {
		return err // whoever hung up is not signed in
	}
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	if err := s.cookieMutable(); err != nil {
		return err
	}
	m := s.x.m
	before := s.user()
	if before != "" && before != user {
		s.changes, s.renewal = changes{cleared: true}, regenerateID
	} else if s.renewal == keepID {
		s.renewal = renewID
	}
	s.login = &login{at: m.cfg.Now(), signedIn: signedIn{Name: user, By: slices.Clone(methods)}}
	if was := m.userOf(s.base); s.base != nil && (was == "" || was == user) { // it is the same device
		s.login.Handle = m.handleIn(s.base)
	}
	if r := s.x.r; r != nil {
		s.login.Device, s.login.Net = deviceOf(r), m.networkOf(r)
	}
	s.nameUser()
	if m.lists != nil {
		// Not by the handler's context, which a framework may use again.
		s.login.list = m.lists.fetch(s.x.ctx, m.listKey(user))
	}
	return nil
}

// nameUser sets Config.UserKey to who is about to be signed in.
func (s *Session) nameUser() {
	if path := s.x.m.userPath; s.login != nil && len(path) > 0 {
		user := s.login.Name
		s.changes.update(s.base, path[0], func(stored json.RawMessage) (json.RawMessage, error) {
			return withText(stored, path[1:], user)
		}, s.callFunc)
	}
}

// SignOut ends the session, at once and for good, as Destroy does. Other than
// after Destroy the visitor has a new and empty session, which is stored if
// something is put into it: a message for the next page, for instance.
func (s *Session) SignOut(ctx context.Context) error {
	if !s.lock() {
		return ErrReentered
	}
	defer s.x.mu.Unlock()
	if s.degraded {
		return ErrDegraded
	}
	if err := s.destroyTraced(ctx); err != nil || s.gone {
		return err
	}
	s.startAnew()
	return nil
}

// startAnew makes an empty session of one that has ended.
func (s *Session) startAnew() {
	s.signedOut, s.destroyed = true, false
	s.id, s.key, s.base = "", "", nil
	s.created, s.saved, s.changed, s.rotated = false, false, false, false
	s.changes = changes{}
	s.touching, s.listing = nil, nil // of the session that ended
}

// revoked tells the session of the request that it is among those which its
// handler has ended. What is not stored yet is an error of the commit, not lost.
func (x *Exchange) revoked(sessions []listEntry) {
	if x == nil || !x.ready.Load() {
		return
	}
	s := x.session.Load()
	if s == nil || !s.lock() {
		return
	}
	defer x.mu.Unlock()
	mine := func(e listEntry) bool { return e.Key == s.key }
	if s.base != nil && !s.destroyed && !s.modified() && slices.ContainsFunc(sessions, mine) {
		s.startAnew()
	}
}

// User returns the name that SignIn was given, or with Config.UserKey what the
// session has there. It is empty when nobody signed in.
func (s *Session) User() string {
	if !s.lock() {
		return ""
	}
	defer s.x.mu.Unlock()
	return s.user()
}

func (s *Session) user() string {
	m := s.x.m
	switch {
	case s.login != nil:
		return s.login.Name
	case len(m.userPath) > 0:
		return textAt(s.changes.value(s.base, m.userPath[0]), m.userPath[1:])
	case s.renewal == regenerateID || s.destroyed:
		return ""
	}
	return m.userOf(s.base)
}

// AuthenticatedAt returns when the user signed in, to the millisecond. It is
// zero when nobody did, and where an Express app did it.
func (s *Session) AuthenticatedAt() time.Time {
	if !s.lock() {
		return time.Time{}
	}
	defer s.x.mu.Unlock()
	at, _ := s.authenticated()
	return at
}

// AuthenticatedBy returns the methods that SignIn was given.
func (s *Session) AuthenticatedBy() []string {
	if !s.lock() {
		return nil
	}
	defer s.x.mu.Unlock()
	_, by := s.authenticated()
	return by
}

func (s *Session) authenticated() (at time.Time, by []string) {
	if s.login != nil {
		return time.UnixMilli(s.login.at.UnixMilli()), slices.Clone(s.login.By)
	}
	user := s.user()
	if user == "" {
		return at, nil
	}
	in, _ := s.base.signedIn()
	if in.Name != user || in.Peer {
		return at, nil
	}
	return s.base.meta.created.time(), in.By
}

// RequireFresh tells whether the user signed in less than maxAge ago, and whether
// the session lives at this moment: for a page that changes a password or spends
// money. It returns [ErrNotFresh] where the user has to sign in (again), and
// [ErrSessionGone] where the session was ended meanwhile. It asks the store, past
// any cache, which costs a round trip.
func (s *Session) RequireFresh(ctx context.Context, maxAge time.Duration) error {
	if !s.lock() {
		return ErrReentered
	}
	at, _ := s.authenticated()
	pending := s.login != nil
	s.x.mu.Unlock()
	if age := s.x.m.cfg.Now().Sub(at); at.IsZero() || age >= maxAge || age < -clockSkew {
		return ErrNotFresh
	}
	if pending {
		return nil // there is nothing to ask for yet
	}
	return s.Check(Fresh(ctx))
}

// Handle returns a public name of the session, for pages and logs: nobody can
// get at the session by it. It stays the same when the id is renewed.
// [Manager.Revoke] ends the session that has it. It is empty for a session that
// is not stored yet.
func (s *Session) Handle() string {
	if !s.lock() {
		return ""
	}
	defer s.x.mu.Unlock()
	if s.base == nil {
		return ""
	}
	return s.x.m.handleIn(s.base)
}

// handleIn returns the handle of the session with that record.
func (m *Manager) handleIn(d *document) string {
	if in, ok := d.signedIn(); ok && in.Handle != "" && in.Name == m.userOf(d) {
		return in.Handle
	}
	return handleOf(d.record.ID)
}

// handleOf makes a handle of what the store calls a session. It is one-way, and
// the same in all processes.
func handleOf(key string) string {
	sum := sha256.Sum256([]byte("cloakroom handle\x00" + key))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// userOf returns whose session it is, or an empty string. d may be nil.
func (m *Manager) userOf(d *document) string {
	switch {
	case d == nil:
		return ""
	case len(m.userPath) > 0:
		return textAt(d.get(m.userPath[0]), m.userPath[1:])
	}
	return d.userName()
}

// userName returns the name of who signed in.
func (d *document) userName() (name string) {
	raw := d.ofUser("name")
	if raw != nil && !decodePlain(raw, &name) {
		_ = json.Unmarshal(raw, &name) // somebody else's: no name
	}
	return name
}

// listedUntil returns until when the list of the user has the session, in Unix ms.
func (d *document) listedUntil() int64 {
	until, _ := parseInt(d.ofUser("until"))
	return until
}

func (d *document) ofUser(name string) []byte {
	var buf [8]member
	members, ok := scanObject(d.meta.user, buf[:0])
	if !ok {
		return nil
	}
	return findMember(d.meta.user, members, name)
}

// signedIn decodes the member.
func (d *document) signedIn() (in signedIn, ok bool) {
	if d == nil || d.meta.user == nil || json.Unmarshal(d.meta.user, &in) != nil {
		return signedIn{}, false
	}
	return in, in.Name != ""
}

// userMember returns the member for the record that takes the place of base, nil
// for none. SignIn counts where the record gets a key of its own. There the
// session of an Express app's user gets one too, for its handle to stay.
func (s *Session) userMember(base, next *document, key string) []byte {
	var (
		m       = s.x.m
		signsIn = s.login != nil && key != s.key
		peers   = !signsIn && key != s.key && len(m.userPath) > 0 && m.userOf(base) != "" && m.userOf(base) != base.userName()
	)
	if !signsIn && !peers && (base == nil || base.meta.user == nil) {
		return nil
	}
	var (
		now  = m.cfg.Now()
		life = s.lifespan(next)
		in   signedIn
	)
	switch {
	case signsIn:
		if in = s.login.signedIn; in.Handle == "" {
			in.Handle = handleOf(key)
		}
	case peers:
		in = signedIn{Name: m.userOf(base), Handle: m.handleIn(base), Peer: true}
	default:
		var ok bool
		in, ok = base.signedIn()
		if !ok || in.Name != m.userOf(base) || !life.outlives(in.Until, now) { // or it is not in that list now: see looked
			return base.meta.user
		}
	}
	if m.lists != nil {
		in.Until = life.listed(now)
	}
	raw, err := encodeValue(in)
	if err != nil {
		panic("cloakroom: strings and numbers cannot be encoded: " + err.Error())
	}
	return raw
}

func validUser(user string) bool {
	return user != "" && len(user) <= maxUser && utf8.ValidString(user)
}

func validMethods(methods []string) bool {
	for _, method := range methods {
		if method == "" || len(method) > maxMethod || !utf8.ValidString(method) {
			return false
		}
	}
	return len(methods) <= maxMethods
}

// deviceOf returns what the browser says that it is, cut to a bearable length.
func deviceOf(r *http.Request) string {
	var agent strings.Builder
	for _, c := range r.UserAgent() {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			continue
		}
		if agent.Len()+utf8.RuneLen(c) > maxDevice {
			break
		}
		agent.WriteRune(c)
	}
	return agent.String()
}

// networkOf returns the network that the client is in: its address without the
// part that would point out a person. Of X-Forwarded-For counts the last address
// that is not of one of our proxies.
func (m *Manager) networkOf(r *http.Request) string {
	addr := r.RemoteAddr
	if m.trusts(addr) {
		hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
		for i := len(hops) - 1; i >= 0; i-- {
			hop := strings.TrimSpace(hops[i])
			if _, err := netip.ParseAddr(hop); err != nil {
				break
			}
			if addr = net.JoinHostPort(hop, "0"); !m.trusts(addr) {
				break
			}
		}
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	ip = ip.Unmap().WithZone("")
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// textAt returns the string or the whole number that a JSON value holds at a
// path, or an empty string.
func textAt(raw []byte, path []string) string {
	for _, name := range path {
		var buf [8]member
		members, ok := scanObject(raw, buf[:0])
		if !ok {
			return ""
		}
		raw = findMember(raw, members, name)
	}
	if n, ok := parseInt(raw); ok {
		return strconv.FormatInt(n, 10)
	}
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil || !validUser(text) {
		return ""
	}
	return text
}

// withText returns raw with a text at a path. What stands there already and
// means the same is left as it is: a number stays one.
func withText(raw json.RawMessage, path []string, text string) (json.RawMessage, error) {
	if textAt(raw, path) == text {
		return raw, nil
	}
	if len(path) == 0 {
		return encodeValue(text)
	}
	object := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &object) != nil || object == nil {
		object = map[string]json.RawMessage{}
	}
	inner, err := withText(object[path[0]], path[1:], text)
	if err != nil {
		return nil, err
	}
	object[path[0]] = inner
	return encodeValue(object)
}

// checkUserKey tells why changes on top of base must not be stored under key:
// with Config.UserKey, an ordinary key says whose session it is, and only SignIn
// may make it somebody's.
func (s *Session) checkUserKey(base *document, key string) error {
	path := s.x.m.userPath
	if len(path) == 0 {
		return nil
	}
	want, got := s.x.m.userOf(base), textAt(s.changes.value(base, path[0]), path[1:])
	signsIn := s.login != nil && key != s.key
	if signsIn {
		want = s.login.Name
	}
	if got == want || got == "" && !signsIn {
		return nil
	}
	return &KeyError{Key: path[0], Op: "set", Err: fmt.Errorf("%w: it is Config.UserKey, which SignIn sets", ErrReservedKey)}
}

// enter stores the session under a new id and puts it into the list of its user,
// in the order that userlist.go tells. Where a session had another id, that is
// given up last.
//
// The commit waits for two round trips: the record is created while the list is
// loaded, and the list is changed while the old id is retired. Where the change may
// be refused, for RefuseNew, the visitor's session must be as it was then: so the
// old id is retired when the change is done, which is one trip more.
func (s *Session) enter(ctx context.Context) error {
	x, m, oldKey := s.x, s.x.m, s.key
	if s.base != nil {
		turn, err := s.takeTurn(ctx)
		if err != nil {
			return err
		}
		defer m.turns.leave(oldKey, turn)
	}
	before := m.userOf(s.base)
	e := entrance{user: s.user()}
	if s.login != nil {
		e.at = s.login.at
	}
	if e.user == before {
		e.parent = oldKey
	}
	var next *document // what is stored under the new id
	withdraw := func(err error) error {
		if next != nil { // nobody was given that id
			s.nextID = "" // and nobody will be
			if err := m.storeFailed(ctx, "delete", m.cfg.Store.Delete(ctx, next.record.ID)); err != nil {
				m.cfg.Logger.WarnContext(ctx, "cloakroom: the record of a sign-in that failed was left in the store until it expires", slog.Any("error", err))
			}
		}
		return err
	}
	nothing := func() error { return nil }
	enter := nothing
	wait := firstRetry
	for creates := 0; ; {
		if err := s.changes.firstError(); err != nil {
			return withdraw(err)
		}
		d, err := s.prepare()
		if err != nil {
			return withdraw(err)
		}
		if next == nil {
			list := s.listOf(ctx, e.user)
			err = m.create(ctx, d, s.shown)
			switch {
			case errors.Is(err, ErrExists):
				s.nextID = ""
				if creates++; creates == maxCreates {
					return ErrInvalidID
				}
				continue
			case errors.Is(err, errLate) && pause(ctx, &wait):
				s.nextID = ""
				continue
			case err == nil:
				next = d
				e.since, err = list()
				e.again = s.login != nil && s.login.again
				e.entry = listEntry{Key: d.record.ID, Handle: m.handleIn(d), Until: m.lifespan(d).listed(m.cfg.Now())}
			}
			if err != nil {
				return withdraw(err)
			}
			enter = func() error { return m.enter(ctx, e) }
		} else {
			_, err = m.update(ctx, next, d, x.cookie.MaxAge)
			if errors.Is(err, ErrNotFound) || errors.Is(err, ErrConflict) {
				return s.refused(ErrRevoked) // nobody else knows it but who revokes
			}
			if err != nil {
				return withdraw(err)
			}
			next = d
		}
		var newer *document
		retire := nothing
		if s.base != nil {
			retire = func() (err error) {
				newer, err = m.update(ctx, s.base, s.retire(), x.cookie.MaxAge)
				return err
			}
		}
		if m.cfg.MaxSessionsPerUser > 0 && m.cfg.AtUserLimit == RefuseNew {
			if err := enter(); err != nil {
				return withdraw(s.refused(err))
			}
			enter = nothing
		}
		errs := together(enter, retire)
		enter = nothing
		if err := errs[0]; err != nil {
			s.gone = s.base != nil && errs[1] == nil
			return withdraw(s.refused(err))
		}
		switch err := errs[1]; {
		case err == nil:
			kind := EventCreated
			if s.base != nil {
				kind = EventRenewed
				m.retired.put(oldKey, m.cfg.Now(), lifespan{})
			}
			s.id, s.created = s.nextID, true
			m.issued(next)
			s.adopt(next, kind)
			return nil
		case errors.Is(err, ErrConflict):
			if err := s.replay(ctx, newer); errors.Is(err, ErrNotFound) {
				return withdraw(s.lost(true))
			} else if err != nil {
				return withdraw(err)
			}
			if m.userOf(s.base) != before { // by Express
				return withdraw(ErrConflict)
			}
		case errors.Is(err, ErrNotFound):
			return withdraw(s.lost(true))
		default:
			return withdraw(err)
		}
	}
}

// prepare makes the record for the next id.
func (s *Session) prepare() (*document, error) {
	m := s.x.m
	if s.nextID == "" {
		id, err := m.generateID(s.x.r)
		if err != nil {
			return nil, err
		}
		s.nextID = id
	}
	if err := s.x.canIssue(s.nextID, true); err != nil {
		return nil, err
	}
	base := s.base
	if s.renewal == regenerateID {
		base = nil
	}
	d, err := s.encode(base, m.storeKey(s.nextID))
	if errors.Is(err, ErrSessionGone) {
		return nil, s.lost(true)
	}
	return d, err
}

// listOf returns a function that waits for the list of the user: as of SignIn, or
// as of now for a renewal.
func (s *Session) listOf(ctx context.Context, user string) func() (*userList, error) {
	lists, login := s.x.m.lists, s.login
	if login == nil {
		list := lists.fetch(ctx, s.x.m.listKey(user))
		return func() (*userList, error) { return lists.await(ctx, list) }
	}
	if login.list == nil && login.since == nil { // that of SignIn could not be loaded
		login.list, login.again = lists.fetch(ctx, s.x.m.listKey(user)), true
	}
	return func() (list *userList, err error) {
		if login.since == nil { // else it is that of a commit that failed
			login.since, err = lists.await(ctx, login.list)
			login.list = nil
		}
		return login.since, err
	}
}

// refused forgets what the request wanted to store, where SignIn was refused: the
// session stays what it was.
func (s *Session) refused(err error) error {
	if errors.Is(err, ErrTooManySessions) || errors.Is(err, ErrRevoked) {
		s.discard()
	}
	return err
}

// Errors of signing in.
var (
	// ErrInvalidUser says that the name of a user is empty, longer than 255 bytes
	// or not UTF-8, or that there are more than 8 methods or one of more than 64
	// bytes.
	ErrInvalidUser = errors.New("cloakroom: name of the user, or of a method, is empty, too long or not UTF-8")

	// ErrTooManySessions says that the user has as many sessions as
	// Config.MaxSessionsPerUser allows, or 1000.
	ErrTooManySessions = errors.New("cloakroom: user has too many sessions")

	// ErrRevoked says that the sessions of the user were ended while SignIn, or
	// Renew, was under way. It is an [ErrSessionGone].
	ErrRevoked = fmt.Errorf("%w: it was revoked meanwhile", ErrSessionGone)

	// ErrNotFresh says that nobody signed in, or too long ago.
	ErrNotFresh = errors.New("cloakroom: user has not signed in recently enough")
)
