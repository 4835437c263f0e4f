package core

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// The sessions of a user are kept in a list: one small record for each user, in
// the store that [UserIndexer] gives. It is written only by Update, on top of what
// was read, as a session is.
//
// What makes it complete is the order of things. A session gets into the list
// after its record is stored and before any browser hears of it:
//
//	SignIn, Renew:  create the record; put it into the list; retire the old id; answer
//	Revoke:         mark it in the list as ending; delete the record; mark it as ended
//
// Both change the list, so one comes first. Where the entry does, whoever revokes
// finds it, and the record, which is there already. Where the mark does, SignIn
// and Renew see it when they change the list: they delete the record again, and
// fail. What a crash leaves behind is harmless: a record that no browser knows; an
// entry without a record, which is dropped when somebody looks; an entry marked as
// ending, whose record is deleted by the next SignIn of the user, the next
// revocation, or whoever uses it.
//
// A logout does not touch the list. Its entry has no record either.

const (
	// maxListed is how many sessions a list has at most.
	maxListed = 1000

	// A list has a session for listedLives of its idle lives, counted from the
	// sign-in. One that is still in use when fewer than dueLives of these are left
	// is put there again. All that is listedSlack longer, so that clocks may
	// disagree by that much.
	listedLives = 4
	dueLives    = 2
	listedSlack = 24 * time.Hour
	longestLife = 10 * 365 * 24 * time.Hour

	// A list that grew to twice of what was live in it when somebody last looked is
	// looked through for what is dead. One with up to fewListed is not.
	fewListed = 32

	// maxEnded is how many entries are kept of sessions that were revoked, so that
	// a renewal under way finds out.
	maxEnded = 64

	// markLife is how long it is remembered at least that a user's sessions were
	// revoked, and for how long after SignIn its commit is possible.
	markLife = time.Hour

	// listLife is how long a list lives at least, so that none is written in vain.
	listLife = time.Minute

	lookBatch = 50 // records that are looked at in one call
	endBatch  = 16 // records that are deleted at once
)

// listed returns until when a list has a session of that life which is put there
// now, in Unix ms.
func (l lifespan) listed(now time.Time) int64 {
	return l.in(listedLives, now).UnixMilli()
}

// outlives tells whether a session of that life has to be put into its list again,
// which has it until then.
func (l lifespan) outlives(until int64, now time.Time) bool {
	return until < l.in(dueLives, now).UnixMilli()
}

func (l lifespan) in(lives int, now time.Time) time.Time {
	end := now.Add(time.Duration(lives) * min(l.idle, longestLife))
	if !l.deadline.IsZero() && l.deadline.Before(end) {
		end = l.deadline
	}
	return end.Add(listedSlack)
}

// A listEntry is a session in the list of its user.
type listEntry struct {
	Key    string `json:"key"`    // what the store calls it
	Handle string `json:"handle"` // the same for all ids of one session
	Until  int64  `json:"until"`  // Unix ms; it has ended by then
	State  state  `json:"state,omitempty"`
}

// A state is where a session of a list stands.
type state uint8

const (
	live   state = iota
	ending       // it was revoked; its record may still be there
	ended        // and is not any more
)

// A userList is the list of a user's sessions, the one that signed in last at the
// end. The ids of one session follow each other: a renewed one at once, one that
// signed in again behind the others.
type userList struct {
	doc *document // nil where there is none in the store

	Mark     string          `json:"mark,omitempty"`    // changes when all are revoked; empty: they never were
	Revoked  int64           `json:"revoked,omitempty"` // when that was, in Unix ns
	Kept     int             `json:"kept,omitempty"`    // how many were left when the list was last looked through
	Sessions []listEntry     `json:"sessions"`
	Meta     json.RawMessage `json:"__cloakroom"`
}

func (l *userList) clone() *userList {
	c := *l
	c.Sessions = slices.Clone(l.Sessions)
	return &c
}

// find returns the index of the entry of key, or -1.
func (l *userList) find(key string) int {
	return slices.IndexFunc(l.Sessions, func(e listEntry) bool { return e.Key == key })
}

// ends tells whether the session with that key was revoked.
func (l *userList) ends(key string) bool {
	i := l.find(key)
	return i >= 0 && l.Sessions[i].State != live
}

// drop takes entries off the list.
func (l *userList) drop(which func(listEntry) bool) {
	l.Sessions = slices.DeleteFunc(l.Sessions, which)
}

// revoke marks entries as ending and returns them, with those that were already.
func (l *userList) revoke(which func(listEntry) bool) (all []listEntry) {
	for i := range l.Sessions {
		e := &l.Sessions[i]
		if e.State == live && which(*e) {
			e.State = ending
		}
		if e.State == ending {
			all = append(all, *e)
		}
	}
	return all
}

// ended marks entries as ended, whose records were deleted.
func (l *userList) ended(now time.Time, which func(listEntry) bool) {
	var all []*listEntry
	for i := range l.Sessions {
		e := &l.Sessions[i]
		if e.State == ending && which(*e) {
			e.State, e.Until = ended, now.Add(markLife).UnixMilli()
		}
		if e.State == ended {
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *listEntry) int { return cmp.Compare(a.Until, b.Until) })
	for _, e := range all[:max(0, len(all)-maxEnded)] { // those that ended first
		e.Until = 0
	}
	l.tidy(now)
}

// tidy drops what is not needed any more.
func (l *userList) tidy(now time.Time) {
	l.drop(func(e listEntry) bool { return e.Until < now.UnixMilli() })
}

// live returns the sessions that were not revoked.
func (l *userList) live() []listEntry {
	return slices.DeleteFunc(slices.Clone(l.Sessions), func(e listEntry) bool { return e.State != live })
}

// handles returns the handles of the live sessions in the list.
func (l *userList) handles() (all []string) {
	for _, e := range l.Sessions {
		if e.State == live && !slices.Contains(all, e.Handle) {
			all = append(all, e.Handle)
		}
	}
	return all
}

// life returns how long the list is needed.
func (l *userList) life(now time.Time) time.Duration {
	end := now.Add(listLife)
	if l.Revoked != 0 {
		end = later(end, time.Unix(0, l.Revoked).Add(markLife))
	}
	for _, e := range l.Sessions {
		end = later(end, time.UnixMilli(e.Until))
	}
	return end.Sub(now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// userLists are the lists of a store.
type userLists struct {
	m     *Manager // over the store of the lists, for its way of loading and storing
	store UserIndexer
}

func newUserLists(m *Manager, store UserIndexer) *userLists {
	of := &Manager{
		cfg: Config{
			Store: store.UserIndex(), StoreTimeout: m.cfg.StoreTimeout, IdleTimeout: m.cfg.IdleTimeout,
			Logger: m.cfg.Logger, Observer: m.cfg.Observer, Now: m.cfg.Now,
		},
		sealKeys: m.sealKeys,
		reported: newRecent(rememberLists),
		turns:    new(turns),
	}
	of.deadlines.slack = m.deadlines.slack
	of.updateLoader, _ = of.cfg.Store.(UpdateLoader)
	return &userLists{m: of, store: store}
}

// rememberLists is how many lists are remembered that cannot be decoded.
const rememberLists = 1 << 8

// listKey returns the id of the list of a user: a hash, which is short and no name.
// Managers whose cookies have different names have different users.
func (m *Manager) listKey(user string) string {
	sum := sha256.Sum256([]byte("cloakroom user\x00" + m.cfg.Name + "\x00" + user))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// load returns the list that the store has under key, or an empty one.
func (u *userLists) load(ctx context.Context, key string) (*userList, error) {
	doc, err := u.m.load(ctx, key, 0)
	if errors.Is(err, ErrNotFound) {
		return new(userList), nil
	}
	if err != nil {
		return nil, err
	}
	return decodeList(doc)
}

func decodeList(doc *document) (*userList, error) {
	l := &userList{doc: doc}
	if !doc.meta.present || json.Unmarshal(doc.text, l) != nil {
		return nil, ErrUndecodable
	}
	return l, nil
}

// A fetched is a list that was asked for, beside the handler.
type fetched struct {
	list     *userList
	err      error
	panicked any
}

// fetch asks for a list.
func (u *userLists) fetch(ctx context.Context, key string) <-chan fetched {
	done := make(chan fetched, 1) // buffered: nobody has to be there for the answer
	go func() {
		var f fetched
		defer func() {
			f.panicked = recover() // it is the request's: see await
			done <- f
		}()
		limit := u.m.detach(ctx)
		defer limit.stop()
		f.list, f.err = u.loadOrClear(limit, key)
	}()
	return done
}

// loadOrClear is load for who adds a session. A list that cannot be decoded is
// removed: whoever wrote it was configured otherwise, and none of its sessions can
// be decoded either.
func (u *userLists) loadOrClear(ctx context.Context, key string) (*userList, error) {
	l, err := u.load(ctx, key)
	if errors.Is(err, ErrUndecodable) {
		return new(userList), u.m.storeFailed(ctx, "delete", u.m.cfg.Store.Delete(ctx, key))
	}
	return l, err
}

// await returns the list when it is there.
func (u *userLists) await(ctx context.Context, list <-chan fetched) (*userList, error) {
	select {
	case f := <-list:
		if f.panicked != nil {
			panic(f.panicked)
		}
		return f.list, f.err
	case <-ctx.Done():
		return nil, u.m.storeFailed(ctx, "load", ctx.Err())
	}
}

// edit changes the list under key: change gets a copy of it, again with a newer
// one where somebody else was faster, and tells whether there is anything to
// store. list is what the store had a moment ago; where change returns an error
// about such a list, it is asked again about what the store has now. Edit returns
// what that is then.
func (u *userLists) edit(ctx context.Context, key string, list *userList, change func(*userList) (bool, error)) (*userList, error) {
	turn, err := u.m.turns.take(ctx, key)
	if err != nil {
		return nil, u.m.storeFailed(ctx, "update", err)
	}
	defer u.m.turns.leave(key, turn)
	if turn.latest != nil {
		if list, err = decodeList(turn.latest); err != nil {
			return nil, err
		}
	}
	for newest := false; ; newest = true {
		next := list.clone()
		changed, err := change(next)
		if err != nil && !newest {
			if list, err = u.load(ctx, key); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil || !changed {
			return list, err
		}
		if err := u.encode(key, next); err != nil {
			return nil, err
		}
		var newer *document
		if list.doc == nil {
			err = u.m.create(ctx, next.doc, true)
		} else {
			newer, err = u.m.update(ctx, list.doc, next.doc, 0)
		}
		switch {
		case err == nil:
			turn.latest = next.doc
			return next, nil
		case errors.Is(err, ErrNotFound):
			list = new(userList)
		case newer != nil:
			list, err = decodeList(newer)
		case errors.Is(err, ErrExists), errors.Is(err, ErrConflict):
			list, err = u.load(ctx, key)
		default:
			return nil, err
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, u.m.storeFailed(ctx, "update", ctx.Err())
		}
	}
}

// encode makes the document of a list.
func (u *userLists) encode(key string, l *userList) error {
	now := u.m.cfg.Now()
	meta := meta{present: true, created: toMillis(now), token: newToken()}
	if l.doc != nil {
		meta.created = l.doc.meta.created
	}
	if l.Sessions == nil {
		l.Sessions = []listEntry{}
	}
	l.Meta = meta.append(nil)
	text, err := encodeValue(l)
	if err != nil {
		return err
	}
	l.doc = &document{
		meta: meta, text: text,
		record: Record{ID: key, Data: u.m.seal(key, text), TTL: l.life(now)},
	}
	return nil
}

// raise revokes what was and what is under way: a sign-in that has the list as it
// was before cannot end well.
func (l *userList) raise(now time.Time) {
	l.Mark, l.Revoked = rand.Text(), now.UnixNano()
}

// An entrance is a session that is to get into the list of its user.
type entrance struct {
	user   string
	entry  listEntry
	parent string    // the key of the session that it follows, or empty
	since  *userList // the list as of SignIn or, for a renewal, the commit
	again  bool      // since is as of a commit, because that of SignIn could not be loaded
	at     time.Time // when SignIn was called; zero for a renewal
}

// beaten tells that somebody revoked what this entrance is based on.
func (e *entrance) beaten(l *userList, now time.Time, timeout time.Duration) bool {
	if l.ends(e.parent) || e.since.ends(e.parent) {
		return true
	}
	if e.at.IsZero() {
		// Without an entry, which is dropped when it is retired or one of many that
		// were revoked, the mark alone tells.
		return l.find(e.parent) < 0 && l.Mark != e.since.Mark
	}
	// Between SignIn and when the list as of SignIn was read, only the clocks tell.
	// Unless it had to be asked for again, that is no longer than one call of the
	// store may take; a revocation later than that, but seen then, is one by a clock
	// that is ahead.
	between := time.Unix(0, l.Revoked).Sub(e.at)
	return l.Mark != e.since.Mark || between > 0 && (e.again || between <= timeout) || now.Sub(e.at) >= markLife
}

// enter puts a session into the list of its user. Its record is stored already.
func (m *Manager) enter(ctx context.Context, e entrance) error {
	var (
		evicted []listEntry
		by      = e.user
	)
	_, err := m.lists.edit(ctx, m.listKey(e.user), e.since, func(l *userList) (bool, error) {
		evicted = nil
		now := m.cfg.Now()
		if e.beaten(l, now, m.cfg.StoreTimeout) {
			return false, ErrRevoked
		}
		l.tidy(now)
		// A renewal is one more id, not one more session: unless the old id was
		// dropped already, as retired, and another session may have its place.
		sameSession := e.at.IsZero() && (l.find(e.parent) >= 0 || m.refusesNew())
		l.insert(e)
		if sameSession {
			return true, nil
		}
		var err error
		evicted, err = m.makeRoom(ctx, e, l)
		return true, err
	})
	if errors.Is(err, ErrTooManySessions) {
		m.notify(ctx, Event{Kind: EventLimit, User: e.user})
	}
	if err != nil || len(evicted) == 0 {
		return err
	}
	m.notify(ctx, Event{Kind: EventLimit, User: e.user})
	if err := m.end(ctx, evicted); err != nil {
		return err
	}
	for _, o := range evicted {
		m.notify(ctx, Event{Kind: EventRevoked, User: e.user, Handle: o.Handle, By: by, Cause: CauseLimit})
	}
	return nil
}

// insert puts an entry where the session belongs: at the end where somebody signs
// in, also again, else behind its parent. The parent is what a browser has: so the
// ids that it follows are retired, and what else followed these came too late.
func (l *userList) insert(e entrance) {
	i, signsIn := l.find(e.parent), !e.at.IsZero()
	next := make([]listEntry, 0, len(l.Sessions)+1)
	for at, o := range l.Sessions {
		if at >= i || o.Handle != e.entry.Handle || o.State != live {
			next = append(next, o)
		}
		if at == i && !signsIn {
			next = append(next, e.entry)
		}
	}
	if i < 0 || signsIn {
		next = append(next, e.entry)
	}
	l.Sessions = next
}

// makeRoom keeps a list within the limits, and ends what somebody else left
// ending. It returns what has to end for the limits, which it marks.
func (m *Manager) makeRoom(ctx context.Context, e entrance, l *userList) (evicted []listEntry, err error) {
	most := m.cfg.MaxSessionsPerUser
	if most == 0 {
		most = maxListed
	}
	left := l.revoke(func(listEntry) bool { return false })
	if len(left) == 0 && len(l.handles()) <= most && len(l.Sessions) <= max(fewListed, 2*l.Kept) {
		return nil, nil
	}
	if err := m.end(ctx, left); err != nil {
		return nil, err
	}
	l.ended(m.cfg.Now(), func(listEntry) bool { return true })
	records, err := m.look(ctx, e.user, l.live())
	if err != nil {
		return nil, err
	}
	l.drop(func(o listEntry) bool {
		_, lives := records[o.Key]
		return o.State == live && !lives && o.Key != e.entry.Key
	})
	l.Kept = len(l.Sessions)
	own := l.clone()
	own.drop(func(o listEntry) bool { return records[o.Key].strayed })
	others := slices.DeleteFunc(own.handles(), func(handle string) bool { return handle == e.entry.Handle })
	surplus := len(others) + 1 - most
	if surplus <= 0 {
		return nil, nil
	}
	switch {
	case m.refusesNew():
		return nil, ErrTooManySessions
	case m.cfg.AtUserLimit == DropLeastRecentlyUsed:
		seen := make(map[string]time.Time)
		for _, o := range l.Sessions {
			seen[o.Handle] = later(seen[o.Handle], records[o.Key].lastSeen)
		}
		slices.SortStableFunc(others, func(a, b string) int { return seen[a].Compare(seen[b]) })
	}
	victims := others[:surplus]
	return l.revoke(func(o listEntry) bool { return slices.Contains(victims, o.Handle) }), nil
}

// refusesNew tells that nobody has to go at the limit.
func (m *Manager) refusesNew() bool {
	return m.cfg.MaxSessionsPerUser == 0 || m.cfg.AtUserLimit == RefuseNew
}

// A looked is a session of a list whose record was looked at.
type looked struct {
	doc      *document
	left     time.Duration // how long it will live
	lastSeen time.Time
	strayed  bool // it is not the user's: Express changed that, and may change it back
}

// look returns those of the sessions that are live, by their keys.
func (m *Manager) look(ctx context.Context, user string, sessions []listEntry) (map[string]looked, error) {
	found := make(map[string]looked, len(sessions))
	for batch := range slices.Chunk(sessions, lookBatch) {
		keys := make([]string, len(batch))
		for i, e := range batch {
			keys[i] = e.Key
		}
		records, err := m.lists.store.Inspect(ctx, keys)
		if err != nil {
			return nil, m.storeFailed(ctx, "inspect", err)
		}
		now := m.cfg.Now()
		for _, rec := range records {
			doc, err := m.read(rec, m.cfg.Cookie.MaxAge)
			if errors.Is(err, ErrUndecodable) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if !m.isLive(doc) {
				continue
			}
			// Its life was given to it when it was last seen. Where the absolute
			// timeout cut it short, it may have been seen later than that.
			seen := later(now.Add(rec.TTL-m.lifespan(doc).idle), doc.meta.created.time())
			if seen.After(now) {
				seen = now
			}
			found[rec.ID] = looked{doc: doc, left: rec.TTL, lastSeen: seen, strayed: m.userOf(doc) != user}
		}
	}
	return found, nil
}

// end deletes the records of sessions.
func (m *Manager) end(ctx context.Context, sessions []listEntry) error {
	for batch := range slices.Chunk(sessions, endBatch) {
		calls := make([]func() error, len(batch))
		for i, e := range batch {
			calls[i] = func() error {
				err := m.storeFailed(ctx, "delete", m.cfg.Store.Delete(ctx, e.Key))
				if err == nil {
					m.retired.put(e.Key, m.cfg.Now(), lifespan{})
				}
				return err
			}
		}
		for _, err := range together(calls...) {
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// together makes calls at once and returns what they returned. A panic in one of
// them is the caller's.
func together(calls ...func() error) []error {
	var (
		errs     = make([]error, len(calls))
		panicked = make([]any, len(calls))
		wg       sync.WaitGroup
	)
	for i, call := range calls[1:] {
		wg.Go(func() {
			defer func() { panicked[i+1] = recover() }()
			errs[i+1] = call()
		})
	}
	func() {
		defer func() { panicked[0] = recover() }()
		errs[0] = calls[0]()
	}()
	wg.Wait()
	for _, p := range panicked {
		if p != nil {
			panic(p)
		}
	}
	return errs
}

// keepListed puts a session into the list of its user where it is not, or not for
// long enough: one that lives longer than most, one that Express made, one whose
// list was lost. One that is being revoked ends here.
func (m *Manager) keepListed(ctx context.Context, doc *document, life lifespan) error {
	user, key := m.userOf(doc), m.listKey(m.userOf(doc))
	list, err := m.lists.loadOrClear(ctx, key)
	if err != nil {
		return err
	}
	revoked := false
	_, err = m.lists.edit(ctx, key, list, func(l *userList) (bool, error) {
		now := m.cfg.Now()
		i := l.find(doc.record.ID)
		if i >= 0 {
			revoked = l.Sessions[i].State != live
		} else {
			revoked = doc.meta.created != 0 && doc.meta.created.time().Add(time.Millisecond).UnixNano() < l.Revoked
		}
		if revoked {
			return false, nil
		}
		if i < 0 {
			if len(l.Sessions) >= maxListed {
				return false, nil
			}
			l.Sessions = append(l.Sessions, listEntry{Key: doc.record.ID, Handle: m.handleIn(doc)})
			i = len(l.Sessions) - 1
		}
		if e := &l.Sessions[i]; life.outlives(e.Until, now) {
			e.Until = life.listed(now)
			return true, nil
		}
		return false, nil
	})
	if err == nil && revoked {
		err = m.end(ctx, []listEntry{{Key: doc.record.ID}})
		if err == nil {
			m.notify(ctx, Event{Kind: EventRevoked, User: user, Handle: m.handleIn(doc), Cause: CauseUnfinished})
		}
	}
	if err == nil {
		m.relisted.put(relistedAs(doc, user), m.cfg.Now(), life)
	}
	return err
}

// isListDue tells whether a session has to be put into the list of its user again.
// The record says until when it is there, but for what this process did since.
func (m *Manager) isListDue(doc *document, life lifespan, now time.Time) bool {
	if m.lists == nil || doc.meta.user == nil && len(m.userPath) == 0 {
		return false
	}
	until := doc.listedUntil()
	if len(m.userPath) > 0 && until > 0 && doc.userName() != m.userOf(doc) {
		until = 0 // by another user
	}
	if !life.outlives(until, now) {
		return false
	}
	user := m.userOf(doc)
	if user == "" {
		return false
	}
	last := m.relisted.last(relistedAs(doc, user))
	return last.at.IsZero() || life.outlives(last.life.listed(last.at), now)
}

// relistedAs returns what a session is remembered by that was put into the list of
// a user: an Express app may make it another user's.
func relistedAs(doc *document, user string) string { return doc.record.ID + "\x00" + user }

// listLoaded puts the session that was loaded into the list of its user, beside
// the handler, where that is due.
func (s *Session) listLoaded(now time.Time) {
	x, doc := s.x, s.base
	life := x.m.lifespan(doc)
	if !x.m.isListDue(doc, life, now) {
		return
	}
	s.listing = beside(func() error {
		limit := x.m.detach(x.ctx)
		defer limit.stop()
		return x.m.keepListed(limit, doc, life)
	})
}

// awaitListing waits for that. Where it failed, a later request does it.
func (s *Session) awaitListing(ctx context.Context) {
	if s.listing == nil {
		return
	}
	select {
	case result := <-s.listing:
		if s.listing = nil; result.panicked {
			panic(result.value)
		}
		if result.err != nil {
			s.x.m.cfg.Logger.WarnContext(ctx, "cloakroom: a session could not be put into the list of its user; the next request tries again", slog.Any("error", result.err))
		}
	case <-ctx.Done():
	}
}

// keepListed sees to it, before the session is stored, that the list of its user
// has it for as long as it may live then.
func (s *Session) keepListed(ctx context.Context) error {
	m := s.x.m
	if m.lists == nil || s.base.meta.user == nil && len(m.userPath) == 0 {
		return nil
	}
	next := &document{meta: s.base.meta, age: s.currentAge()}
	if life := m.lifespan(next); m.isListDue(s.base, life, m.cfg.Now()) {
		return m.keepListed(ctx, s.base, life)
	}
	return nil
}
