package core

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// A session record is read without being decoded: one pass finds where the
// members of the top level begin and end, and a change is spliced in. So what a
// handler does not touch stays as it is, byte for byte, and a large value costs
// nothing but the walk over it.

// A member is one name and value of an object, as positions in its text.
type member struct {
	name, nameEnd   int32 // between the quotes
	value, valueEnd int32
	plain           bool // the name has no escapes: it can be compared as it stands
}

// maxText is how long a text may be, for positions in it to fit into a member.
const maxText = math.MaxInt32

// scanObject appends the members of the object in data to dst, in order,
// duplicates included. It reports false when the top level cannot be made out.
// It does not look inside the values more than it takes to find their end.
//
// Whenever encoding/json accepts data as an object, scanObject finds the same
// members; it also accepts some texts with damage inside a value, which shows
// when that value is decoded.
func scanObject(data []byte, dst []member) ([]member, bool) {
	i := skipSpace(data, 0)
	if i == len(data) || data[i] != '{' || len(data) > maxText {
		return dst, false
	}
	i = skipSpace(data, i+1)
	if i < len(data) && data[i] == '}' {
		return dst, skipSpace(data, i+1) == len(data)
	}
	return scanMembers(data, i, dst)
}

// scanMembers is scanObject from the name of a member on.
func scanMembers(data []byte, i int, dst []member) ([]member, bool) {
	for i < len(data) && data[i] == '"' {
		var m member
		end, plain, ok := skipName(data, i)
		if !ok {
			return dst, false
		}
		m.name, m.nameEnd, m.plain = int32(i+1), int32(end-1), plain //nolint:gosec // at most maxText
		i = skipSpace(data, end)
		if i == len(data) || data[i] != ':' {
			return dst, false
		}
		i = skipSpace(data, i+1)
		if end, ok = skipValue(data, i); !ok {
			return dst, false
		}
		m.value, m.valueEnd = int32(i), int32(end) //nolint:gosec // likewise
		if len(dst) == cap(dst) {                  // room for all, if they go on as they began
			dst = slices.Grow(dst, int(int64(len(dst)+1)*int64(len(data)-end)/int64(end))+8) // an int may have 32 bits
		}
		dst = append(dst, m)
		i = skipSpace(data, end)
		switch {
		case i == len(data):
			return dst, false
		case data[i] == '}':
			return dst, skipSpace(data, i+1) == len(data)
		case data[i] != ',':
			return dst, false
		}
		i = skipSpace(data, i+1)
	}
	return dst, false
}

// memberName returns the name of m, unescaped.
func memberName(data []byte, m member) string {
	if m.plain {
		return string(data[m.name:m.nameEnd])
	}
	var name string
	if json.Unmarshal(data[m.name-1:m.nameEnd+1], &name) != nil {
		return string(data[m.name:m.nameEnd])
	}
	return name
}

// memberIs tells whether the name of m, unescaped, is name.
func memberIs(data []byte, m member, name string) bool {
	if m.plain {
		return string(data[m.name:m.nameEnd]) == name // does not allocate
	}
	return memberName(data, m) == name
}

// findMember returns the value of name, or nil. As in JSON.parse and
// encoding/json the last of several wins.
func findMember(data []byte, members []member, name string) []byte {
	if i := lastMember(data, members, name); i >= 0 {
		return data[members[i].value:members[i].valueEnd]
	}
	return nil
}

// lastMember returns the index of that member, or -1.
func lastMember(data []byte, members []member, name string) int {
	for i := len(members) - 1; i >= 0; i-- {
		if memberIs(data, members[i], name) {
			return i
		}
	}
	return -1
}

func skipSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// skipName returns the position after the name that begins at i, and whether it
// is plain.
func skipName(data []byte, i int) (end int, plain, ok bool) {
	for j := i + 1; j < len(data); j++ {
		switch c := data[j]; {
		case c == '"':
			return j + 1, true, true
		case c < ' ' || c == '\\' || c >= utf8.RuneSelf:
			end, ok = skipString(data, i)
			return end, ok && isPlain(data[i+1:end-1]), ok
		}
	}
	return 0, false, false
}

// skipString returns the position after the string that begins at i.
func skipString(data []byte, i int) (int, bool) {
	for j := i + 1; j < len(data); {
		n := bytes.IndexByte(data[j:], '"')
		if n < 0 {
			return 0, false
		}
		j += n
		k := j
		for k > i+1 && data[k-1] == '\\' {
			k--
		}
		if (j-k)%2 == 0 { // not escaped
			return j + 1, true
		}
		j++
	}
	return 0, false
}

// skipValue returns the position after the value that begins at i.
func skipValue(data []byte, i int) (int, bool) {
	if i == len(data) {
		return 0, false
	}
	switch data[i] {
	case '"':
		return skipString(data, i)
	case '{', '[':
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
	start := i
	for i < len(data) && !isDelimiter(data[i]) {
		i++
	}
	return i, i > start
}

func isDelimiter(c byte) bool {
	switch c {
	case ',', '}', ']', ':', '{', '[', '"', ' ', '\n', '\t', '\r':
		return true
	}
	return false
}

// isPlain tells whether the text of a string stands for itself: UTF-8 without
// escapes.
func isPlain(s []byte) bool {
	ascii := true
	for _, c := range s {
		if c < ' ' || c == '\\' || c == '"' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	return ascii || utf8.Valid(s)
}

// isPlainString is isPlain for a string, ASCII only.
func isPlainString(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '\\' || c == '"' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// encodeValue returns v as JSON, with the escapes that JSON.stringify uses:
// none for <, > and &.
func encodeValue(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case string:
		if isPlainString(v) {
			return appendPlain(make([]byte, 0, len(v)+2), v), nil
		}
	case int:
		return strconv.AppendInt(nil, int64(v), 10), nil
	case bool:
		return strconv.AppendBool(nil, v), nil
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// decodePlain does what json.Unmarshal does for the commonest values, and tells
// whether it did. v does not escape from it, so that reading them costs no
// allocation.
func decodePlain(raw []byte, v any) bool {
	switch v := v.(type) {
	case *string:
		if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' && isPlain(raw[1:n-1]) {
			*v = string(raw[1 : n-1])
			return true
		}
	case *int:
		if n, ok := parseInt(raw); ok && int64(int(n)) == n {
			*v = int(n)
			return true
		}
	case *bool:
		switch string(raw) {
		case "true", "false":
			*v = raw[0] == 't'
			return true
		}
	}
	return false
}

// parseInt reads a plain decimal number of up to 18 digits.
func parseInt(raw []byte) (int64, bool) {
	digits := raw
	if len(raw) > 0 && raw[0] == '-' {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	n := int64(0)
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	if len(digits) < len(raw) {
		n = -n
	}
	return n, true
}

// appendString appends s as a JSON string.
func appendString(dst []byte, s string) []byte {
	if isPlainString(s) {
		return appendPlain(dst, s)
	}
	raw, err := encodeValue(s)
	if err != nil { // a string can always be encoded
		panic(err)
	}
	return append(dst, raw...)
}

func appendPlain[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// safeJSONError returns err without what it may quote: encoding/json's messages
// can contain pieces of the value, and so can those of a type's own methods.
func safeJSONError(err error) error {
	var (
		mismatch    *json.UnmarshalTypeError
		unsupported *json.UnsupportedTypeError
	)
	switch {
	case errors.As(err, &mismatch):
		return fmt.Errorf("value is not a %v", mismatch.Type)
	case errors.As(err, &unsupported):
		return fmt.Errorf("type %v cannot be encoded as JSON", unsupported.Type)
	}
	var v *json.UnsupportedValueError
	if errors.As(err, &v) {
		return errors.New("value cannot be encoded as JSON (a cycle, NaN or an infinity)")
	}
	return fmt.Errorf("JSON: %T", err)
}
