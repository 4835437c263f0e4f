// Package doctor looks for what is wrong with the server and the records of a store,
// before the apps' users find it.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-go/cloakroom/cmd/cloakroom/internal/target"
	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
)

// A Level says how bad something is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Note    Level = "note" // worth knowing; nothing is wrong
	Warning Level = "warn" // will hurt some day, or under load
	Failure Level = "fail" // sessions are lost, refused or open now
)

// A Finding is what one check found.
type Finding struct {
	Level Level  `json:"level"`
	Check string `json:"check"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"` // what to do about it; empty where there is nothing to do
}

// Options are what an examination goes by.
type Options struct {
	Sample   int              // how many records are looked at; 0: all
	ReadOnly bool             // nothing is written, so that not all privileges are known
	HashIDs  bool             // the apps have Config.HashIDs
	PlainIDs bool             // they do not; neither: it is not said
	Now      func() time.Time // the clock of this machine; nil: time.Now
}

// An examination is one run.
type examination struct {
	*target.Target

	ctx      context.Context
	m        *core.Manager
	o        Options
	findings []Finding
}

// Examine looks at a store. It returns at least one finding.
func Examine(ctx context.Context, t *target.Target, m *core.Manager, o Options) []Finding {
	if o.Now == nil {
		o.Now = time.Now
	}
	e := &examination{Target: t, ctx: ctx, m: m, o: o}
	if !e.answers() {
		return e.findings
	}
	switch {
	case t.Valkey != nil:
		e.valkey()
	case t.Mongo != nil:
		e.mongo()
	case t.SQL != nil:
		e.sql()
	}
	if !o.ReadOnly {
		e.abilities()
	}
	e.records()
	e.lists()
	return e.findings
}

// find notes a finding.
func (e *examination) find(level Level, check, do, says string, args ...any) {
	e.findings = append(e.findings, Finding{Level: level, Check: check, Says: fmt.Sprintf(says, args...), Do: do})
}

// unknown notes that something could not be found out.
func (e *examination) unknown(check, permission string, err error) {
	e.find(Note, check, "run doctor as a user who may do that ("+permission+"), such as the administrator", "could not be looked at: %s", safe(err))
}

// safe returns what may be printed of an error: drivers quote what they were given.
func safe(err error) string {
	var failure *store.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &failure):
		return failure.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "interrupted"
	}
	return "the server refused"
}

// answers reports whether the store can be used at all.
func (e *examination) answers() bool {
	err := e.m.Ping(e.ctx)
	switch {
	case err == nil:
		e.find(OK, "connection", "", "%s at %s answers", e.Kind, e.Where)
		return true
	case errors.Is(err, sqlstore.ErrSchema):
		e.find(Failure, "tables", "call sqlstore.Migrate at a deployment, or run the statements of sqlstore.Schema; see whether ?table= names the right ones",
			"the tables are missing or of another version: %s", safe(err))
	default:
		e.findings = append(e.findings, Unreachable(safe(err)))
	}
	return false
}

// Unreachable returns what is found of a store that cannot be opened, or does not answer.
func Unreachable(says string) Finding {
	return Finding{
		Level: Failure, Check: "connection", Says: says,
		Do: "see whether the server runs, or whether the file is the right one; and whether address, user and password are right",
	}
}

// How much clocks may differ.
const (
	clockWarning = 2 * time.Second
	clockFailure = time.Minute
)

// clock compares the clock of the server, which ask returns, with that of this machine.
func (e *examination) clock(permission string, ask func() (time.Time, error)) {
	const check = "clock"
	before := e.o.Now()
	server, err := ask()
	after := e.o.Now()
	if err != nil {
		e.unknown(check, permission, err)
		return
	}
	took := after.Sub(before)
	differs := server.Sub(before.Add(took / 2))
	const do = "run NTP on the server, on this machine and on those of the apps"
	off := differs.Abs() - took/2
	switch rounded := differs.Round(10 * time.Millisecond); {
	case off >= clockFailure:
		e.find(Failure, check, do, "the server's clock differs by %v from this machine's: sessions end too early or too late, and a revocation may miss a login", rounded)
	case off >= clockWarning:
		e.find(Warning, check, do, "the server's clock differs by %v from this machine's", rounded)
	default:
		e.find(OK, check, "", "the server's clock differs by %v from this machine's; the clocks of the apps were not asked", rounded)
	}
}

// A version is what a server says it is.
type version struct{ major, minor int }

func parseVersion(text string) (v version) {
	_, _ = fmt.Sscanf(text, "%d.%d", &v.major, &v.minor)
	return v
}

func (v version) before(major, minor int) bool {
	return v.major < major || v.major == major && v.minor < minor
}
