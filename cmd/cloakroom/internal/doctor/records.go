package doctor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What can be found out of any store, by its own verbs.

// probeLife is how long what doctor writes lives at most. It removes it at once.
const probeLife = 10 * time.Second

// abilities does what a request does, with a record of its own, to see whether the user is
// permitted to.
func (e *examination) abilities() {
	worked := true
	for _, part := range []struct {
		what string
		st   store.Store
	}{{"sessions", e.Store}, {"the lists of users' sessions", e.Store.UserIndex()}} {
		if verb, err := e.probe(part.st); err != nil {
			worked = false
			e.find(Failure, "privileges", e.permit(), "%s of %s does not work: %s", verb, part.what, safe(err))
		}
	}
	if _, err := e.Store.Inspect(e.ctx, []string{probeID()}); err != nil {
		worked = false
		e.find(Failure, "privileges", e.permit(), "asking how long a session will live does not work: %s", safe(err))
	}
	if worked {
		e.find(OK, "privileges", "", "create, load, update, extend, replace and remove work, for sessions and for lists")
	}
}

// permit says where the privileges are listed that the apps need.
func (e *examination) permit() string {
	page := map[string]string{"valkey": "docs/valkey.md", "mongodb": "docs/mongo.md"}[e.Kind]
	if page == "" {
		page = "docs/sql.md"
	}
	return "compare the user's privileges with those in " + page + ", and see whether the server takes writes"
}

func probeID() string { return "doctor-" + rand.Text() }

// probe uses every verb on a record, and returns the first that does not work.
func (e *examination) probe(st store.Store) (verb string, err error) {
	record := func(n int, id string) store.Record {
		return store.Record{ID: id, Data: fmt.Appendf(nil, `{"cookie":{"path":"/"},"doctor":%d}`, n), TTL: probeLife}
	}
	first, second := record(1, probeID()), record(2, probeID())
	defer func() {
		for _, rec := range []store.Record{first, second} {
			if failed := st.Delete(e.ctx, rec.ID); failed != nil && err == nil {
				verb, err = "delete", failed
			}
		}
	}()
	changed := record(3, first.ID)
	for _, step := range []struct {
		verb string
		do   func() error
	}{
		{"create", func() error { return st.Create(e.ctx, first) }},
		{"load", func() (err error) { first, err = st.Load(e.ctx, first.ID); return err }},
		{"update", func() error { return st.Update(e.ctx, first, changed) }},
		{"extend", func() error { return st.Touch(e.ctx, first.ID, probeLife) }},
		{"replace", func() error {
			r, ok := st.(store.Replacer)
			if !ok {
				return nil
			}
			now, err := st.Load(e.ctx, first.ID)
			if err != nil {
				return err
			}
			return supported(r.Replace(e.ctx, now, record(4, first.ID), second))
		}},
		{"remove", func() error {
			r, ok := st.(store.Remover)
			now, err := st.Load(e.ctx, first.ID)
			if err != nil || !ok {
				return err
			}
			return supported(r.Remove(e.ctx, now))
		}},
	} {
		if err := step.do(); err != nil {
			return step.verb, err
		}
	}
	return "", nil
}

func supported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// records looks at what is stored.
func (e *examination) records() {
	const check = "records"
	s, err := e.m.Survey(e.ctx, e.o.Sample)
	if errors.Is(err, errors.ErrUnsupported) {
		e.find(Warning, check, "give the store a prefix that ends with \":\"; until then count, list and copy do not work either", "the records cannot be walked: %s", safe(err))
		return
	}
	if err != nil {
		e.find(Failure, check, e.permit(), "the records cannot be walked: %s", safe(err))
		return
	}
	e.find(OK, check, "", "%d sessions were looked at: %d of users, %d that Express made, %d lists of users' sessions",
		s.Sessions.Looked, s.SignedIn, s.Express, s.Lists.Looked)
	e.keys("sessions", s.Sessions)
	e.keys("lists of users' sessions", s.Lists)
	e.ids(s)
	e.endless()
}

// keys compares what is sealed, and what is not, with the keys that were given.
func (e *examination) keys(what string, t core.Tally) {
	const check = "sealing"
	if t.UnknownKey > 0 {
		e.find(Failure, check, "put the key back: into Config.SealKeys of the apps, or into RetiredSealKeys where others may know it; and see whether doctor was given all keys",
			"%d of %d %s are sealed under a key that was not given: requests for them fail with 503", t.UnknownKey, t.Looked, what)
	}
	if t.Unsealed > 0 {
		e.find(Failure, check, "see whether an instance of an app has no Config.SealKeys, or another app uses the same store",
			"%d of %d %s are not sealed, though there is a key: they count as gone", t.Unsealed, t.Looked, what)
	}
	if t.FormerKey > 0 {
		e.find(Warning, check, "run cloakroom reseal once every instance seals under the first key",
			"%d of %d %s are sealed under a key that is not the first", t.FormerKey, t.Looked, what)
	}
	if t.RetiredKey > 0 {
		e.find(Note, check, "", "%d of %d %s are sealed under a retired key, and count as gone", t.RetiredKey, t.Looked, what)
	}
	if t.Undecodable > 0 {
		e.find(Failure, "foreign records", "see what writes there, and give it another prefix, collection or table",
			"%d of %d %s are no records of Cloakroom or Express: another program writes there, or they were damaged", t.Undecodable, t.Looked, what)
	}
}

// ids looks whether the apps agree on Config.HashIDs.
func (e *examination) ids(s core.Survey) {
	const check = "hashed ids"
	hashed, plain := s.HashedIDs, s.Sessions.Looked-s.HashedIDs
	switch {
	case e.o.HashIDs && plain > 0:
		e.find(Failure, check, "set Config.HashIDs on every instance; sessions under the other form are not found any more, and end by themselves",
			"%d of %d ids are not hashed, and the apps are said to have Config.HashIDs: who can read the store can use those sessions", plain, s.Sessions.Looked)
	case e.o.PlainIDs && hashed > 0:
		e.find(Failure, check, "see which instance has Config.HashIDs",
			"%d of %d ids look hashed, and the apps are said not to have Config.HashIDs: those sessions are not found", hashed, s.Sessions.Looked)
	case hashed > 0 && plain > 0:
		e.find(Warning, check, "set Config.HashIDs alike on every instance",
			"%d ids look hashed and %d do not: either the setting was changed lately, or the instances have different ones, and lose each other's sessions", hashed, plain)
	case hashed > 0:
		e.find(OK, check, "", "all ids are hashed: every instance needs Config.HashIDs")
	case s.Sessions.Looked > 0:
		e.find(OK, check, "", "no id is hashed: no instance may have Config.HashIDs")
	}
}

// longest is a life that no session has.
const longest = 20 * 365 * 24 * time.Hour

// endless looks for sessions without an end, which nothing ever removes.
func (e *examination) endless() {
	var ids []string
	for rec, err := range e.Store.All(e.ctx) {
		if err != nil {
			return
		}
		if ids = append(ids, rec.ID); len(ids) == 200 {
			break
		}
	}
	recs, err := e.Store.Inspect(e.ctx, ids)
	if err != nil {
		return
	}
	n := 0
	for _, rec := range recs {
		if rec.TTL > longest {
			n++
		}
	}
	if n > 0 {
		e.find(Warning, "lives", "see what made them: PERSIST, or a program that writes without an expiry; the next activity of a session gives it an end again",
			"%d of %d sessions have no end", n, len(recs))
	}
}

// listsLookedAt is how many sessions of users are looked for in their lists.
const listsLookedAt = 20

// lists looks whether sessions of users are in the lists of these, which belong to the name
// of the cookie.
func (e *examination) lists() {
	const check = "users' lists"
	looked, missing, walked := 0, 0, 0
	for s, err := range e.m.All(e.ctx) {
		if err != nil {
			return // it was said before
		}
		if walked++; walked > e.o.Sample && e.o.Sample > 0 {
			break
		}
		user, handle := s.User(), s.Handle()
		if user == "" || s.CreatedAt().IsZero() { // what Express made is in a list from the first request to a Go app on
			continue
		}
		looked++
		if !e.listed(user, handle) {
			missing++
		}
		if looked == listsLookedAt {
			break
		}
	}
	switch {
	case missing == 0 && looked > 0:
		e.find(OK, check, "", "the sessions of users are in the lists of these (%d looked for)", looked)
	case missing == looked && looked > 0:
		e.find(Warning, check, "give the apps' Cookie.Name and Config.UserKey to doctor (--cookie, --user-key)",
			"no session of a user is in a list under this name of the cookie (%d looked for): list --user and revoke-user would find nothing", looked)
	case missing > 0:
		e.find(Warning, check, "lists that were evicted or lost come back as the sessions are used; revoke-user ends the others too when it is given --walk",
			"%d of %d sessions of users are not in the lists of these", missing, looked)
	}
}

func (e *examination) listed(user, handle string) bool {
	for info, err := range e.m.Sessions(e.ctx, user) {
		if err != nil {
			return false
		}
		if info.Handle == handle {
			return true
		}
	}
	return false
}
