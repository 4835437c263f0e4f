package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode/utf8"
)

// IsPlain reports whether the text between the quotes of a string stands for
// itself: whether it is UTF-8 without escapes.
func IsPlain(s []byte) bool {
	// One walk tells about ASCII, which is what nearly all strings are; only others
	// are looked at again.
	ascii := true
	for _, c := range s {
		if c < ' ' || c == '\\' || c == '"' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	// What is not UTF-8 would be replaced by encoding/json.
	return ascii || utf8.Valid(s)
}

// isPlainString reports whether s can be written between quotes as it stands. It
// does not bother with what is not ASCII, which is written the long way.
func isPlainString(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '\\' || c == '"' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// Encode returns v as JSON, with the escapes that JSON.stringify uses, whatever the
// version of Go: none for <, > and &, nor for U+FFFD, U+2028 and U+2029. The commonest
// types are written without encoding/json.
//
// The error may be one of encoding/json, which may quote the value: see
// [EncodingError].
func Encode(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case string:
		// One with escapes is left to encoding/json, which knows which to use.
		if isPlainString(v) {
			return AppendPlain(make([]byte, 0, len(v)+2), v), nil
		}
	case int:
		// A type with a method of its own for JSON is not int but another type.
		return strconv.AppendInt(nil, int64(v), 10), nil
	case bool:
		return strconv.AppendBool(nil, v), nil
	}
	// json.Marshal would escape what matters in HTML only, and Express would write
	// the same value in another way. An Encoder can be told not to, and ends each
	// value with a line break.
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	raw := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if len(raw) > maxDepth && isTooDeep(raw) {
		return nil, errTooDeep
	}
	return unescape(raw), nil
}

// maxDepth is how deep encoding/json reads arrays and objects in one another. It writes
// deeper ones up to Go 1.26, which nobody could read.
const maxDepth = 10_000

var errTooDeep = errors.New("more than 10000 arrays or objects in one another")

// isTooDeep reports whether arrays and objects are deeper in one another than maxDepth.
func isTooDeep(raw []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			inString = !inString
		case c == '\\':
			i++
		case inString:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}

// literal is what JSON.stringify writes as it stands, and encoding/json as an escape, up
// to Go 1.26 U+FFFD too.
var literal = map[string]string{`\ufffd`: "\uFFFD", `\u2028`: "\u2028", `\u2029`: "\u2029"}

// unescape writes what is in literal as it stands. raw is overwritten.
func unescape(raw []byte) []byte {
	first := bytes.IndexByte(raw, '\\')
	if first < 0 {
		return raw
	}
	next := raw[:first]
	for i := first; i < len(raw); i++ {
		if raw[i] != '\\' {
			next = append(next, raw[i])
			continue
		}
		if end := i + len(`\u2028`); end <= len(raw) && literal[string(raw[i:end])] != "" {
			next = append(next, literal[string(raw[i:end])]...)
			i = end - 1
			continue
		}
		next = append(next, raw[i], raw[i+1]) // nothing ends with a backslash
		i++
	}
	return next
}

// DecodePlain does what json.Unmarshal does for strings, numbers and booleans in
// their commonest form, and reports whether it did. Where it did not, v is as it
// was. v does not escape from it, so that reading such values costs no allocation.
func DecodePlain(raw []byte, v any) bool {
	// Whatever is unusual about raw (escapes, fractions, space around it, null) is
	// encoding/json's to decide.
	switch v := v.(type) {
	case *string:
		if n := len(raw); n >= 2 && raw[0] == '"' && raw[n-1] == '"' && IsPlain(raw[1:n-1]) {
			*v = string(raw[1 : n-1]) // A copy: what the app keeps must not keep the record.
			return true
		}
	case *[]string:
		if all, ok := plainStrings(raw); ok {
			*v = all
			return true
		}
	case *int:
		// An int may have 32 bits.
		if n, ok := ParseInt(raw); ok && int64(int(n)) == n {
			*v = int(n)
			return true
		}
	case *bool:
		// Null leaves a variable as it was, which is up to encoding/json.
		switch string(raw) {
		case "true", "false":
			*v = raw[0] == 't'
			return true
		}
	}
	return false
}

// plainStrings returns the elements of an array of plain strings without spaces between
// them.
func plainStrings(raw []byte) ([]string, bool) {
	n := len(raw)
	if n < 2 || raw[0] != '[' || raw[n-1] != ']' {
		return nil, false
	}
	all := []string{}
	for rest := raw[1 : n-1]; len(rest) > 0; {
		if len(all) > 0 {
			if rest[0] != ',' {
				return nil, false
			}
			rest = rest[1:]
		}
		if len(rest) < 2 || rest[0] != '"' {
			return nil, false
		}
		end := bytes.IndexByte(rest[1:], '"') + 1
		if end == 0 || !IsPlain(rest[1:end]) {
			return nil, false
		}
		all, rest = append(all, string(rest[1:end])), rest[end+1:]
	}
	return all, true
}

// ParseInt reads a decimal number of up to 18 digits, without a fraction or an
// exponent, and reports whether raw is one. So many digits always fit into an
// int64.
func ParseInt(raw []byte) (int64, bool) {
	// JSON has no plus sign and no zeros in front. Minus zero is zero.
	digits := raw
	if len(raw) > 0 && raw[0] == '-' {
		digits = raw[1:]
	}
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	// Nothing can overflow here.
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

// AppendString appends s as a JSON string, with its quotes. Bytes that are not UTF-8
// become U+FFFD, as everywhere in encoding/json.
func AppendString(dst []byte, s string) []byte {
	// Most names of keys are plain.
	if isPlainString(s) {
		return AppendPlain(dst, s)
	}
	// Others are written as their values are.
	raw, err := Encode(s)
	if err != nil { // A string can always be encoded.
		panic(err)
	}
	return append(dst, raw...)
}

// AppendPlain appends s between quotes. The caller knows that s needs no escapes.
func AppendPlain[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}
