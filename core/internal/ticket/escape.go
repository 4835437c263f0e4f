package ticket

import (
	"strings"
	"unicode/utf8"
)

// appendURIComponent appends s, escaped as JavaScript's encodeURIComponent does it
// (ECMA-262, section 19.2.6.4). No character that it leaves alone has a meaning in
// a Cookie header.
func appendURIComponent[T string | []byte](dst []byte, s T) []byte {
	// What needs no escape is copied in pieces, from done on.
	const hex = "0123456789ABCDEF"
	done := 0
	for i := range len(s) {
		if c := s[i]; !isUnreserved(c) {
			dst = append(append(dst, s[done:i]...), '%', hex[c>>4], hex[c&15])
			done = i + 1
		}
	}
	return append(dst, s[done:]...)
}

// isUnreserved reports whether encodeURIComponent leaves c as it is.
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	// The marks of RFC 2396, which JavaScript still goes by.
	switch c {
	case '-', '_', '.', '!', '~', '*', '\'', '(', ')':
		return true
	}
	return false
}

// decodeURIComponent appends the unescaped s to dst. As the cookie parsers of the
// Node world do, it leaves all of s as it is when it cannot be unescaped: because of
// a bad escape, or of bytes that are not UTF-8.
func decodeURIComponent(dst []byte, s string) []byte {
	// Each round copies what stands before the next escape, and that.
	start := len(dst)
	for rest := s; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			dst = append(dst, rest...)
			break
		}
		if i+2 >= len(rest) {
			return append(dst[:start], s...)
		}
		hi, ok1 := unhex(rest[i+1])
		lo, ok2 := unhex(rest[i+2])
		if !ok1 || !ok2 {
			return append(dst[:start], s...)
		}
		dst = append(append(dst, rest[:i]...), hi<<4|lo)
		rest = rest[i+3:]
	}
	// JavaScript's decodeURIComponent throws here, and the module cookie then takes the
	// value as it is.
	if !utf8.Valid(dst[start:]) {
		return append(dst[:start], s...)
	}
	return dst
}

// unhex returns the value of a hexadecimal digit, and reports whether c is one.
func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
