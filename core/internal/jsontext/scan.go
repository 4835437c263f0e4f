// Package jsontext finds the members of a JSON object in its text, and writes
// single values, without decoding the whole. A session is read that way: one pass
// finds where the members of the top level begin and end, and a change is spliced
// in. So what a handler does not touch stays as it is, byte for byte, and a large
// value costs nothing but the walk over it.
//
// The grammar is that of RFC 8259. Where texts are odd (names that repeat, names
// with escapes, bytes that are not UTF-8) the package agrees with encoding/json,
// which is what its fuzz tests compare it with. What it writes has the escapes of
// JavaScript's JSON.stringify.
package jsontext

import (
	"bytes"
	"math"
	"slices"
	"unicode/utf8"
)

// A Member is one name and value of an object, as positions in the text of the
// object.
type Member struct {
	// The name stands at [Name:NameEnd()], between its quotes.
	Name int32

	// nameEnd is its end, and negative where the name is not plain.
	nameEnd int32

	// The value stands at [Value:ValueEnd], with its quotes or brackets.
	Value, ValueEnd int32
}

// NameEnd returns where the name ends.
func (m Member) NameEnd() int32 { return max(m.nameEnd, -m.nameEnd) }

// isPlain reports whether the name has no escapes and is UTF-8, so that it can be
// compared as it stands.
func (m Member) isPlain() bool { return m.nameEnd > 0 }

// MaxText is the length of the longest text that [Scan] accepts: positions in a
// longer one do not fit into a Member.
const MaxText = math.MaxInt32

// Scan appends the members of the object in data to dst, in order and duplicates
// included. It reports false when the top level cannot be made out, or when data
// is longer than [MaxText]. It does not look inside the values more than it takes
// to find their end.
//
// Whenever encoding/json accepts data as an object, Scan finds the same members.
// It also accepts some texts with damage inside a value, which shows when that
// value is decoded.
func Scan(data []byte, dst []Member) ([]Member, bool) {
	// An object without members is done here, because ScanMembers expects one.
	i := SkipSpace(data, 0)
	if i == len(data) || data[i] != '{' || len(data) > MaxText {
		return dst, false
	}
	i = SkipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return dst, SkipSpace(data, i+1) == len(data)
	}
	return ScanMembers(data, i, dst)
}

// ScanMembers does what [Scan] does, for a text of which the beginning is known: it
// goes on at position i, which is that of the quote before the name of a member.
func ScanMembers(data []byte, i int, dst []Member) ([]Member, bool) {
	// Each round reads one member and the comma behind it. The first thing that is
	// not as it should be ends the loop.
	for i < len(data) && data[i] == '"' {
		var m Member
		end, plain, ok := skipName(data, i)
		if !ok {
			return dst, false
		}
		if m.Name, m.nameEnd = int32(i+1), int32(end-1); !plain { //nolint:gosec // The text is at most MaxText long.
			m.nameEnd = -m.nameEnd
		}
		i = SkipSpace(data, end)
		if i == len(data) || data[i] != ':' {
			return dst, false
		}
		i = SkipSpace(data, i+1)
		if end, ok = skipValue(data, i); !ok {
			return dst, false
		}
		m.Value, m.ValueEnd = int32(i), int32(end) //nolint:gosec // Likewise.
		if len(dst) == cap(dst) {
			// Make room for all members, if they go on as they began. The product
			// may not fit into an int of 32 bits.
			dst = slices.Grow(dst, int(int64(len(dst)+1)*int64(len(data)-end)/int64(end))+8)
		}
		dst = append(dst, m)
		i = SkipSpace(data, end)
		switch {
		case i == len(data): // The text was cut.
			return dst, false
		case data[i] == '}': // The end, behind which nothing may stand but white space.
			return dst, SkipSpace(data, i+1) == len(data)
		case data[i] != ',':
			return dst, false
		}
		i = SkipSpace(data, i+1)
	}
	return dst, false
}

// SkipSpace returns the position of the first character at or after i that is not
// white space.
func SkipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// skipName returns the position after the name that begins at i, and whether that
// name is plain: see [Member].
func skipName(data []byte, i int) (end int, plain, ok bool) {
	for j := i + 1; j < len(data); j++ {
		switch c := data[j]; {
		case c == '"': // Most names are ASCII, and end the loop here.
			return j + 1, true, true
		case c < ' ' || c == '\\' || c >= utf8.RuneSelf:
			end, ok = skipString(data, i)
			return end, ok && IsPlain(data[i+1:end-1]), ok
		}
	}
	return 0, false, false
}

// skipString returns the position after the string that begins at i. A quote ends
// the string unless an odd number of backslashes stands before it.
func skipString(data []byte, i int) (int, bool) {
	for j := i + 1; j < len(data); {
		n := bytes.IndexByte(data[j:], '"')
		if n < 0 {
			return 0, false
		}
		j += n
		// Count the backslashes backwards: a pair of them is one that is escaped.
		k := j
		for k > i+1 && data[k-1] == '\\' {
			k--
		}
		if (j-k)%2 == 0 { // The quote is not escaped.
			return j + 1, true
		}
		j++
	}
	return 0, false
}

// skipValue returns the position after the value that begins at i. Of an object or
// an array it counts brackets outside of strings. Of anything else it takes what
// stands before the next delimiter, whether or not that is a JSON literal.
func skipValue(data []byte, i int) (int, bool) {
	if i == len(data) {
		return 0, false
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
		// Which kind of bracket closes which is not looked at: where they do not
		// match, decoding the value fails.
		depth := 0
		for i < len(data) {
			switch data[i] {
			case '"':
				end, ok := skipString(data, i)
				if !ok {
					return 0, false
				}
				i = end
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1, true
				}
			}
			i++
		}
		return 0, false
	}
	// A number, true, false or null.
	start := i
	for i < len(data) && !isDelimiter(data[i]) {
		i++
	}
	return i, i > start
}

// isDelimiter reports whether a number or a literal ends before c. Control characters
// other than white space do not end one: decoding the value will refuse them.
func isDelimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ':', '{', '[', '"', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}
