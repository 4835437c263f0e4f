package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const rounds = 200

// TestRandomOperations does random things to the sessions of some visitors on
// random sides, and compares after each what all sides and the database say
// with a model: byte for byte where the record is text, the order of the keys
// included.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		const seed = 20300131
		w := &world{
			T: t, db: db, random: rand.New(rand.NewPCG(seed, seed)),
			sides: startAll(t, db, settings{Cookie: &cookieOptions{SameSite: "lax"}, Store: storeSettings{TTL: int(day.Seconds())}}),
		}
		visitors := []*modelled{{visitor: newVisitor(t)}, {visitor: newVisitor(t)}, {visitor: newVisitor(t)}}
		for round := range rounds {
			figures.rounds.Add(1)
			v := visitors[w.random.IntN(len(visitors))]
			what := w.operate(v)
			w.compare(v)
			if round%20 == 0 || round == rounds-1 { // that nobody else's session changed
				for _, v := range visitors {
					w.compare(v)
				}
			}
			if t.Failed() {
				t.Fatalf("in round %d of seed %d: %s", round, seed, what)
			}
		}
	})
}

type world struct {
	*testing.T
	db     database
	random *rand.Rand
	sides  []side
}

// A modelled visitor is one with what the model says about its session.
type modelled struct {
	*visitor
	session *model   // nil: there is none
	ended   []string // ids that are over
}

// A model is a session as it has to be in the database.
type model struct {
	id      string
	members []member // cookie and __cloakroom have the value 0
	maxAge  time.Duration
}

type member struct{ name, value string }

func (m *model) String() string {
	var b strings.Builder
	for i, mem := range m.members {
		b.WriteString(map[bool]string{true: "{", false: ","}[i == 0])
		b.WriteString(quote(mem.name) + ":" + mem.value)
	}
	return b.String() + "}"
}

func quote(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// data is what the model says that the app's keys are.
func (m *model) data() string {
	app := model{members: slices.DeleteFunc(slices.Clone(m.members), func(mem member) bool { return reserved(mem.name) })}
	if len(app.members) == 0 {
		return "{}"
	}
	return app.String()
}

func reserved(name string) bool { return name == "cookie" || name == "__cloakroom" }

// parseModel reads a record, or what stringify made of one.
func parseModel(t testing.TB, text string) []member {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var members []member
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if reserved(name.(string)) {
			value = json.RawMessage("0")
		}
		members = append(members, member{name.(string), string(value)})
	}
	return members
}

func (m *model) find(name string) int {
	return slices.IndexFunc(m.members, func(mem member) bool { return mem.name == name })
}

// set sets or, with an empty value, removes a member.
func (m *model) set(name, value string) {
	switch i := m.find(name); {
	case i >= 0 && value == "":
		m.members = slices.Delete(m.members, i, i+1)
	case i >= 0:
		m.members[i].value = value
	case value != "":
		m.members = append(m.members, member{name, value})
	}
}

// write does to v's session what a side does that changes it.
func (w *world) write(v *modelled, s side, change func(*model)) {
	var before string
	m := &model{members: []member{{"cookie", "0"}}}
	if v.session != nil {
		before = v.session.String()
		*m = model{v.session.id, slices.Clone(v.session.members), v.session.maxAge}
	}
	change(m)
	if s.express {
		m.members = parseModel(w, rewrite(w, m.String()))
		if v.session != nil && m.String() == rewrite(w, before) || v.session == nil && len(m.members) == 1 {
			return // to Express nothing changed, and nothing is written
		}
	} else {
		if m.String() == before || v.session == nil && len(m.members) == 1 {
			return
		}
		m.set("__cloakroom", "0")
	}
	v.session = m
}

// literally makes of a value what JSON.stringify does, and so does Cloakroom: these two
// have no escapes.
var literally = strings.NewReplacer(`\u2028`, "\u2028", `\u2029`, "\u2029")

// operate lets a visitor do something at random, and says what.
func (w *world) operate(v *modelled) string {
	s := w.sides[w.random.IntN(len(w.sides))]
	key := w.key()
	what := ""
	switch n := w.random.IntN(100); {
	case n < 45:
		value := w.value(3)
		what = fmt.Sprintf("set %s to %s", key, value)
		v.set(s, url.PathEscape(key), value)
		w.write(v, s, func(m *model) { m.set(key, literally.Replace(value)) })
	case n < 57:
		what = "delete " + key
		v.must(s, "DELETE", "/delete/"+url.PathEscape(key), "")
		w.write(v, s, func(m *model) { m.set(key, "") })
	case n < 72:
		what = "count"
		v.must(s, "POST", "/count/counter", "")
		w.write(v, s, func(m *model) {
			count := 0
			if i := m.find("counter"); i >= 0 {
				count, _ = strconv.Atoi(m.members[i].value)
			}
			m.set("counter", strconv.Itoa(count+1))
		})
	case n < 80:
		what = "log in"
		v.must(s, "POST", "/login/bob", "")
		v.end()
		w.write(v, s, func(m *model) { m.set("user", `"bob"`) })
	case n < 85:
		what = "log out"
		v.must(s, "POST", "/logout", "")
		v.end()
	case n < 92:
		what = "touch"
		v.must(s, "POST", "/touch", "")
	default:
		ms := w.random.IntN(3) * 3_600_000
		what = fmt.Sprintf("max age %d", ms)
		v.must(s, "POST", fmt.Sprintf("/max-age/%d", ms), "")
		w.write(v, s, func(m *model) {
			m.set("remembered", strconv.Itoa(ms))
			m.maxAge = time.Duration(ms) * time.Millisecond
		})
	}
	what += " on " + s.name
	if v.session != nil {
		v.session.id = v.id(s)
	}
	return what
}

func (v *modelled) end() {
	if v.session != nil {
		v.ended = append(v.ended, v.session.id)
	}
	v.session = nil
}

// compare asks all sides and the database.
func (w *world) compare(v *modelled) {
	for _, id := range v.ended {
		if text, found := w.db.record(w, id); found && len(parseModel(w, text)) > 2 {
			w.Errorf("an id that was given up has %s", text)
		}
	}
	data := "{}"
	if v.session != nil {
		data = v.session.data()
	}
	for _, s := range w.sides {
		got, want := v.must(s, "GET", "/dump", ""), data
		if s.express || w.valuesOnly() {
			got, want = rewrite(w, got), rewrite(w, want)
		}
		if got != want {
			w.Errorf("%s reads %s\nthe model is %s", s.name, got, want)
		}
	}
	if v.session == nil {
		return
	}
	text, found := w.db.record(w, v.session.id)
	if !found {
		w.Errorf("there is no record")
		return
	}
	got, want := (&model{members: parseModel(w, text)}).String(), v.session.String()
	if w.valuesOnly() {
		got, want = rewrite(w, got), rewrite(w, want)
	}
	if got != want {
		w.Errorf("stored is %s\nthe model is %s", got, want)
	}
	life := v.session.maxAge
	if life == 0 {
		life = day
	}
	(pair{T: w.T, db: w.db}).lives(v.session.id, life)
}

// valuesOnly reports that the database has values and no text, so that there are no
// bytes to compare.
func (w *world) valuesOnly() bool { return w.db.settings().Kind == "mongo object" }

// key returns one of few, so that they meet again: some that JavaScript treats
// in its own way, or JSON.
func (w *world) key() string {
	keys := []string{"a", "b", "c", "2", "10", "1", "01", "-1", "Ключ", "with space", `qu"ote`, "z", "length", "tag<b>"}
	return keys[w.random.IntN(len(keys))]
}

// value returns JSON as clients may send it, no deeper than that.
func (w *world) value(depth int) string {
	n := w.random.IntN(18)
	if depth == 0 {
		n = w.random.IntN(14)
	}
	pick := func(values ...string) string { return values[w.random.IntN(len(values))] }
	switch {
	case n < 2:
		return strconv.Itoa(w.random.IntN(2000) - 1000)
	case n == 2:
		return strconv.FormatInt(1<<53+w.random.Int64N(7)-3, 10) // beyond what JavaScript can count
	case n == 3:
		return pick("9223372036854775807", "-9223372036854775808", "2147483648", "-2147483649", "4294967296")
	case n == 4:
		return strconv.FormatFloat(w.random.NormFloat64()*1e6, 'g', -1, 64)
	case n == 5:
		return pick("1.0", "0.10", "-0", "-0.0", "1e3", "1E+2", "1e21", "1e-7", "123456789012345680000", "5e-324")
	case n == 6:
		return pick("null", "true", "false")
	case n == 7:
		return pick("{}", "[]", `""`, "[[]]", `{"":{}}`, "[null]")
	case n == 8:
		return quote(time.UnixMilli(w.random.Int64N(4e12)).UTC().Format("2006-01-02T15:04:05.000Z"))
	case n < 14:
		return pick(`"plain"`, `"Grüße, 世界 🔑"`, `"<b>&amp;</b>"`, `"\u003cb\u003e"`, `"line\nbreak\ttab \" \\ \/"`,
			`"\u2028\u2029"`, "\"\u2028\u2029\"", `"\u0000\u001f\u007f"`, `"\ud83d\udd11"`, `"`+strings.Repeat("x", 500)+`"`)
	case n < 16:
		items := make([]string, w.random.IntN(4))
		for i := range items {
			items[i] = w.value(depth - 1)
		}
		return "[" + strings.Join(items, ",") + "]"
	default:
		var items []string
		for i := range w.random.IntN(5) {
			items = append(items, quote(fmt.Sprint(pick("k", "0", "7", "ключ", "x "), i))+":"+w.value(depth-1))
		}
		return "{" + strings.Join(items, ",") + "}"
	}
}
