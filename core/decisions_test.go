package core_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// What is saved, and when the cookie is set, is express-session's own table,
// observed at version 1.19.0: one row for each thing that a handler may do, one
// column for each combination of resave (r), saveUninitialized (u) and rolling
// (l). A cell lists the calls to the store after the load, and C where the
// response sets the cookie. Where Cloakroom differs, the row says so and why.

var decisionColumns = []string{"r0u0l0", "r0u0l1", "r0u1l0", "r1u0l0", "r1u1l0", "r1u1l1"}

// Why a cell differs from express-session's.
const (
	whyTouchFirst = "the extension runs beside the handler, before it is known whether the request saves"
	whyTogether   = "cookie and record go together: express-session leaves an orphan record, or deletes one that never was"
	whyDeletes    = "destroy leaves the cookie in the browser there; here it is deleted"
	whyRetires    = "the old id becomes a retired record, after the next one is stored, in place of being deleted before"
	whySaveFirst  = "save, then first byte: what was changed before it is not saved together with what comes after"
	whyAgeCounts  = "changing only maxAge is lost there; here it counts as a change"
	whyTouchTwice = "Touch asks for an extension at the commit, apart from the one beside the handler"
	whyOnce       = "express-session saves a regenerated session twice; nothing changed since the first time"
	whyProven     = "before a cookie is sent again without a write, a read shows that no other process sent a newer one"
	whyNeverThere = "a session that was never stored cannot be reloaded, and nothing has to be asked"
)

// A difference is a cell, or several, that is not express-session's.
type difference struct {
	columns []string // nil: all
	handler string   // of the row's handlers; empty: all
	kind    string   // of cookie; empty: both
	want    string
	why     string
}

type decision struct {
	existing bool
	kind     string // of cookie: "session", "maxAge" or, for both, ""
	does     string
	handlers map[string]http.HandlerFunc
	express  [6]string
	differs  []difference
}

func all(cell string) [6]string { return [6]string{cell, cell, cell, cell, cell, cell} }

// The verbs of the handlers.
var (
	doNothing = withSession(func(*http.Request, *core.Session) {})
	doTouch   = withSession(func(_ *http.Request, s *core.Session) { s.Touch() })
	doRevert  = withSession(func(_ *http.Request, s *core.Session) {
		before := s.Get("user")
		s.Set("user", "eve")
		if before == nil {
			s.Delete("user")
		} else {
			s.Set("user", before)
		}
	})
	doMaxAge     = withSession(func(_ *http.Request, s *core.Session) { _ = s.SetMaxAge(2 * time.Hour) })
	doModify     = withSession(func(_ *http.Request, s *core.Session) { s.Set("n", 1) })
	doSave       = withSession(func(r *http.Request, s *core.Session) { _ = s.Save(r.Context()) })
	doModifySave = withSession(func(r *http.Request, s *core.Session) { s.Set("n", 1); _ = s.Save(r.Context()) })
	doSaveModify = withSession(func(r *http.Request, s *core.Session) { _ = s.Save(r.Context()); s.Set("n", 1) })
	doRegenerate = withSession(func(_ *http.Request, s *core.Session) { _ = s.Regenerate() })
	doRegenMod   = withSession(func(_ *http.Request, s *core.Session) { _ = s.Regenerate(); s.Set("n", 1) })
	doRegenSave  = withSession(func(r *http.Request, s *core.Session) {
		_ = s.Regenerate()
		s.Set("n", 1)
		_ = s.Save(r.Context())
	})
	doDestroy   = withSession(func(r *http.Request, s *core.Session) { _ = s.Destroy(r.Context()) })
	doDiscard   = withSession(func(_ *http.Request, s *core.Session) { s.Set("n", 1); s.Discard() })
	doReload    = withSession(func(r *http.Request, s *core.Session) { _ = s.Reload(r.Context()) })
	doBodyFirst = func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		_, _ = io.WriteString(w, "body")
		s.Set("n", 1)
	}
)

func withSession(fn func(*http.Request, *core.Session)) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) { fn(r, core.FromContext(r.Context())) }
}

var unchanged = map[string]http.HandlerFunc{
	"nothing": doNothing, "touch()": doTouch, "modify and revert": doRevert, "only maxAge": doMaxAge,
}

var decisions = []decision{
	{
		does: "nothing that counts", handlers: unchanged,
		express: [6]string{"", "", "set C", "", "set C", "set C"},
	},
	{
		does:     "modify, with and without save",
		handlers: map[string]http.HandlerFunc{"modify": doModify, "modify, save": doModifySave},
		express:  all("set C"),
	},
	{
		does: "save unmodified", handlers: map[string]http.HandlerFunc{"save": doSave},
		express: [6]string{"set", "set", "set C", "set", "set C", "set C"},
		differs: []difference{{columns: []string{"r0u0l0", "r0u0l1", "r1u0l0"}, want: "create C", why: whyTogether}},
	},
	{
		does: "save, then modify", handlers: map[string]http.HandlerFunc{"save, modify": doSaveModify},
		express: all("set set C"),
	},
	{
		does: "write body, then modify", handlers: map[string]http.HandlerFunc{"body, modify": doBodyFirst},
		express: [6]string{"set", "set", "set C", "set", "set C", "set C"},
		differs: []difference{
			{columns: []string{"r0u0l0", "r0u0l1", "r1u0l0"}, want: "", why: whyTogether},
			{columns: []string{"r0u1l0", "r1u1l0", "r1u1l1"}, want: "create update C", why: whySaveFirst},
		},
	},
	{
		does:     "regenerate, with and without modify",
		handlers: map[string]http.HandlerFunc{"regenerate": doRegenerate, "regenerate, modify": doRegenMod},
		express:  all("destroy set C"),
		differs:  []difference{{want: "create C", why: whyTogether}},
	},
	{
		does: "regenerate, modify, save", handlers: map[string]http.HandlerFunc{"regenerate, modify, save": doRegenSave},
		express: all("destroy set set C"),
		differs: []difference{{want: "create C", why: whyOnce + "; " + whyTogether}},
	},
	{
		does: "destroy", handlers: map[string]http.HandlerFunc{"destroy": doDestroy},
		express: all("destroy"),
		differs: []difference{{want: "", why: whyTogether}},
	},
	{
		does: "session = null", handlers: map[string]http.HandlerFunc{"discard": doDiscard},
		express: all(""),
	},
	{
		does: "reload, which fails", handlers: map[string]http.HandlerFunc{"reload": doReload},
		express: [6]string{"get", "get", "get set C", "get", "get set C", "get set C"},
		differs: []difference{
			{columns: []string{"r0u0l0", "r0u0l1", "r1u0l0"}, want: "", why: whyNeverThere},
			{columns: []string{"r0u1l0", "r1u1l0", "r1u1l1"}, want: "create C", why: whyNeverThere},
		},
	},

	{
		existing: true, does: "nothing that counts", handlers: unchanged,
		express: [6]string{"touch", "touch C", "touch", "set", "set", "set C"},
		differs: []difference{
			{handler: "touch()", columns: []string{"r0u0l0", "r0u1l0"}, want: "touch touch", why: whyTouchTwice},
			{handler: "touch()", columns: []string{"r0u0l1"}, want: "touch touch load C", why: whyTouchTwice + "; " + whyProven},
			{handler: "only maxAge", want: "touch update C", why: whyAgeCounts + "; " + whyTouchFirst},
			{columns: []string{"r0u0l1"}, want: "touch load C", why: whyProven},
			{columns: []string{"r1u0l0", "r1u1l0"}, want: "touch update", why: whyTouchFirst},
			{columns: []string{"r1u1l1"}, want: "touch update C", why: whyTouchFirst},
		},
	},
	{
		existing: true, kind: "session", does: "modify", handlers: map[string]http.HandlerFunc{"modify": doModify},
		express: [6]string{"set", "set C", "set", "set", "set", "set C"},
		differs: []difference{
			{columns: []string{"r0u0l1", "r1u1l1"}, want: "touch update C", why: whyTouchFirst},
			{want: "touch update", why: whyTouchFirst},
		},
	},
	{
		existing: true, kind: "maxAge", does: "modify", handlers: map[string]http.HandlerFunc{"modify": doModify},
		express: all("set C"),
		differs: []difference{{want: "touch update C", why: whyTouchFirst}},
	},
	{
		existing: true, does: "save unmodified", handlers: map[string]http.HandlerFunc{"save": doSave},
		express: [6]string{"set touch", "set touch C", "set touch", "set touch", "set touch", "set touch C"},
		differs: []difference{{columns: []string{"r0u0l1", "r1u1l1"}, want: "touch update load C", why: whyProven}},
	},
	{
		existing: true, kind: "session", does: "modify, save", handlers: map[string]http.HandlerFunc{"modify, save": doModifySave},
		express: [6]string{"set touch", "set touch C", "set touch", "set touch", "set touch", "set touch C"},
		differs: []difference{{columns: []string{"r0u0l1", "r1u1l1"}, want: "touch update load C", why: whyProven}},
	},
	{
		existing: true, kind: "maxAge", does: "modify, save", handlers: map[string]http.HandlerFunc{"modify, save": doModifySave},
		express: all("set touch C"),
		differs: []difference{{want: "touch update load C", why: whyProven}},
	},
	{
		existing: true, kind: "maxAge", does: "save, then modify", handlers: map[string]http.HandlerFunc{"save, modify": doSaveModify},
		express: all("set set C"),
		differs: []difference{{want: "touch update update C", why: whyTouchFirst}},
	},
	{
		existing: true, kind: "session", does: "save, then modify", handlers: map[string]http.HandlerFunc{"save, modify": doSaveModify},
		express: [6]string{"set set", "set set C", "set set", "set set", "set set", "set set C"},
		differs: []difference{
			{columns: []string{"r0u0l1", "r1u1l1"}, want: "touch update update C", why: whyTouchFirst},
			{want: "touch update update", why: whyTouchFirst},
		},
	},
	{
		existing: true, does: "write body, then modify", handlers: map[string]http.HandlerFunc{"body, modify": doBodyFirst},
		express: [6]string{"set", "set C", "set", "set", "set", "set C"},
		differs: []difference{
			{columns: []string{"r0u0l0", "r0u1l0"}, want: "touch update", why: whyTouchFirst},
			{columns: []string{"r0u0l1"}, want: "touch load update C", why: whyProven + "; " + whyTouchFirst},
			{columns: []string{"r1u0l0", "r1u1l0"}, want: "touch update update", why: whySaveFirst + "; " + whyTouchFirst},
			{columns: []string{"r1u1l1"}, want: "touch update update C", why: whySaveFirst + "; " + whyTouchFirst},
		},
	},
	{
		existing: true, does: "regenerate, with and without modify",
		handlers: map[string]http.HandlerFunc{"regenerate": doRegenerate, "regenerate, modify": doRegenMod},
		express:  all("destroy set C"),
		differs:  []difference{{want: "touch create update C", why: whyRetires + "; " + whyTouchFirst}},
	},
	{
		existing: true, does: "destroy", handlers: map[string]http.HandlerFunc{"destroy": doDestroy},
		express: all("destroy"),
		differs: []difference{{want: "touch delete D", why: whyDeletes + "; " + whyTouchFirst}},
	},
	{
		existing: true, does: "session = null", handlers: map[string]http.HandlerFunc{"discard": doDiscard},
		express: all(""),
		differs: []difference{{want: "touch", why: whyTouchFirst}},
	},
	{
		existing: true, does: "reload unchanged", handlers: map[string]http.HandlerFunc{"reload": doReload},
		express: [6]string{"get touch", "get touch C", "get touch", "get set", "get set", "get set C"},
		differs: []difference{
			{columns: []string{"r0u0l1"}, want: "touch load load C", why: whyProven},
			{columns: []string{"r1u0l0", "r1u1l0"}, want: "touch load update", why: whyTouchFirst},
			{columns: []string{"r1u1l1"}, want: "touch load update C", why: whyTouchFirst},
		},
	},
}

// inOurVerbs translates a cell of express-session's.
func inOurVerbs(cell string, existing bool) string {
	stored := existing
	var verbs []string
	for verb := range strings.FieldsSeq(cell) {
		switch {
		case verb == "set" && !stored:
			verb, stored = "create", true
		case verb == "set":
			verb = "update"
		case verb == "get":
			verb = "load"
		case verb == "destroy":
			verb = "delete"
		}
		verbs = append(verbs, verb)
	}
	return inOrder(verbs)
}

// inOrder puts the touches first: they run beside the handler, so that where
// they stand in the log says nothing.
func inOrder(verbs []string) string {
	touches := slices.DeleteFunc(slices.Clone(verbs), func(v string) bool { return v != "touch" })
	others := slices.DeleteFunc(slices.Clone(verbs), func(v string) bool { return v == "touch" })
	return strings.Join(append(touches, others...), " ")
}

// in returns what is expected in a cell, and why it differs, if it does.
func (d decision) in(column int, handler, kind string) (want, why string) {
	name := decisionColumns[column]
	for _, diff := range d.differs {
		if (diff.columns == nil || slices.Contains(diff.columns, name)) &&
			(diff.handler == "" || diff.handler == handler) && (diff.kind == "" || diff.kind == kind) {
			return diff.want, diff.why
		}
	}
	return inOurVerbs(d.express[column], d.existing), ""
}

func TestWhatIsSavedAndWhenTheCookieIsSetIsExpressSessionsTable(t *testing.T) {
	t.Parallel()
	for _, d := range decisions {
		visitor := "new"
		if d.existing {
			visitor = "existing"
		}
		kinds := []string{"session", "maxAge"}
		if d.kind != "" {
			kinds = []string{d.kind}
		}
		for handlerName, handler := range d.handlers {
			for _, kind := range kinds {
				for column, columnName := range decisionColumns {
					name := strings.Join([]string{visitor, d.does, handlerName, kind + " cookie", columnName}, "/")
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						want, why := d.in(column, handlerName, kind)
						if why != "" && want == inOurVerbs(d.express[column], d.existing) {
							t.Fatalf("cell is listed as different (%s) but is express-session's", why)
						}
						got := decide(t, d.existing, kind, columnName, handler)
						if got != want {
							t.Errorf("got %q, want %q (express-session: %q; differs: %q)", got, want, d.express[column], why)
						}
					})
				}
			}
		}
	}
}

// decide lets a handler run in a column and returns the cell.
func decide(t *testing.T, existing bool, kind, column string, handler http.HandlerFunc) string {
	cfg := core.Config{
		Resave:            column[1] == '1',
		SaveUninitialized: column[3] == '1',
		Rolling:           column[5] == '1',
		TouchInterval:     core.EveryRequest, // as express-session does
	}
	if kind == "maxAge" {
		cfg.Cookie.MaxAge = time.Hour
	}
	st := newStage(t, cfg)
	cookie := ""
	if existing {
		cookie = st.signIn()
		st.clock.advance(time.Second)
	}
	st.store.took()
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		if existing {
			<-st.store.touching // a request that destroys the session does not wait for its extension
		}
		handler(w, r)
	})
	if a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
	calls := st.store.took()
	if existing {
		if len(calls) == 0 || calls[0].verb != "load" {
			t.Fatalf("first call is not the load: %v", calls)
		}
		calls = calls[1:]
	}
	var verbs []string
	for _, c := range calls {
		verbs = append(verbs, c.verb)
	}
	switch {
	case a.setCookie != "" && a.cookie == "":
		verbs = append(verbs, "D")
	case a.setCookie != "":
		verbs = append(verbs, "C")
	}
	return inOrder(verbs)
}
