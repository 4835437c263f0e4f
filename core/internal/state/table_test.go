package state_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// docs/design.md shows what this package decides, as tables for people. These tests
// read them there and hold every combination of inputs against them.
//
// A row applies where the standing is one of those named ("any" for all, "not" in
// front for all others) and every condition holds. Conditions are separated by
// commas, alternatives by "or", and "not" turns one around. The first row that
// applies decides.

// A row is one row of a table, as it stands there.
type row struct {
	standings string
	when      string
	then      string // the last column; empty where the table has none
}

// tableAfter returns the rows of the first table behind a heading.
func tableAfter(t *testing.T, heading string) (rows []row) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\n"+heading+"\n")
	if !found {
		t.Fatalf("docs/design.md has no heading %q", heading)
	}
	inTable := false
	for line := range strings.Lines(rest) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			if inTable {
				break
			}
			continue
		}
		inTable = true
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := row{standings: cells[0]}
		if len(cells) > 1 {
			r.when = cells[1]
		}
		if len(cells) > 2 {
			r.then = cells[2]
		}
		rows = append(rows, r)
	}
	if len(rows) < 3 {
		t.Fatalf("there is no table behind %q", heading)
	}
	return rows[2:] // behind the head and the line below it
}

// applies reports whether a list of standings has one.
func applies(standings string, s state.Standing) bool {
	if standings == "any" {
		return true
	}
	others, inverted := strings.CutPrefix(standings, "not ")
	return slices.Contains(strings.Split(others, ", "), s.String()) != inverted
}

// A compiled row asks no string any more: there are hundreds of thousands of
// combinations.
type compiled[In any] struct {
	row        row
	standings  [len(state.Standings)]bool
	conditions []func(In) bool
	hits       int
}

// compile makes a row quick. atoms are what its conditions are made of.
func compile[In any](t *testing.T, r row, atoms map[string]func(In) bool) *compiled[In] {
	t.Helper()
	c := &compiled[In]{row: r}
	for i, s := range state.Standings {
		c.standings[i] = applies(r.standings, s)
	}
	if r.when == "" {
		return c
	}
	for condition := range strings.SplitSeq(r.when, ", ") {
		var alternatives []func(In) bool
		for name := range strings.SplitSeq(condition, " or ") {
			plain, inverted := strings.CutPrefix(name, "not ")
			atom, known := atoms[plain]
			if !known {
				t.Fatalf("docs/design.md names %q, which is no input", plain)
			}
			alternatives = append(alternatives, func(in In) bool { return atom(in) != inverted })
		}
		c.conditions = append(c.conditions, func(in In) bool {
			return slices.ContainsFunc(alternatives, func(holds func(In) bool) bool { return holds(in) })
		})
	}
	return c
}

// matches reports whether the row applies.
func (c *compiled[In]) matches(s state.Standing, in In) bool {
	if !c.standings[s] {
		return false
	}
	for _, holds := range c.conditions {
		if !holds(in) {
			return false
		}
	}
	return true
}

// first returns what the first row says that applies.
func first[In any](t *testing.T, rows []*compiled[In], s state.Standing, in In) string {
	for _, c := range rows {
		if c.matches(s, in) {
			c.hits++
			return c.row.then
		}
	}
	t.Fatalf("no row applies to %+v", in)
	return ""
}

// compileAll compiles a table.
func compileAll[In any](t *testing.T, heading string, atoms map[string]func(In) bool) (all []*compiled[In]) {
	t.Helper()
	for _, r := range tableAfter(t, heading) {
		all = append(all, compile(t, r, atoms))
	}
	return all
}

// used fails for rows that never decided anything.
func used[In any](t *testing.T, rows []*compiled[In]) {
	t.Helper()
	for _, c := range rows {
		if c.hits == 0 {
			t.Errorf("the row %q of docs/design.md applies to nothing that can occur", c.row)
		}
	}
}

type steps = state.StepInputs

var stepAtoms = map[string]func(steps) bool{
	"failed":             func(in steps) bool { return in.Failed },
	"explicit":           func(in steps) bool { return in.Explicit },
	"modified":           func(in steps) bool { return in.Modified },
	"sign-in":            func(in steps) bool { return in.SignIn },
	"new life":           func(in steps) bool { return in.NewLife },
	"touched":            func(in steps) bool { return in.Touched },
	"discarded":          func(in steps) bool { return in.Discarded },
	"extending":          func(in steps) bool { return in.Extending },
	"due":                func(in steps) bool { return in.Due },
	"unproven":           func(in steps) bool { return in.Unproven },
	"withheld":           func(in steps) bool { return in.Withheld },
	"resave":             func(in steps) bool { return in.Resave },
	"save uninitialized": func(in steps) bool { return in.SaveUninitialized },
	"id kept":            func(in steps) bool { return in.Renewal == state.KeepID },
	"written":            func(in steps) bool { return in.Deed != state.NotWritten },
}

// everyStep calls f with every combination of inputs, possible or not.
func everyStep(f func(steps)) {
	const bools = 13
	for _, standing := range state.Standings {
		for _, deed := range state.Deeds {
			for _, renewal := range state.Renewals {
				for bits := range 1 << bools {
					is := func(i int) bool { return bits>>i&1 == 1 }
					f(steps{
						Standing: standing, Deed: deed, Renewal: renewal,
						Failed: is(0), Explicit: is(1), Modified: is(2), SignIn: is(3), NewLife: is(4), Touched: is(5),
						Discarded: is(6), Extending: is(7), Due: is(8), Unproven: is(9), Resave: is(10), SaveUninitialized: is(11), Withheld: is(12),
					})
				}
			}
		}
	}
}

func TestEveryStepIsTheOneOfTheTable(t *testing.T) {
	rows := compileAll(t, "### What a commit does next", stepAtoms)
	combinations := 0
	everyStep(func(in steps) {
		if !in.Possible() {
			return
		}
		combinations++
		if got, want := state.Next(in).String(), first(t, rows, in.Standing, in); got != want {
			t.Fatalf("%+v: the step is %q, docs/design.md has %q", in, got, want)
		}
	})
	used(t, rows)
	t.Logf("%d combinations", combinations)
}

func TestWhatCannotOccurIsWhatTheTableSays(t *testing.T) {
	rows := compileAll(t, "### What cannot occur", stepAtoms)
	everyStep(func(in steps) {
		impossible := false
		for _, c := range rows {
			if c.matches(in.Standing, in) {
				c.hits++
				impossible = true
			}
		}
		if in.Possible() == impossible {
			t.Fatalf("%+v: possible: %v, docs/design.md says %v", in, in.Possible(), !impossible)
		}
	})
	used(t, rows)
}

type answers = state.VerdictInputs

var answerAtoms = map[string]func(answers) bool{
	"no ticket":  func(in answers) bool { return in.Ticket == state.NoTicket },
	"outdated":   func(in answers) bool { return in.Ticket == state.Outdated },
	"written":    func(in answers) bool { return in.Deed != state.NotWritten },
	"changed":    func(in answers) bool { return in.Deed == state.Changed },
	"created":    func(in answers) bool { return in.Deed == state.Created },
	"persistent": func(in answers) bool { return in.Persistent },
	"rolling":    func(in answers) bool { return in.Rolling },
	"discarded":  func(in answers) bool { return in.Discarded },
	"expired":    func(in answers) bool { return in.Expired },
	"carried":    func(in answers) bool { return in.Carried },
	"superseded": func(in answers) bool { return in.Superseded },
	"proven":     func(in answers) bool { return in.Proven },
	"insecure":   func(in answers) bool { return in.Insecure },
	"a user's":   func(in answers) bool { return in.Users },
	"by header":  func(in answers) bool { return in.ByHeader },
}

// everyAnswer calls f with every combination of inputs, possible or not.
func everyAnswer(f func(answers)) {
	const bools = 11
	for _, standing := range state.Standings {
		for _, deed := range state.Deeds {
			for _, ticket := range state.Tickets {
				for bits := range 1 << bools {
					is := func(i int) bool { return bits>>i&1 == 1 }
					f(answers{
						Standing: standing, Deed: deed, Ticket: ticket,
						Accessed: is(0), Persistent: is(1), Rolling: is(2), Discarded: is(3), Expired: is(4), Superseded: is(5), Proven: is(6), Insecure: is(7), Users: is(8), Carried: is(9), ByHeader: is(10),
					})
				}
			}
		}
	}
}

func TestEveryCookieIsTheOneOfTheTable(t *testing.T) {
	rows := compileAll(t, "### Which cookie goes out", answerAtoms)
	everyAnswer(func(in answers) {
		if !in.Possible() {
			return
		}
		got, want := state.Verdict(in), first(t, rows, in.Standing, in)
		if got.Cookie.String() != want {
			t.Fatalf("%+v: the cookie is %q, docs/design.md has %q", in, got.Cookie, want)
		}
		sent := got.Cookie != state.NoCookie
		if got.Private != sent || got.Vary != (sent || in.Accessed) || got.NoStore != (in.Users && in.Accessed || in.ByHeader && sent) {
			t.Fatalf("%+v: headers %+v", in, got)
		}
	})
	used(t, rows)
}

func TestWhatNoAnswerCanBeIsWhatTheTableSays(t *testing.T) {
	rows := compileAll(t, "### What no answer can be", answerAtoms)
	everyAnswer(func(in answers) {
		impossible := false
		for _, c := range rows {
			if c.matches(in.Standing, in) {
				c.hits++
				impossible = true
			}
		}
		if in.Possible() == impossible {
			t.Fatalf("%+v: possible: %v, docs/design.md says %v", in, in.Possible(), !impossible)
		}
	})
	used(t, rows)
}

// No Set-Cookie of any kind goes out where the browser may hold a newer one. Where the
// cookie holds the session, nobody else knows what the newest one is.
func TestNoCookieGoesOutWhereTheBrowserMayHaveANewerOne(t *testing.T) {
	everyAnswer(func(in answers) {
		newer := in.Standing == state.MovedOn || in.Standing == state.Gone || in.Standing == state.Locked ||
			in.Standing == state.Live && in.Deed != state.Created && (in.Superseded || !in.Proven && !in.Carried)
		if got := state.Verdict(in).Cookie; newer && got != state.NoCookie {
			t.Fatalf("%+v: %v", in, got)
		}
	})
}

func TestEveryStandingBecomesWhatTheTableSays(t *testing.T) {
	may := map[string]string{}
	for _, r := range tableAfter(t, "### Standings") {
		may[r.standings] = r.then
	}
	for _, from := range state.Standings {
		list, found := may[from.String()]
		if !found {
			t.Errorf("docs/design.md does not have %q", from)
		}
		for _, to := range state.Standings {
			want := from == to || list == "all" || slices.Contains(strings.Split(list, ", "), to.String())
			if got := from.CanBecome(to); got != want {
				t.Errorf("%v becomes %v: %v, docs/design.md says %v", from, to, got, want)
			}
		}
	}
}

func TestAssertTellsOfWhatCannotBe(t *testing.T) {
	before := state.Impossible
	defer func() { state.Impossible = before }()
	told := ""
	state.Impossible = func(what string) { told = what }
	if state.Assert(state.Transition{From: state.Live, To: state.Gone}, "fine"); told != "" {
		t.Errorf("told of %q, which is possible", told)
	}
	if state.Assert(state.Transition{From: state.Gone, To: state.Live}, "not fine"); told != "not fine" {
		t.Errorf("told of %q", told)
	}
}

func TestACookieSetsATicketUnlessItIsNoneOrDeletes(t *testing.T) {
	for cookie, want := range map[state.Cookie]bool{
		state.NoCookie: false, state.SetCookie: true, state.ResignCookie: true, state.DeleteCookie: false,
	} {
		if got := cookie.Sets(); got != want {
			t.Errorf("%v sets a ticket: %v", cookie, got)
		}
	}
}
