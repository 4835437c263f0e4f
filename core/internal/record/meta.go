package record

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"strconv"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// A Meta is the member __cloakroom.
type Meta struct {
	// Present says that the record has the member. Express makes none.
	Present bool

	// Token is random, and new with every write. So no two records are ever equal,
	// and a process that does not know whether its write was applied can tell by
	// looking at what is stored.
	Token Token

	// Created is when the session began. It is zero for a session that Express
	// made and that was not written here yet.
	Created UnixMilli

	// Retired tells of a record whose id was given up, and is nil where it was not.
	Retired *Retirement

	// Age is the max age that was last written here. Where the member cookie says
	// something else, Express changed it.
	Age Age

	// User is the JSON of whose session it is, and nil where nobody signed in. What
	// is in it is core's affair, but for Until. It always is an object.
	User []byte

	// Until is the member until of User: how long the list of the user has the session,
	// in Unix milliseconds, and 0 where that is not said. Each request looks at it.
	Until int64

	// Before is the JSON of where the session was before it was taken over from another
	// library, and nil where it was not. What is in it is core's affair. It always is an
	// object.
	Before []byte

	// Bind is the JSON of the key that the session is bound to, and nil where it is bound
	// to none. What is in it is core's affair. It always is an object.
	Bind []byte

	// Rest holds the members that this version does not know, each with a comma
	// before it. They are written back, so that processes of a later version can
	// run beside this one.
	Rest string
}

// A Retirement is what a record says whose id was given up.
type Retirement struct {
	// At is when.
	At UnixMilli

	// Next is the JSON string of where the session moved on to, which only this
	// deployment can read. It is nil where the record was about to be deleted.
	Next []byte

	// Rotated says that the id was given up by the clock alone, so that a request which
	// comes with it a moment later may be led to Next.
	Rotated bool
}

// A UnixMilli is a time as records have it: in milliseconds since 1970, and zero for
// none. JavaScript's Date has the same precision.
type UnixMilli int64

// Millis returns t, cut to the millisecond.
func Millis(t time.Time) UnixMilli {
	if t.IsZero() {
		return 0
	}
	return UnixMilli(t.UnixMilli())
}

// Time returns u, in the local time zone, or the zero time where u is none.
func (u UnixMilli) Time() time.Time {
	if u == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(u))
}

// tokenBytes is how many random bytes a token has. It only has to differ from those
// of the same session.
const tokenBytes = 8

// A Token is that of one write, in base64url. One that cannot be read is zero, which
// no token that was written is.
type Token [11]byte

// NewToken returns a token for the next write.
func NewToken() (t Token) {
	var raw [tokenBytes]byte
	rand.Read(raw[:]) // This never fails: crypto/rand ends the program rather than return bad bytes.
	base64.RawURLEncoding.Encode(t[:], raw[:])
	return t
}

// IsRetired reports whether the session moved on to another id. What is left under
// this one is no session any more.
func (m Meta) IsRetired() bool { return m.Retired != nil }

// Append appends the JSON of m. The member created comes first and the token second;
// what most sessions do not have is left out.
func (m Meta) Append(dst []byte) []byte {
	dst, _ = m.append(dst)
	return dst
}

// pieces returns how many bytes the pieces of m take whose length is another for each session.
func (m *Meta) pieces() (n int) {
	const name = len(`,"before":`)
	for _, piece := range [][]byte{m.User, m.Before, m.Bind} {
		if piece != nil {
			n += name + len(piece)
		}
	}
	return n + len(m.Rest)
}

// places are where pieces of a Meta begin in its text.
type places struct{ user, before, bind int }

// append does what Append does, and returns where User, Before and Bind begin in dst.
func (m Meta) append(dst []byte) (out []byte, at places) {
	dst = append(dst, '{')
	if m.Created != 0 {
		dst = append(dst, `"created":`...)
		dst = strconv.AppendInt(dst, int64(m.Created), 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"token":`...)
	dst = jsontext.AppendPlain(dst, m.Token[:])
	// A session whose cookie is for as long as the browser runs, because that is what
	// the configuration says, has neither of these two.
	if m.Age.Max > 0 {
		dst = append(dst, `,"maxAge":`...)
		dst = strconv.AppendInt(dst, m.Age.Max.Milliseconds(), 10)
	}
	if m.Age.Own {
		dst = append(dst, `,"ownMaxAge":true`...)
	}
	if m.IsRetired() {
		dst = append(dst, `,"retired":`...)
		dst = strconv.AppendInt(dst, int64(m.Retired.At), 10)
		if m.Retired.Next != nil {
			dst = append(append(dst, `,"next":`...), m.Retired.Next...)
		}
		if m.Retired.Rotated {
			dst = append(dst, `,"rotated":true`...)
		}
	}
	if m.User != nil {
		dst = append(dst, `,"user":`...)
		at.user = len(dst)
		dst = append(dst, m.User...)
	}
	if m.Before != nil {
		dst = append(dst, `,"before":`...)
		at.before = len(dst)
		dst = append(dst, m.Before...)
	}
	if m.Bind != nil {
		dst = append(dst, `,"bind":`...)
		at.bind = len(dst)
		dst = append(dst, m.Bind...)
	}
	dst = append(dst, m.Rest...)
	return append(dst, '}'), at
}

// parseMeta reads the member. Values of the wrong type count as missing, so that
// nothing that somebody else wrote there fails a request.
func parseMeta(raw []byte) Meta {
	m, retired := Meta{Present: true}, Retirement{}
	head := m.parseHead(raw)
	if head == len(raw) {
		return m
	}
	var (
		buf     [8]jsontext.Member
		members []jsontext.Member
		ok      bool
	)
	if head > 0 {
		members, ok = jsontext.ScanMembers(raw, head, buf[:0])
	} else {
		members, ok = jsontext.Scan(raw, buf[:0])
	}
	if !ok {
		return Meta{} // It is somebody else's, and is replaced at the next write.
	}
	// The names are compared as they stand. One that somebody wrote with escapes is
	// not known, and kept.
	for _, mem := range members {
		if !m.setMember(raw[mem.Name:mem.NameEnd()], raw[mem.Value:mem.ValueEnd], &retired) {
			m.Rest += "," + string(raw[mem.Name-1:mem.ValueEnd])
		}
	}
	if retired.At != 0 {
		m.Retired = &Retirement{retired.At, retired.Next, retired.Rotated}
	}
	return m
}

// setMember reads one member into m or retired, and reports whether it is one that this
// version knows. What it keeps of value is not copied: the text of a record stays as it
// is.
func (m *Meta) setMember(name, value []byte, retired *Retirement) (known bool) {
	switch string(name) {
	case "created":
		if ms, ok := jsontext.ParseInt(value); ok && ms > 0 {
			m.Created = UnixMilli(ms)
		}
	case "token":
		if len(value) == len(m.Token)+2 && value[0] == '"' {
			copy(m.Token[:], value[1:])
		}
	case "maxAge":
		m.Age.Max = milliseconds(value)
	case "ownMaxAge":
		m.Age.Own = string(value) == "true"
	case "retired":
		if ms, ok := jsontext.ParseInt(value); ok && ms > 0 {
			retired.At = UnixMilli(ms)
		}
	case "next":
		retired.Next = nil
		if len(value) > 2 && value[0] == '"' {
			retired.Next = value
		}
	case "rotated":
		retired.Rotated = string(value) == "true"
	case "user":
		m.User = ifObject(value)
		m.Until = untilOf(m.User)
	case "before":
		m.Before = ifObject(value)
	case "bind":
		m.Bind = ifObject(value)
	default:
		return false
	}
	return true
}

// ifObject returns a value that is an object, and nil for any other.
func ifObject(value []byte) []byte {
	if value[0] == '{' {
		return value
	}
	return nil
}

// untilOf returns the member until of the member user, 0 where there is none.
func untilOf(user []byte) int64 {
	until, _ := jsontext.ParseInt(jsontext.First(user, "until"))
	return until
}

// parseHead reads the first two members where they stand as Append writes them, which
// is quicker than to look at each name. It returns where the next member begins, or
// the length of raw where there is none, and 0 where raw begins in another way.
func (m *Meta) parseHead(raw []byte) int {
	const before, between = `{"created":`, `,"token":"`
	rest, ok := bytes.CutPrefix(raw, []byte(before))
	comma := bytes.IndexByte(rest, ',')
	token := comma + len(between)
	end := token + len(m.Token)
	if !ok || comma < 0 || len(rest) < end+2 || string(rest[comma:token]) != between || rest[end] != '"' {
		return 0
	}
	ms, ok := jsontext.ParseInt(rest[:comma])
	if !ok || ms <= 0 || !jsontext.IsPlain(rest[token:end]) {
		return 0
	}
	end++
	if next := len(before) + end + 1; rest[end] == ',' || rest[end] == '}' && next == len(raw) {
		m.Created, m.Token = UnixMilli(ms), Token(rest[token:])
		return next
	}
	return 0
}
