package adaptertest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// checkSetCookie tells what is wrong with the value of a Set-Cookie header. It
// knows what a server may send (RFC 6265bis, section 4.1) and what a browser
// drops (section 5), and names no value. secure tells that the response came
// over HTTPS.
func checkSetCookie(line string, secure bool) error {
	parts := strings.Split(line, "; ")
	name, value, ok := strings.Cut(parts[0], "=")
	switch {
	case !ok:
		return errors.New("there is no name")
	case !isToken(name):
		return fmt.Errorf("the name %q is no token", name)
	case !isCookieValue(value):
		return fmt.Errorf("the value of %s has characters that are not allowed", name)
	case len(name)+len(value) > 4096:
		return fmt.Errorf("%s is larger than 4096 bytes", name)
	}
	attributes := make(map[string]string)
	for _, part := range parts[1:] {
		key, v, hasValue := strings.Cut(part, "=")
		if _, ok := attributes[key]; ok {
			return fmt.Errorf("%s: the attribute %s comes twice", name, key)
		}
		attributes[key] = v
		if err := checkAttribute(key, v, hasValue); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	_, isSecure := attributes["Secure"]
	_, isPartitioned := attributes["Partitioned"]
	_, hasDomain := attributes["Domain"]
	_, isHTTPOnly := attributes["HttpOnly"]
	isHost := hasPrefixFold(name, "__Host-") // also __Host-Http-
	isHTTP := hasPrefixFold(name, "__Http-") || hasPrefixFold(name, "__Host-Http-")
	switch {
	case isSecure && !secure:
		return fmt.Errorf("%s is Secure but the connection is not", name)
	case (isHost || isHTTP || hasPrefixFold(name, "__Secure-")) && !isSecure:
		return fmt.Errorf("%s is not Secure, which its prefix demands", name)
	case isHost && (hasDomain || attributes["Path"] != "/"):
		return fmt.Errorf("%s has a Domain or another Path than /, which its prefix forbids", name)
	case isHTTP && !isHTTPOnly:
		return fmt.Errorf("%s is not HttpOnly, which its prefix demands", name)
	case attributes["SameSite"] == "None" && !isSecure:
		return fmt.Errorf("%s is SameSite=None but not Secure", name)
	case isPartitioned && !isSecure:
		return fmt.Errorf("%s is Partitioned but not Secure", name)
	case isPartitioned && attributes["SameSite"] != "None":
		return fmt.Errorf("%s is Partitioned but not SameSite=None, so no frame on another site stores it", name)
	}
	return nil
}

func checkAttribute(key, value string, hasValue bool) error {
	if len(value) > 1024 {
		return fmt.Errorf("%s is longer than 1024 bytes", key)
	}
	valid := false
	switch key {
	case "Expires":
		t, err := time.Parse(http.TimeFormat, value)
		valid = err == nil && time.Until(t) <= 400*24*time.Hour
	case "Max-Age":
		n, err := strconv.Atoi(value)
		valid = err == nil && strconv.Itoa(n) == value && n >= 0 && n <= 400*24*60*60
	case "Domain":
		valid = isToken(value) && !strings.HasPrefix(value, ".") && !strings.HasSuffix(value, ".")
	case "Path":
		valid = strings.HasPrefix(value, "/") && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' || r == ';' })
	case "SameSite":
		valid = value == "Strict" || value == "Lax" || value == "None"
	case "Priority":
		valid = value == "Low" || value == "Medium" || value == "High"
	case "Secure", "HttpOnly", "Partitioned":
		if hasValue {
			return fmt.Errorf("%s has a value", key)
		}
		return nil
	default:
		return fmt.Errorf("there is no attribute %q", key)
	}
	if !valid {
		return fmt.Errorf("%s cannot be %q", key, value)
	}
	return nil
}

func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?={}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func isCookieValue(s string) bool {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		s = s[1 : len(s)-1]
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`",;\`, c) >= 0 {
			return false
		}
	}
	return true
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
