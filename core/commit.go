package core

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/state"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/internal/vault"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What a request did to its session reaches the store here. Package state decides
// what is done next; this file gathers what it decides by, and does it, until there
// is nothing left to do. docs/design.md has the table.
//
//	commit        the headers are about to be sent, so Exchange.mu is taken
//	  run         asks state.Next, again and again
//	    do        takes one step: create, replace, write (persist.go, enter.go), end (end.go) ...
//	  setHeaders  asks state.Verdict (answer.go)
//
// The lock is held all the way, also while the store is called. A step that needs the app
// lets go of it and returns an error that has the step decided anew.

// errRestanding says that the session turned out to have another standing than the
// step was made for, which is noted: the next step is another one.
var errRestanding = errors.New("the standing of the session changed")

// errNeedsID says that the step needs an id, which Config.GenerateID makes while no
// lock is held.
var errNeedsID = errors.New("an id is needed")

// respond commits because these headers are about to be sent. Where last is set,
// nobody can change them any more. Where it fails, the headers are as they were
// before the handler ran, and the response must be the error page.
func (x *Exchange) respond(h http.Header, last bool) error {
	err := x.commit(x.ctx, h, last)
	if err != nil {
		x.resetHeaders(h)
	}
	return err
}

// firstByte commits because the response begins.
func (x *Exchange) firstByte(h http.Header) error {
	err := x.respond(h, true)
	if err != nil { // the handler may have the lock, see resetHeaders
		x.answerOf(h).send()
	}
	return err
}

// commit stores the changes made so far and sets the headers that follow from
// them: Set-Cookie, Vary and Cache-Control. Once it failed it keeps failing with
// the same error. Where last is set, these are the headers that the client gets:
// before anybody else gets at the session, it is too late for a cookie. After a
// panic it is not.
func (x *Exchange) commit(ctx context.Context, h http.Header, last bool) (err error) {
	if x.Skipped() {
		return nil
	}
	loaded := x.isLoaded()
	s, ok := x.lock()
	if !ok {
		return ErrReentered
	}
	if s == nil {
		return x.commitNothing(h, last)
	}
	var op *operation
	defer func() {
		if op != nil {
			op.end(err)
		}
	}()
	defer x.unlock()
	s.proven = false // what was found before may not be so any more
	if loaded = loaded || x.isReady(); loaded && x.err == nil && s.needsStore() {
		op = s.operateLocked(ctx, OpCommit)
	}
	err = x.commitLocked(op, h, s, loaded)
	if last {
		x.answerOf(h).send()
	}
	return err
}

// commitNothing is commit where there is no session: nobody has asked for it, or it could not
// be loaded and the handler was told. The caller holds the lock, which is released.
func (x *Exchange) commitNothing(h http.Header, last bool) error {
	defer x.unlock()
	if x.err == nil && x.accessed.Load() {
		x.addVary(h, new([1]string))
	}
	if last {
		x.answerOf(h).send()
	}
	return x.err
}

// commitLocked is commit for a caller that holds the lock. op is nil where the store is not
// needed.
func (x *Exchange) commitLocked(op *operation, h http.Header, s *Session, loaded bool) error {
	if x.err != nil {
		return x.err
	}
	if !loaded { // Get and Load have told the handler why
		if x.accessed.Load() {
			x.addVary(h, new([1]string))
		}
		return nil
	}
	if op != nil {
		if err := x.runCommit(op, s); err != nil {
			return err
		}
	}
	if s.standing == state.Fresh && s.modified() && x.mayBeWithheld() {
		x.hint(&x.m.hints.withheld, "cloakroom: changes were not stored, because another site led the browser here without its cookie, and a new session "+
			"would take the place of the one that it has; SignIn and Save store them all the same, and docs/recipes.md has what suits such pages")
	}
	s.setHeaders(h)
	return nil
}

// runCommit does what the commit has to do with the store, and remembers what came
// of it.
func (x *Exchange) runCommit(op *operation, s *Session) error {
	err := errPanicked // unless run returns
	defer func() { x.err = err }()
	if err = s.run(op, false); err != nil {
		x.m.logFailure(op, slog.LevelError, "cloakroom: session could not be saved", err)
	}
	return err
}

// operate does something to the session with the store, as one operation: the way of all that
// acts at once, such as Save and Destroy. do is called with the lock held. The operation ends,
// and tells the app what it has to tell, after the lock was released.
func (s *Session) operate(ctx context.Context, kind Operation, do func(*operation) error) (err error) {
	op := s.x.operate(ctx, kind)
	err = errPanicked // unless do returns
	defer func() { op.end(err) }()
	if !s.lock() {
		err = ErrReentered
		return err
	}
	defer s.x.unlock()
	err = do(op)
	return err
}

// operateLocked begins an operation for a caller that holds the lock. It is released while
// the Tracer is told, if there is one.
func (s *Session) operateLocked(ctx context.Context, kind Operation) (op *operation) {
	if s.x.m.tracer == nil {
		return s.x.operate(ctx, kind)
	}
	s.unlocked(func() { op = s.x.operate(ctx, kind) })
	return op
}

// unlocked calls a function of the app while the lock is released. What the caller
// knew of the session may not be so any more.
func (s *Session) unlocked(call func()) {
	defer s.x.mu.Lock() // whatever panics: the caller releases it
	s.x.unlock()
	call()
}

// needsStore reports whether a commit has anything to do with the store.
func (s *Session) needsStore() bool {
	return s.listing != nil || state.Next(s.stepInputs(false)) != state.Nothing
}

// modified reports whether what would be stored differs from what is stored, or the
// id is to be another.
func (s *Session) modified() bool {
	return s.renewal != state.KeepID ||
		s.changes.FirstError() != nil ||
		s.changes.AgeSet && s.base != nil && s.changes.Age != s.base.Age ||
		s.changes.Modifies(s.base)
}

// stepInputs are what the next step depends on.
func (s *Session) stepInputs(explicit bool) state.StepInputs {
	x, cfg := s.x, &s.x.m.cfg
	in := state.StepInputs{
		Standing:  s.standing,
		Deed:      s.deed,
		Renewal:   s.renewal,
		Failed:    s.rarities().failure != nil || s.reentered.Load(),
		Explicit:  explicit,
		Modified:  s.modified(),
		SignIn:    s.login != nil,
		NewLife:   s.changes.AgeSet,
		Touched:   s.touched,
		Discarded: s.discarded,
		Extending: s.extending != nil,
		Resave:    cfg.Resave,
	}
	switch s.standing {
	case state.Live:
		in.Due = s.isCookieDue()
		in.Unproven = s.isUnproven()
	default:
		in.Withheld = s.standing == state.Fresh && x.mayBeWithheld()
		in.SaveUninitialized = cfg.SaveUninitialized && !x.needsHTTPS()
	}
	state.Assert(in, "inputs of a step")
	return in
}

// isUnproven reports whether the cookie would be sent again although nothing shows
// yet that the browser has no newer one.
func (s *Session) isUnproven() bool {
	if s.proven || !s.maySendAgain() || s.x.headersOut() {
		return false
	}
	in := s.verdictInputs()
	in.Proven = true
	return in.Deed != state.Created && state.Verdict(in).Cookie.Sets()
}

// run does what there is to do, step by step. explicit is for Save: it stores also
// what did not change. It is called with the lock held, and everything below it in
// this file and in persist.go, enter.go and end.go too.
//
// It ends because each step changes its own inputs: what it stored is forgotten as a change,
// and what it found is another standing.
func (s *Session) run(op *operation, explicit bool) (err error) {
	defer func() {
		if errors.Is(err, ErrUnknownOutcome) {
			s.needRarities().failure = err // what may have been stored must not be done again
		}
	}()
	defer s.awaitListing(op)
	for {
		step := state.Next(s.stepInputs(explicit))
		if step == state.Nothing {
			return nil
		}
		switch err := s.do(op, step, explicit); {
		case err == nil:
			explicit = explicit && step != state.Create && step != state.Replace && step != state.Write
		case errors.Is(err, errRestanding):
		case errors.Is(err, errNeedsID):
			if err := s.generateID(); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// do takes one step.
func (s *Session) do(op *operation, step state.Step, explicit bool) error {
	switch step {
	case state.AwaitExtension:
		return s.awaitExtension(op, explicit)
	case state.Create:
		return s.create(op)
	case state.Replace:
		return s.replace(op)
	case state.Write:
		return s.write(op, explicit)
	case state.Extend:
		return s.extendNow(op)
	case state.Verify:
		return s.verify(op)
	case state.End:
		return s.end(op)
	case state.FailGone:
		return ErrSessionGone
	case state.FailUnavailable:
		return ErrDegraded
	case state.FailLocked:
		return ErrUnproven
	case state.FailAgain:
		if s.reentered.Load() {
			return ErrReentered
		}
		return s.rarities().failure
	}
	return nil
}

// become notes what the session has turned out to be. Only this changes the standing.
func (s *Session) become(next state.Standing) {
	state.Assert(state.Transition{From: s.standing, To: next}, "standing")
	if s.standing = next; next != state.Live {
		s.extending, s.proven = nil, false
	}
}

// lost notes that the session has ended, or moved on, under the request.
func (s *Session) lost(ctx context.Context, next state.Standing) error {
	if s.standing != next {
		s.become(next)
		s.x.m.notify(ctx, Event{Kind: EventGone})
	}
	return errRestanding
}

// awaitExtension waits for the extension that runs beside the handler.
func (s *Session) awaitExtension(op *operation, explicit bool) error {
	x := s.x
	_, err := s.extending.Await(op)
	if err != nil && op.Err() != nil {
		err = x.m.sessions.Check(op, "touch", err)
	}
	s.extending = nil
	wanted := explicit || s.modified()
	switch {
	case err == nil:
		s.notify(op, EventExtended)
		return nil
	case errors.Is(err, store.ErrNotFound):
		return s.lost(op, state.Gone)
	case wanted:
		return err
	case s.deed != state.NotWritten:
		return nil // nothing is lost: what was written has its whole life
	case x.m.cfg.ServeAnonymously != nil:
		serve := false
		s.unlocked(func() { serve = x.m.cfg.ServeAnonymously(x.r, err) })
		if serve {
			return nil // nothing is lost but some of the session's life
		}
	}
	return err
}

// extendNow gives the session its whole life from now on, because Touch was called.
func (s *Session) extendNow(op *operation) error {
	m := s.x.m
	s.touched = false
	if s.x.jar != nil && s.x.canIssue(s.id, true) != nil {
		return nil //nolint:nilerr // nothing is lost but some of the session's life
	}
	err := m.extend(op, s.key, m.lifespan(s.base), record.Lifespan{}, m.cfg.Now())
	if errors.Is(err, store.ErrNotFound) {
		return s.lost(op, state.Gone)
	}
	if err != nil {
		return err
	}
	if s.x.jar != nil {
		s.proven, s.lifeGiven = true, true // the cookie begins its life anew
	}
	s.notify(op, EventExtended)
	return nil
}

// verify looks whether the session still has its id, because its cookie is to be
// sent again and the browser may have a newer one by now.
func (s *Session) verify(op *operation) error {
	doc, err := s.x.m.sessions.Load(store.BypassCache(op), s.key, s.x.cookie.MaxAge)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, ErrUndecodable):
		return s.lost(op, state.Gone)
	case err != nil:
		return err
	case doc.Meta.IsRetired():
		if err := s.followRotation(op, doc); err != nil {
			return err
		}
		return s.lost(op, retiredStanding(doc))
	}
	s.proven = true
	return nil
}

// generateID makes the id that the next step needs. The lock is released while
// Config.GenerateID is called.
func (s *Session) generateID() error {
	var (
		id  string
		err error
	)
	s.unlocked(func() { id, err = s.x.m.generateID(s.x.r) })
	if err == nil {
		s.needRarities().spareID = id
	}
	return err
}

// newID returns an id for a session: at once where it is a random one, and else one
// that generateID has made, or errNeedsID.
func (s *Session) newID() (string, error) {
	if s.x.m.cfg.GenerateID == nil {
		return ticket.NewID(), nil
	}
	id := s.rarities().spareID
	if id == "" {
		return "", errNeedsID
	}
	s.rare.spareID = ""
	return id, nil
}

// takeTurn waits until no other commit of this process is at the session, and goes
// on from what the last one wrote. The caller leaves the turn.
func (s *Session) takeTurn(op *operation) (*vault.Turn, error) {
	v := s.x.m.sessions
	turn, err := v.Take(op, s.key)
	if err != nil {
		return nil, conflict(err)
	}
	// What the one before wrote need not be loaded: it is what the store has, unless another
	// process was faster, which the next write finds out.
	if latest := turn.Latest(); latest != nil && s.x.jar == nil && latest.Meta.Token != s.base.Meta.Token {
		panicked := true
		defer func() {
			if panicked { // a function given to Update: the next in line must not wait for ever
				v.Leave(s.key, turn)
			}
		}()
		s.rebase(v.Reread(latest, s.x.cookie.MaxAge))
		panicked = false
	}
	return turn, nil
}

// isCookieDue reports whether the browser has used up a tenth of the life that its
// cookie was given, which a token in a header is not. What is no activity does not count,
// and neither does what comes when no cookie can be set any more, or when this request has begun it anew.
func (s *Session) isCookieDue() bool {
	x, maxAge := s.x, s.currentAge().Max
	if x.carrier != CarrierCookie || maxAge <= 0 || x.passive || s.lifeGiven || x.headersOut() {
		return false
	}
	expires, deadline, now := record.CookieExpires(s.base.Cookie()), x.m.deadline(s.base.Meta.Created), x.m.cfg.Now()
	if !deadline.IsZero() && !expires.Before(deadline) {
		return false // it cannot live longer
	}
	return expires.Sub(now) < maxAge-maxAge/reissueFraction
}

// reissueFraction is the part of its life after which the cookie of an active
// session is sent again.
const reissueFraction = 10
