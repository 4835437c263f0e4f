package interop

import (
	"testing"
)

// A fleet has one instance of each side, all with the secrets that they have at
// the moment.
type fleet struct {
	*testing.T
	db    database
	sides map[string]side
}

// configure gives some sides other secrets. For Express and one Go side that is
// a restart, the others take them as they run.
func (f *fleet) configure(secrets []string, names ...string) {
	f.Helper()
	for _, name := range names {
		if s, running := f.sides[name]; running && !s.express && name != ginV1 {
			if err := s.manager.SetSecrets(secrets); err != nil {
				f.Fatal(err)
			}
			continue
		}
		f.sides[name] = start(f.T, name, f.db, settings{Secrets: secrets})
	}
}

// login makes a visitor with a session on each side.
func (f *fleet) login(all []*visitor) []*visitor {
	f.Helper()
	for _, s := range f.sides {
		v := newVisitor(f.T)
		v.must(s, "POST", "/login/bob", "")
		all = append(all, v)
	}
	return all
}

// lost returns how many visits of those visitors found no session, with every
// visitor going to every side and having his cookie back before each visit.
func (f *fleet) lost(visitors []*visitor) (lost int) {
	f.Helper()
	for _, v := range visitors {
		for _, s := range f.sides {
			if v.again().get(s, "user") != `"bob"` {
				lost++
			}
		}
	}
	return lost
}

// wander lets every visitor go through all sides, some times, with the cookies
// that he is given on the way.
func (f *fleet) wander(visitors []*visitor) (lost int) {
	f.Helper()
	for range 2 {
		for _, v := range visitors {
			for _, s := range f.sides {
				if v.get(s, "user") != `"bob"` {
					lost++
				}
			}
		}
	}
	return lost
}

const (
	oldSecret = "the old secret of all, with 32 bytes"
	newSecret = "the new secret of all, with 32 bytes"
)

var everywhere = []string{express, ginV1, echoV4, echoV5}

// TestSecretsRotateOnAMixedFleet changes the instances one by one, and looks
// after each whether a session is lost anywhere.
func TestSecretsRotateOnAMixedFleet(t *testing.T) {
	t.Parallel()
	needNode(t)
	db := newValkey(t) // the database plays no part in it
	f := &fleet{t, db, map[string]side{}}
	f.configure([]string{oldSecret}, everywhere...)
	visitors := f.login(nil)
	for _, step := range []struct {
		name    string
		secrets []string
	}{
		{"add the new one second", []string{oldSecret, newSecret}},
		{"promote it", []string{newSecret, oldSecret}},
	} {
		for _, name := range everywhere {
			f.configure(step.secrets, name)
			visitors = f.login(visitors)
			if lost := f.lost(visitors) + f.wander(visitors); lost > 0 {
				t.Errorf("%s: after %s: %d visits found no session", step.name, name, lost)
			}
		}
	}

	// The old one may go when no cookie is left that it signed. Cloakroom
	// signs those that it sees again, express-session does not: who only went
	// there still has one.
	stranded := newVisitor(t)
	f.configure([]string{oldSecret}, express)
	stranded.must(f.sides[express], "POST", "/login/bob", "")
	f.configure([]string{newSecret, oldSecret}, express)
	stranded.expect(f.sides[express], "user", `"bob"`)
	f.configure([]string{newSecret}, everywhere...)
	if lost := f.lost(visitors); lost > 0 {
		t.Errorf("without the old one: %d visits of visitors that had been to a Go side found no session", lost)
	}
	if lost := f.lost([]*visitor{stranded}); lost != len(everywhere) {
		t.Errorf("without the old one: a visitor who was never on a Go side found a session on %d of %d sides", len(everywhere)-lost, len(everywhere))
	}
}

// TestRotatingInOneStepLosesSessions shows why there are two: where one side
// signs by a secret that another does not have yet, its visitors are logged out
// there.
func TestRotatingInOneStepLosesSessions(t *testing.T) {
	t.Parallel()
	needNode(t)
	db := newValkey(t) // the database plays no part in it
	for _, first := range everywhere {
		f := &fleet{t, db, map[string]side{}}
		f.configure([]string{oldSecret}, everywhere...)
		before := f.login(nil)
		f.configure([]string{newSecret, oldSecret}, first)
		after := newVisitor(t)
		after.must(f.sides[first], "POST", "/login/bob", "")
		if lost := f.lost([]*visitor{after}); lost != len(everywhere)-1 {
			t.Errorf("a login at %s is unknown to %d sides, want all others", first, lost)
		}
		if lost := f.lost(before); lost != 0 {
			t.Errorf("logins of before are unknown to %d sides", lost)
		}
		if first == express {
			continue // it does not sign again the cookies of before
		}
		if f.wander(before); f.lost(before) == 0 {
			t.Errorf("%s signed the cookies of before again, and still the others know them", first)
		}
	}
}
