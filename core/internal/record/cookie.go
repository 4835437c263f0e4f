package record

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
)

// The member cookie is what express-session's Cookie.prototype.toJSON returns, and
// the names, order and odd values are its. Express makes the cookie that it sends
// from it.

const (
	// isoMillis is how JavaScript's Date.prototype.toISOString writes a time.
	isoMillis = "2006-01-02T15:04:05.000Z"

	// maxDuration is the longest duration there is, of 292 years.
	maxDuration = time.Duration(1<<63 - 1)
)

// A CookieWriter writes the member cookie.
type CookieWriter struct {
	// Attributes are those of the cookie that goes out.
	Attributes ticket.Attributes

	// OmitSecure leaves the member secure out, as Express does where its option of
	// that name is not set. Otherwise it says what Attributes say.
	OmitSecure bool

	// Age is the max age of the session.
	Age Age

	// Set says that the request changed the max age: Age is written even where the
	// record says otherwise.
	Set bool

	// Keep says that the browser is not told of another expiry, so that the one in
	// the record stays.
	Keep bool

	// Now is the time from which the expiry counts.
	Now time.Time
}

// append appends the member cookie. found is what the record had, or nil. Of that
// only the expiry is brought up to date, and what would hurt Express is mended.
func (w CookieWriter) append(dst, found []byte) []byte {
	var buf [12]jsontext.Member
	members, ok := jsontext.Scan(found, buf[:0])
	if !ok { // There is nothing that could be kept.
		return w.appendNew(dst)
	}
	original := jsontext.Find(found, members, "originalMaxAge")
	maxAge := milliseconds(original)
	if w.Set {
		maxAge = w.Age.Max
	}
	if !w.Set && maxAge == 0 && isNone(original) && isNone(jsontext.Find(found, members, "expires")) {
		return append(dst, found...) // A cookie for the browser's session.
	}
	// Members that are not about time stay as they are, and all stay in their order.
	// Express's own loader takes what it finds here for the options of the cookie.
	dst = append(dst, '{')
	hasAge, hasExpires := false, false
	start := len(dst)
	comma := func() {
		if len(dst) > start {
			dst = append(dst, ',')
		}
	}
	for _, m := range members {
		comma()
		switch string(found[m.Name:m.NameEnd()]) {
		case "originalMaxAge":
			hasAge = true
			dst = append(dst, `"originalMaxAge":`...)
			// A string here makes Node crash, so what is no positive number is
			// replaced. One that is stays as it was written.
			if w.Set || maxAge == 0 {
				dst = appendMaxAge(dst, maxAge)
			} else {
				dst = append(dst, original...)
			}
		case "expires":
			hasExpires = true
			dst = append(dst, `"expires":`...)
			if w.Keep && !CookieExpires(found).IsZero() {
				dst = append(dst, found[m.Value:m.ValueEnd]...)
			} else {
				dst = appendExpires(dst, w.Now, maxAge)
			}
		default:
			dst = append(dst, found[m.Name-1:m.ValueEnd]...)
		}
	}
	if !hasAge {
		comma()
		dst = appendMaxAge(append(dst, `"originalMaxAge":`...), maxAge)
	}
	if !hasExpires {
		comma()
		dst = appendExpires(append(dst, `"expires":`...), w.Now, maxAge)
	}
	return append(dst, '}')
}

// appendNew appends the member for a new session, as express-session would write it:
// with its members, in its order, and without those for which there is no option.
func (w CookieWriter) appendNew(dst []byte) []byte {
	a := w.Attributes
	dst = appendMaxAge(append(dst, `{"originalMaxAge":`...), w.Age.Max)
	if a.Partitioned {
		dst = append(dst, `,"partitioned":true`...)
	}
	if a.Priority != "" {
		dst = appendLower(append(dst, `,"priority":`...), a.Priority)
	}
	dst = appendExpires(append(dst, `,"expires":`...), w.Now, w.Age.Max)
	if !w.OmitSecure {
		dst = strconv.AppendBool(append(dst, `,"secure":`...), a.Secure)
	}
	dst = strconv.AppendBool(append(dst, `,"httpOnly":`...), a.HTTPOnly)
	if a.Domain != "" {
		dst = jsontext.AppendString(append(dst, `,"domain":`...), a.Domain)
	}
	dst = jsontext.AppendString(append(dst, `,"path":`...), a.Path)
	if s := ticket.SameSiteName(a.SameSite); s != "" {
		dst = appendLower(append(dst, `,"sameSite":`...), s)
	}
	return append(dst, '}')
}

// appendLower appends an ASCII word in lower case, in quotes: so Express has values
// that are capitalized in the Set-Cookie header.
func appendLower(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}

// appendMaxAge appends originalMaxAge, in milliseconds, or null for a cookie for the
// browser's session.
func appendMaxAge(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, d.Milliseconds(), 10)
}

// appendExpires appends when a cookie that is sent now with that max age expires, or
// null for one for the browser's session.
func appendExpires(dst []byte, now time.Time, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = now.Add(d).UTC().AppendFormat(dst, isoMillis)
	return append(dst, '"')
}

// CookieExpires returns the expiry in the member cookie, which is what the browser
// was last told, or the zero time.
func CookieExpires(cookie []byte) (t time.Time) {
	var buf [10]jsontext.Member
	members, ok := jsontext.Scan(cookie, buf[:0])
	if !ok {
		return t
	}
	_ = json.Unmarshal(jsontext.Find(cookie, members, "expires"), &t) // Anything else is no expiry.
	return t
}

// CookieMaxAge returns originalMaxAge of the member cookie. Whatever is odd about it,
// from a missing member to a string, counts as none, which is 0.
func CookieMaxAge(cookie []byte) time.Duration {
	var buf [10]jsontext.Member
	members, ok := jsontext.Scan(cookie, buf[:0])
	if !ok {
		return 0
	}
	return milliseconds(jsontext.Find(cookie, members, "originalMaxAge"))
}

// milliseconds returns a positive JSON number as a duration, and 0 for anything else.
// A number that is too large is the longest duration there is.
func milliseconds(raw []byte) time.Duration {
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return 0
	}
	// JavaScript's numbers are floating-point numbers, so that what Express wrote may
	// have a fraction or an exponent.
	ms, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil || ms <= 0:
		return 0
	case ms >= float64(maxDuration/time.Millisecond):
		return maxDuration
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// isNone reports whether a member says that there is no max age or no expiry, in one
// of express-session's ways: it is missing, null or false.
func isNone(raw []byte) bool {
	return raw == nil || string(raw) == "null" || string(raw) == "false"
}
