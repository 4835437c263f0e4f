package storetest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A store keeps an id byte for byte and compares it case-sensitively. In these
// patterns ~ stands for a random id; the first pattern is the odd id, and the
// others are ids that a careless store would take for the same.
var idCases = []testCase{
	{"IDCase", ids("~a", "~A")},
	{"IDPrefix", ids("~a", "~", "~aa", "~a-")},
	{"IDSpaces", ids(" ~ a ", "~ a", " ~ a", "~ a ", " ~  a ")},
	{"IDTabAndNewline", ids("~\t\r\n", "~", "~\t", "~\n", "~ ")},
	{"IDNUL", ids("~\x00a", "~", "~\x00", "~\x00b", "\x00~\x00a")},
	{"IDControlCharacters", ids("~\x01\x1b[0m\x7f", "~", "~\x01")},
	{"IDDots", ids("../~/./a", "~/a", "~", "../~/a")},
	{"IDSlashes", ids("/~//a/", "~/a", "/~/a", "~//a")},
	{"IDBackslash", ids(`~\a\\`, `~a`, `~\a`, `~\a\`, `~\\a\\\\`)},
	{"IDAsterisk", ids("~*", "~", "~a", "~**")},
	{"IDLeadingAsterisk", ids("*~", "~", "a~")},
	{"IDQuestionMark", ids("~?", "~", "~a")},
	{"IDBrackets", ids("~[ab]", "~a", "~b", "~")},
	{"IDBraces", ids("{~}a", "{~}b", "~", "{~}", "{}~a")},
	{"IDColons", ids("~:a:", "~", "~:a", "~:", ":~:a:")},
	{"IDDollar", ids("$~.a", "~.a", "$~", "~")},
	{"IDQuotes", ids("~'\"`;--", "~", "~''\"`;--")},
	{"IDPercent", ids("~%41%20", "~A ", "~%2541%2520")},
	{"IDPlus", ids("~+a", "~ a", "~%2Ba")},
	{"IDUnicode", ids("~\u00e9\u00df", "~e\u0301\u00df", "~\u00c9\u00df", "~\u00e9ss", "~")},
	{"IDEmoji", ids("~\U0001F9E5\U0001F3AB", "~\U0001F9E5", "~??")},
	{"IDInvisible", ids("~\u200b\u2028\ufeff", "~", "~\u200b")},
	{"ID300Bytes", ids("~"+strings.Repeat("x", 274), "~"+strings.Repeat("x", 273), "~"+strings.Repeat("x", 273)+"y", "~")},
}

func ids(patterns ...string) func(*check) {
	return func(c *check) {
		recs := make([]store.Record, len(patterns))
		for i, p := range patterns {
			recs[i] = store.Record{ID: strings.ReplaceAll(p, "~", c.mark), Data: c.data(strings.Repeat("i", i+1)), TTL: long}
		}
		odd, others := recs[0], recs[1:]

		c.lacks(odd)
		c.create(odd)
		c.holds(odd)
		for _, other := range others {
			c.lacks(other)
			c.create(other)
		}
		c.answers("Create of an id in use", c.store.Create(c.Context(), odd), store.ErrExists)
		next := with(odd, c.data("next"))
		c.update(c.load(odd), next)
		c.answers("Touch", c.store.Touch(c.Context(), odd.ID, long), nil)
		c.holds(next)
		for _, other := range others {
			c.holds(other)
		}
		c.answers("Delete", c.store.Delete(c.Context(), odd.ID), nil)
		c.lacks(odd)
		for _, other := range others {
			c.holds(other)
		}
	}
}

// Data is UTF-8 JSON, opaque to the store: it comes back, and is compared, byte
// for byte.
var dataCases = []testCase{
	{"DataSmallest", kept(`{}`)},
	{"DataLikeExpress", kept(`{"cookie":{"originalMaxAge":86400000,"expires":"2030-01-02T03:04:05.678Z","httpOnly":true,"path":"/"},"views":1}`)},
	{"DataWhitespace", kept(" {\t\"a\" :\r\n [ 1 , 2 ] } \n")},
	{"DataOrderAndDuplicates", kept(`{"b":1,"a":2,"b":3,"":4,"1":5}`)},
	{"DataNumbers", kept(`{"a":1.0,"b":-0,"c":1e3,"d":1E+3,"e":12345678901234567890,"f":0.1000}`)},
	{"DataEscapes", kept(`{"a":"\u0000\u001f\/\"\\\b\f\n\r\t\u2028","\u0061":"\ud83e\udde5"}`)},
	{"DataLoneSurrogateEscape", kept(`{"a":"\ud83e","b":"\udde5\ud83e"}`)},
	{"DataQuotes", kept(`{"a":"'\";--%41%s$1","b":"<script>&amp;</script>"}`)},
	{"DataUnicode", kept("{\"caf\u00e9\":\"cafe\u0301 \u00df \u05d0\u05d1 \u202e \u200b \u2028\u2029 \ufeff \x7f\"}")},
	{"DataEmoji", kept("{\"\U0001F9E5\":\"\U0001F468\u200d\U0001F469\u200d\U0001F467 \U0010FFFF \uffff\"}")},
	{"DataNamesOfOperators", kept(`{"$set":{"a.b":1},"a.b.":2,"$":3,"__proto__":{},"_id":4,"expires":5,"session":6}`)},
	{"DataDeep", kept(strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40))},
	{"DataNoObject", kept(`[null,true,"a"]`)},
	{"DataOneMiB", dataOneMiB},
}

func kept(data string) func(*check) {
	return func(c *check) {
		rec := c.record("a")
		rec.Data = []byte(data)
		c.create(rec)
		c.holds(rec)
		second := with(rec, c.data("second"))
		c.update(rec, second)
		c.update(c.load(rec), rec)
		c.holds(rec)
	}
}

func dataOneMiB(c *check) {
	text := strings.Repeat("cloakroom \u2028 ", 1<<20/13)
	rec := c.record("a")
	rec.Data = c.data(text)
	c.create(rec)
	c.holds(rec)
	second := with(rec, c.data(text+"."))
	c.update(rec, second)
	c.holds(second)
	err := c.store.Update(c.Context(), rec, with(rec, c.data(text+"!")))
	c.answers("Update of other content", err, store.ErrConflict)
	c.update(c.load(rec), rec)
	c.holds(rec)
}

// Nobody writes to the bytes that were handed over, and a store that wants to
// keep them makes a copy.
var sliceCases = []testCase{
	{"CreateKeepsNoSlice", createKeepsNoSlice},
	{"UpdateKeepsNoSlice", updateKeepsNoSlice},
	{"GivenBytesAreNotWritten", givenBytesAreNotWritten},
	{"LoadedBytesSurviveUpdate", loadedBytesSurviveUpdate},
	{"LoadedBytesSurviveDelete", loadedBytesSurviveDelete},
	{"LoadedBytesSurviveExpiry", loadedBytesSurviveExpiry},
	{"LoadedBytesSurviveOtherRecords", loadedBytesSurviveOtherRecords},
	{"SharedBytesAreHandedOutAgain", sharedBytesAreHandedOutAgain},
}

// scrawl overwrites data as a caller does who uses a buffer again.
func scrawl(data []byte) {
	for i := range data {
		data[i] = '!'
	}
}

func createKeepsNoSlice(c *check) {
	rec := c.record("a")
	given := bytes.Clone(rec.Data)
	c.create(with(rec, given))
	scrawl(given)
	c.holds(rec)
}

func updateKeepsNoSlice(c *check) {
	rec := c.create(c.record("a"))
	next := with(rec, c.data("second"))
	old, given := c.load(rec), bytes.Clone(next.Data)
	c.update(old, with(rec, given))
	scrawl(given)
	c.holds(next)
}

func givenBytesAreNotWritten(c *check) {
	roomy := func(data []byte) []byte { return append(make([]byte, 0, 2*len(data)), data...) }
	rec, second, third := c.record("a"), c.data("second"), c.data("a third one")
	given := [][]byte{roomy(rec.Data), roomy(second), roomy(third)}
	c.create(with(rec, given[0]))
	c.update(with(rec, given[0]), with(rec, given[1]))
	c.update(with(rec, given[1]), with(rec, given[2]))
	err := c.store.Update(c.Context(), with(rec, given[0]), with(rec, given[1]))
	c.answers("Update of other content", err, store.ErrConflict)
	for i, want := range [][]byte{rec.Data, second, third} {
		if !bytes.Equal(given[i], want) {
			c.Fatalf("the store changed data that it was given: %s, was %s", brief(given[i]), want)
		}
		spare := given[i][len(want):cap(given[i])]
		if slices.ContainsFunc(spare, func(b byte) bool { return b != 0 }) {
			c.Fatalf("the store wrote behind the end of data that it was given: %q", spare)
		}
	}
}

func loadedBytesSurviveUpdate(c *check) {
	rec := c.create(c.record("a"))
	loaded := c.load(rec)
	for _, text := range []string{"FIRST", "2", "a longer one", "again"} {
		c.update(c.load(rec), with(rec, c.data(text)))
		c.answers("Touch", c.store.Touch(c.Context(), rec.ID, long), nil)
		c.load(rec)
		c.same("Load, earlier,", loaded, rec)
	}
}

func loadedBytesSurviveDelete(c *check) {
	rec := c.create(c.record("a"))
	loaded := c.load(rec)
	c.answers("Delete", c.store.Delete(c.Context(), rec.ID), nil)
	c.create(with(rec, c.data("FIRST")))
	c.load(rec)
	c.same("Load, earlier,", loaded, rec)
}

func loadedBytesSurviveExpiry(c *check) {
	rec := c.record("a")
	loaded := c.loadBriefly(rec)
	c.create(with(rec, c.data("FIRST")))
	c.load(rec)
	c.same("Load, earlier,", loaded, rec)
}

func loadedBytesSurviveOtherRecords(c *check) {
	rec := c.create(c.record("a"))
	loaded := c.load(rec)
	for _, name := range []string{"b", "c", "d", "e"} {
		other := c.record(name)
		other.Data = c.data("FIRST")
		c.create(other)
		c.load(other)
		c.answers("Delete", c.store.Delete(c.Context(), other.ID), nil)
		c.same("Load, earlier,", loaded, rec)
	}
}

// Core looks whether it has read these very bytes before: others would not be found
// again, and the same ones with another content would be taken for the former.
func sharedBytesAreHandedOutAgain(c *check) {
	rec := c.record("a")
	rec.Shared = true
	c.create(rec)
	for _, text := range []string{"FIRST", "other", "a longer one"} {
		loaded := c.load(rec)
		if !loaded.Shared || len(loaded.Data) == 0 {
			return // it says nothing
		}
		if again := c.load(rec); begin(again) != begin(loaded) {
			c.Fatalf("Load says that its bytes are shared, and returns others the second time")
		}
		next := with(rec, c.data(text))
		next.Shared = true
		c.update(loaded, next)
		if newest := c.load(next); begin(newest) == begin(loaded) {
			c.Fatalf("after an Update, Load returns the bytes that it returned before")
		}
		rec = next
	}
}

// begin returns where the bytes of a record begin in memory, or nil.
func begin(rec store.Record) *byte {
	if len(rec.Data) == 0 {
		return nil
	}
	return &rec.Data[0]
}
