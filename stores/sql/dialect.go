package sqlstore

import (
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Dialect is what a database speaks.
type Dialect string

// What is spoken.
const (
	PostgreSQL Dialect = "postgresql"
	MySQL      Dialect = "mysql" // MariaDB, too
	SQLite     Dialect = "sqlite"
)

func (d Dialect) valid() bool { return d == PostgreSQL || d == MySQL || d == SQLite }

// An idiom is how a dialect says what the dialects say differently. A "?" in a
// statement is a parameter in all of them, until it is given its number.
type idiom struct {
	now    string // the time when a row is looked at, after any wait for its lock
	start  string // the time when the statement began, for which an index can be searched
	after  string // what is one parameter, a life in units, after now
	before string // what is as long before now
	left   string // how long until expires, in units and never more than is true
	unit   time.Duration
	least  string // the function that returns the lesser of two
	quote  string
}

var idioms = map[Dialect]idiom{
	PostgreSQL: {
		now:    "clock_timestamp()",
		start:  "statement_timestamp()",
		after:  "clock_timestamp() + CAST(? AS bigint) * interval '1 microsecond'",
		before: "clock_timestamp() - CAST(? AS bigint) * interval '1 microsecond'",
		left:   "CAST(floor(extract(epoch FROM expires - clock_timestamp()) * 1000000) AS bigint)",
		unit:   time.Microsecond,
		least:  "LEAST",
		quote:  `"`,
	},
	MySQL: {
		// SYSDATE goes on within a statement and knows time zones; UTC_TIMESTAMP knows none and does not.
		now:    "(UTC_TIMESTAMP(6) + INTERVAL TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)) MICROSECOND)",
		start:  "UTC_TIMESTAMP(6)",
		after:  "UTC_TIMESTAMP(6) + INTERVAL (TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6)) + ?) MICROSECOND",
		before: "UTC_TIMESTAMP(6) - INTERVAL ? MICROSECOND",
		left:   "TIMESTAMPDIFF(MICROSECOND, UTC_TIMESTAMP(6), expires) - TIMESTAMPDIFF(MICROSECOND, NOW(6), SYSDATE(6))",
		unit:   time.Microsecond,
		least:  "LEAST",
		quote:  "`",
	},
	SQLite: {
		now:    "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
		start:  "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
		after:  "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + ?",
		before: "CAST(round(unixepoch('subsec') * 1000) AS INTEGER) - ?",
		left:   "expires - CAST(round(unixepoch('subsec') * 1000) AS INTEGER) - 1",
		unit:   time.Millisecond,
		least:  "min",
		quote:  `"`,
	},
}

// life returns a life in units, rounded up, or less than zero for [store.KeepTTL].
func (i idiom) life(ttl time.Duration) int64 {
	if ttl == store.KeepTTL {
		return -1
	}
	n := int64(ttl / i.unit)
	if ttl%i.unit > 0 {
		n++
	}
	return n
}

// quoted returns a name of a table, which may have that of a schema before it.
func (i idiom) quoted(name string) string {
	return i.quote + strings.ReplaceAll(name, ".", i.quote+"."+i.quote) + i.quote
}

// A text completes a statement for a dialect and a table: {now} and the like are
// what the idiom has under these names, {t} is the table, and {m} the one of what
// is noted.
type text struct {
	dialect Dialect
	replace *strings.Replacer
}

func newText(d Dialect, table, meta string) text {
	i := idioms[d]
	index := table[strings.LastIndex(table, ".")+1:] + "_due" // is in the schema of its table
	return text{d, strings.NewReplacer(
		"{t}", i.quoted(table), "{m}", i.quoted(meta), "{index}", i.quoted(index),
		"{now}", i.now, "{start}", i.start, "{after}", i.after, "{before}", i.before, "{left}", i.left, "{least}", i.least,
	)}
}

// of returns the statement. In PostgreSQL a parameter is $1 and so on, and may be
// used more than once, so that its statements have these numbers where it matters.
func (t text) of(statement string) string {
	s := t.replace.Replace(statement)
	if t.dialect != PostgreSQL {
		return s
	}
	var b strings.Builder
	n := 0
	for {
		before, rest, found := strings.Cut(s, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
		s = rest
	}
}
