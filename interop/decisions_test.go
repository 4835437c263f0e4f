package interop

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestTheTableOfDecisions has express-session itself fill in the table of what
// is saved, and when the cookie is set. Cloakroom is held to the same table, with
// a reason for each cell that differs, by the test of that table in core.
func TestTheTableOfDecisions(t *testing.T) {
	t.Parallel()
	needNode(t)
	db := newValkey(t)
	columns := [6]settings{
		{},
		{Rolling: true},
		{SaveUninitialized: true},
		{Resave: true},
		{Resave: true, SaveUninitialized: true},
		{Resave: true, SaveUninitialized: true, Rolling: true},
	}
	apps := make(map[string][6]side) // by kind of cookie
	for kind, cookie := range map[string]*cookieOptions{"session": nil, "maxAge": {MaxAge: hour.Milliseconds()}} {
		var all [6]side
		for i, s := range columns {
			s.Cookie = cookie
			all[i] = start(t, express, db, s)
		}
		apps[kind] = all
	}
	for _, row := range decisions {
		kinds := strings.Fields(row.kind)
		if row.kind == "" {
			kinds = []string{"session", "maxAge"}
		}
		for _, kind := range kinds {
			for i, app := range apps[kind] {
				for name, steps := range row.handlers {
					v := newVisitor(t)
					if row.existing {
						v.must(app, "POST", "/do", `[["set","user","bob"]]`)
					}
					newVisitor(t).must(app, "GET", "/-/calls", "")
					r := v.do(app, "POST", "/do", steps)
					var calls []string
					if err := json.Unmarshal([]byte(newVisitor(t).must(app, "GET", "/-/calls", "")), &calls); err != nil {
						t.Fatal(err)
					}
					if row.existing {
						calls = calls[1:] // the load
					}
					if len(r.header.Values("Set-Cookie")) > 0 {
						calls = append(calls, "C")
					}
					if got := strings.Join(calls, " "); got != row.cells[i] {
						t.Errorf("existing %v, %s cookie, %s, column %d: express-session does %q, the table says %q", row.existing, kind, name, i, got, row.cells[i])
					}
				}
			}
		}
	}
}

var decisions = []struct {
	existing bool
	kind     string // of cookie: "session", "maxAge" or, for both, ""
	handlers map[string]string
	cells    [6]string
}{
	{handlers: unchanged, cells: [6]string{"", "", "set C", "", "set C", "set C"}},
	{handlers: map[string]string{"modify": modify, "modify, save": modifySave}, cells: all("set C")},
	{handlers: map[string]string{"save": save}, cells: [6]string{"set", "set", "set C", "set", "set C", "set C"}},
	{handlers: map[string]string{"save, modify": saveModify}, cells: all("set set C")},
	{handlers: map[string]string{"body, modify": bodyModify}, cells: [6]string{"set", "set", "set C", "set", "set C", "set C"}},
	{handlers: map[string]string{"regenerate": `[["regenerate"]]`, "regenerate, modify": regenerateModify}, cells: all("destroy set C")},
	{handlers: map[string]string{"regenerate, modify, save": regenerateModifySave}, cells: all("destroy set set C")},
	{handlers: map[string]string{"destroy": `[["destroy"]]`}, cells: all("destroy")},
	{handlers: map[string]string{"session = null": `[["set","n",1],["discard"]]`}, cells: all("")},
	{handlers: map[string]string{"reload, which fails": reload}, cells: [6]string{"get", "get", "get set C", "get", "get set C", "get set C"}},

	{existing: true, handlers: unchanged, cells: [6]string{"touch", "touch C", "touch", "set", "set", "set C"}},
	{existing: true, kind: "session", handlers: map[string]string{"modify": modify}, cells: [6]string{"set", "set C", "set", "set", "set", "set C"}},
	{existing: true, kind: "maxAge", handlers: map[string]string{"modify": modify}, cells: all("set C")},
	{existing: true, handlers: map[string]string{"save": save}, cells: savedByHand},
	{existing: true, kind: "session", handlers: map[string]string{"modify, save": modifySave}, cells: savedByHand},
	{existing: true, kind: "maxAge", handlers: map[string]string{"modify, save": modifySave}, cells: all("set touch C")},
	{existing: true, kind: "maxAge", handlers: map[string]string{"save, modify": saveModify}, cells: all("set set C")},
	{existing: true, kind: "session", handlers: map[string]string{"save, modify": saveModify}, cells: [6]string{"set set", "set set C", "set set", "set set", "set set", "set set C"}},
	{existing: true, handlers: map[string]string{"body, modify": bodyModify}, cells: [6]string{"set", "set C", "set", "set", "set", "set C"}},
	{existing: true, handlers: map[string]string{"regenerate": `[["regenerate"]]`, "regenerate, modify": regenerateModify}, cells: all("destroy set C")},
	{existing: true, handlers: map[string]string{"destroy": `[["destroy"]]`}, cells: all("destroy")},
	{existing: true, handlers: map[string]string{"session = null": `[["set","n",1],["discard"]]`}, cells: all("")},
	{existing: true, handlers: map[string]string{"reload": reload}, cells: [6]string{"get touch", "get touch C", "get touch", "get set", "get set", "get set C"}},
}

var (
	unchanged = map[string]string{
		"nothing": `[]`, "touch": `[["touch"]]`, "only maxAge": `[["maxAge",7200000]]`,
		"modify and revert": `[["set","n",1],["delete","n"]]`,
	}
	savedByHand = [6]string{"set touch", "set touch C", "set touch", "set touch", "set touch", "set touch C"}
)

const (
	modify               = `[["set","n",1]]`
	modifySave           = `[["set","n",1],["save"]]`
	save                 = `[["save"]]`
	saveModify           = `[["save"],["set","n",1]]`
	bodyModify           = `[["body"],["set","n",1]]`
	reload               = `[["reload"]]`
	regenerateModify     = `[["regenerate"],["set","n",1]]`
	regenerateModifySave = `[["regenerate"],["set","n",1],["save"]]`
)

func all(cell string) [6]string { return [6]string{cell, cell, cell, cell, cell, cell} }
