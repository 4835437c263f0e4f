package core

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// A session is stored as express-session stores it: one JSON object with a
// member "cookie" and the app's keys beside it. One more member,
// "__cloakroom", holds what Express has no place for. Express keeps members
// that it does not know, and so do we: everything that a handler did not touch
// is written back byte for byte and in the same order.
//
//	{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},
//	 "user":"bob",
//	 "__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}

const (
	cookieMember = "cookie"
	metaMember   = "__cloakroom"

	isoMillis  = "2006-01-02T15:04:05.000Z" // how JavaScript writes a Date
	tokenBytes = 8

	// sameAge is how far apart two max ages may be and count as equal:
	// express-session loses a millisecond now and then when it writes one.
	sameAge = time.Second

	maxDuration = time.Duration(1<<63 - 1)
)

// A document is a record that was read or written. It belongs to one request.
type document struct {
	record  Record   // as the store has it: hashed and sealed where that is on
	text    []byte   // the JSON
	members []member // of text; use index
	meta    meta
	age     age
	bare    bool // the member cookie is an object without a max age and an expiry: it is written back as it is

	few [6]member // room for the members of most sessions
}

// index returns the members of the top level. For a record that this request
// wrote they are looked for when they are needed, which is rarely.
func (d *document) index() []member {
	if d.members == nil {
		d.members, _ = scanObject(d.text, d.few[:0])
	}
	return d.members
}

// A meta is the member __cloakroom.
type meta struct {
	present bool
	token   token     // random, new with every write: no two records are ever equal
	created unixMilli // zero for a session that Express made and nobody changed here yet
	retired unixMilli // when the session moved on to another id; zero: it did not
	age     age       // what we last wrote as the cookie's max age
	user    []byte    // the JSON of whose session it is; nil: nobody signed in (see signedIn)
	rest    []byte    // members that this version does not know, each with a comma before it
}

// A unixMilli is a time as records have it: in milliseconds since 1970, zero for
// none.
type unixMilli int64

func toMillis(t time.Time) unixMilli {
	if t.IsZero() {
		return 0
	}
	return unixMilli(t.UnixMilli())
}

func (u unixMilli) time() time.Time {
	if u == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(u))
}

// A token is that of one write, as text. One that cannot be read is zero, which
// none that was written is.
type token [11]byte

// An age is the max age of a session's cookie.
type age struct {
	own bool          // set for this session (by a handler, or by Express), not by Config
	max time.Duration // 0 is a cookie for the browser's session
}

// A parser reads the texts of records. It remembers how the last one began,
// because most sessions of an app begin alike, with the member cookie.
type parser struct {
	head   atomic.Pointer[head]
	misses atomic.Uint32 // texts that began in another way, as far as they could have been one
}

const (
	headEvery = 64  // after so many misses another head is remembered
	maxHead   = 512 // bytes
)

// A head is the beginning of a text up to and with the comma behind the member
// cookie, which has no max age and no expiry: one that has is another each time.
type head struct {
	text   []byte
	cookie member
}

// parse reads the text of a record. configured is the max age that Config gives.
func (p *parser) parse(rec Record, text []byte, configured time.Duration) (*document, error) {
	d := &document{record: rec, text: text}
	known := p.head.Load()
	var ok bool
	if known != nil && len(text) <= maxText && bytes.HasPrefix(text, known.text) {
		d.members, ok = scanMembers(text, skipSpace(text, len(known.text)), append(d.few[:0], known.cookie))
	} else {
		known = nil
		d.members, ok = scanObject(text, d.few[:0])
	}
	if !ok {
		return nil, ErrUndecodable
	}
	if raw := findMember(text, d.members, metaMember); raw != nil {
		d.meta = parseMeta(raw)
	}
	d.age = d.meta.age
	var found time.Duration
	i := lastMember(text, d.members, cookieMember)
	if d.bare = i == 0 && known != nil; i >= 0 && !d.bare {
		found = cookieMaxAge(d.value(i))
		if i == 0 && found == 0 && p.misses.Add(1)%headEvery == 1 {
			p.remember(d)
		}
	}
	if !d.meta.present {
		d.age = age{own: found > 0 && !near(found, configured), max: found}
	} else if !near(found, d.meta.age.max) { // Express changed it
		d.age = age{own: true, max: found}
	}
	if !d.age.own {
		d.age.max = configured
	}
	return d, nil
}

// remember keeps the head of d, whose first member is a cookie without a max age.
func (p *parser) remember(d *document) {
	first := d.members[0]
	end := skipSpace(d.text, int(first.valueEnd))
	if end < maxHead && d.text[end] == ',' && isBare(d.value(0)) {
		p.head.Store(&head{bytes.Clone(d.text[:end+1]), first})
	}
}

// isBare tells whether the member cookie is an object without a max age and an
// expiry.
func isBare(cookie []byte) bool {
	var buf [12]member
	members, ok := scanObject(cookie, buf[:0])
	return ok && isNone(findMember(cookie, members, "originalMaxAge")) && isNone(findMember(cookie, members, "expires"))
}

// value returns the value of the member at an index.
func (d *document) value(i int) []byte {
	return d.text[d.members[i].value:d.members[i].valueEnd]
}

func near(a, b time.Duration) bool {
	return (a > 0) == (b > 0) && (a-b).Abs() <= sameAge
}

func parseMeta(raw []byte) meta {
	if m, ok := parsePlainMeta(raw); ok {
		return m
	}
	var buf [8]member
	members, ok := scanObject(raw, buf[:0])
	if !ok {
		return meta{} // somebody else's: it is replaced at the next write
	}
	m := meta{present: true}
	for _, mem := range members {
		value := raw[mem.value:mem.valueEnd]
		switch string(raw[mem.name:mem.nameEnd]) {
		case "created":
			if ms, ok := parseInt(value); ok && ms > 0 {
				m.created = unixMilli(ms)
			}
		case "token":
			if len(value) == len(m.token)+2 && value[0] == '"' {
				copy(m.token[:], value[1:])
			}
		case "maxAge":
			m.age.max = milliseconds(value)
		case "ownMaxAge":
			m.age.own = string(value) == "true"
		case "retired":
			if ms, ok := parseInt(value); ok && ms > 0 {
				m.retired = unixMilli(ms)
			}
		case "user":
			m.user = nil
			if value[0] == '{' {
				m.user = value
			}
		default:
			m.rest = append(append(m.rest, ','), raw[mem.name-1:mem.valueEnd]...)
		}
	}
	return m
}

// parsePlainMeta reads what append writes for most sessions.
func parsePlainMeta(raw []byte) (m meta, ok bool) {
	const before, between, user = `{"created":`, `,"token":"`, `,"user":`
	rest, ok := bytes.CutPrefix(raw, []byte(before))
	comma := bytes.IndexByte(rest, ',')
	tail := comma + len(between) + len(m.token) + 1
	if !ok || comma < 0 || len(rest) <= tail || rest[len(rest)-1] != '}' ||
		string(rest[comma:comma+len(between)]) != between || rest[tail-1] != '"' {
		return m, false
	}
	ms, ok := parseInt(rest[:comma])
	written := rest[tail-1-len(m.token) : tail-1]
	if !ok || ms <= 0 || !isPlain(written) {
		return m, false
	}
	if rest = rest[tail:]; len(rest) > 1 {
		value, ok := bytes.CutPrefix(rest[:len(rest)-1], []byte(user))
		if !ok || len(value) == 0 || value[0] != '{' {
			return m, false
		}
		if end, ok := skipValue(value, 0); !ok || end != len(value) {
			return m, false
		}
		m.user = value
	}
	copy(m.token[:], written)
	m.present, m.created = true, unixMilli(ms)
	return m, true
}

func (m meta) isRetired() bool { return m.retired != 0 }

// append appends the JSON of m.
func (m meta) append(dst []byte) []byte {
	dst = append(dst, '{')
	if m.created != 0 {
		dst = append(dst, `"created":`...)
		dst = strconv.AppendInt(dst, int64(m.created), 10)
		dst = append(dst, ',')
	}
	dst = append(dst, `"token":`...)
	dst = appendPlain(dst, m.token[:])
	if m.age.max > 0 {
		dst = append(dst, `,"maxAge":`...)
		dst = strconv.AppendInt(dst, m.age.max.Milliseconds(), 10)
	}
	if m.age.own {
		dst = append(dst, `,"ownMaxAge":true`...)
	}
	if m.isRetired() {
		dst = append(dst, `,"retired":`...)
		dst = strconv.AppendInt(dst, int64(m.retired), 10)
	}
	if m.user != nil {
		dst = append(append(dst, `,"user":`...), m.user...)
	}
	dst = append(dst, m.rest...)
	return append(dst, '}')
}

func newToken() (t token) {
	var raw [tokenBytes]byte
	rand.Read(raw[:])
	base64.RawURLEncoding.Encode(t[:], raw[:])
	return t
}

// cookieMaxAge reads originalMaxAge of the member cookie. Whatever is odd about
// it, from a missing member to a string, counts as none.
func cookieMaxAge(cookie []byte) time.Duration {
	var buf [10]member
	members, ok := scanObject(cookie, buf[:0])
	if !ok {
		return 0
	}
	return milliseconds(findMember(cookie, members, "originalMaxAge"))
}

// milliseconds reads a positive JSON number; anything else is 0.
func milliseconds(raw []byte) time.Duration {
	if len(raw) == 0 || raw[0] < '0' || raw[0] > '9' {
		return 0
	}
	ms, err := strconv.ParseFloat(string(raw), 64)
	switch {
	case err != nil || ms <= 0:
		return 0
	case ms >= float64(maxDuration/time.Millisecond):
		return maxDuration
	}
	return time.Duration(ms * float64(time.Millisecond))
}

// isReserved tells whether name is a member of the record that is not the app's.
func isReserved(name string) bool {
	return name == cookieMember || name == metaMember
}

// checkKey tells whether an app may use a key.
func (m *Manager) checkKey(key string) error {
	if isReserved(key) || key == "__proto__" || m.cfg.ShareWithExpress && droppedByExpress[key] {
		return &KeyError{Key: key, Op: "set", Err: ErrReservedKey}
	}
	if !utf8.ValidString(key) { // it would be stored under another name, and never found again
		return &KeyError{Key: key, Op: "set", Err: errors.New("key is not UTF-8")}
	}
	return nil
}

// droppedByExpress holds the names that express-session loses when it loads a
// session, because its Session object has them already.
var droppedByExpress = map[string]bool{
	"id": true, "req": true, "touch": true, "resetMaxAge": true, "save": true,
	"reload": true, "destroy": true, "regenerate": true, "constructor": true,
	"toString": true, "toLocaleString": true, "valueOf": true, "hasOwnProperty": true,
	"isPrototypeOf": true, "propertyIsEnumerable": true,
	"__defineGetter__": true, "__defineSetter__": true,
	"__lookupGetter__": true, "__lookupSetter__": true,
}

// get returns the value of an app key as it is stored, or nil.
func (d *document) get(key string) []byte {
	if d == nil || isReserved(key) {
		return nil
	}
	return findMember(d.text, d.index(), key)
}

// encode returns the text of the record that results from base (nil for a new
// session) and the changes on top of it, and the number of the app's keys.
// Nothing of base is written to.
func encode(base *document, ch *changes, next meta, cookie cookieWriter) (text []byte, keys int) {
	size := 256 // for the members of ours
	if base != nil {
		size = len(base.text) + 1
		if !base.meta.present {
			size += 64
		}
	}
	for i := range ch.list {
		size += len(ch.list[i].key) + len(ch.list[i].value) + 8
	}
	out := append(make([]byte, 0, size), '{')

	// Each member is written with a comma behind it.
	hasCookie, hasMeta := false, false
	if base != nil {
		hasCookie = lastMember(base.text, base.index(), cookieMember) >= 0
	}
	if !hasCookie { // a new session, or one that Express could not load
		out = append(cookie.append(append(out, `"cookie":`...), nil), ',')
	}
	if base != nil {
		for _, m := range base.index() {
			whole, name := base.text[m.name-1:m.valueEnd], base.text[m.name-1:m.nameEnd+1]
			switch {
			case memberIs(base.text, m, cookieMember) && base.bare && !cookie.set:
				out = append(append(out, whole...), ',')
			case memberIs(base.text, m, cookieMember):
				out = append(cookie.append(append(append(out, name...), ':'), base.text[m.value:m.valueEnd]), ',')
			case memberIs(base.text, m, metaMember):
				if hasMeta {
					continue
				}
				hasMeta = true
				out = append(next.append(append(append(out, name...), ':')), ',')
			default:
				c := ch.find(base.text, m)
				switch {
				case c == nil && !ch.cleared:
					keys++
					out = append(append(out, whole...), ',')
				case c != nil && c.value != nil && !c.written: // of several members of one name the first is kept, with the new value
					c.written = true
					keys++
					out = append(append(append(append(out, name...), ':'), c.value...), ',')
				}
			}
		}
	}
	for i := range ch.list {
		c := &ch.list[i]
		if c.value != nil && !c.written {
			keys++
			out = append(append(append(appendString(out, c.key), ':'), c.value...), ',')
		}
		c.written = false
	}
	if !hasMeta {
		out = append(next.append(append(out, `"__cloakroom":`...)), ',')
	}
	out[len(out)-1] = '}'
	return out, keys
}

// A cookieWriter writes the member cookie, from which Express makes the cookie
// when it sends one.
type cookieWriter struct {
	attributes attributes
	age        age
	set        bool // the max age was changed by the request: write it even where the record says otherwise
	now        time.Time
}

// append appends the member cookie. found is what the record had, nil for none:
// of that only the expiry is brought up to date, and what would hurt Express is
// mended.
func (w cookieWriter) append(dst, found []byte) []byte {
	var buf [12]member
	members, ok := scanObject(found, buf[:0])
	if !ok {
		return w.appendNew(dst)
	}
	original := findMember(found, members, "originalMaxAge")
	maxAge := milliseconds(original)
	if w.set {
		maxAge = w.age.max
	}
	if !w.set && maxAge == 0 && isNone(original) && isNone(findMember(found, members, "expires")) {
		return append(dst, found...) // a cookie for the browser's session
	}
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
		switch string(found[m.name:m.nameEnd]) {
		case "originalMaxAge":
			hasAge = true
			dst = append(dst, `"originalMaxAge":`...)
			if w.set || maxAge == 0 { // a string here makes Node crash
				dst = appendMaxAge(dst, maxAge)
			} else {
				dst = append(dst, original...)
			}
		case "expires":
			hasExpires = true
			dst = append(dst, `"expires":`...)
			dst = appendExpires(dst, w.now, maxAge)
		default:
			dst = append(dst, found[m.name-1:m.valueEnd]...)
		}
	}
	if !hasAge {
		comma()
		dst = appendMaxAge(append(dst, `"originalMaxAge":`...), maxAge)
	}
	if !hasExpires {
		comma()
		dst = appendExpires(append(dst, `"expires":`...), w.now, maxAge)
	}
	return append(dst, '}')
}

// appendNew appends the member for a new session: the members and their order
// are express-session's.
func (w cookieWriter) appendNew(dst []byte) []byte {
	a := w.attributes
	dst = appendMaxAge(append(dst, `{"originalMaxAge":`...), w.age.max)
	if a.Partitioned {
		dst = append(dst, `,"partitioned":true`...)
	}
	if a.Priority != "" {
		dst = appendLower(append(dst, `,"priority":`...), string(a.Priority))
	}
	dst = appendExpires(append(dst, `,"expires":`...), w.now, w.age.max)
	if a.Secure != SecureNever {
		dst = strconv.AppendBool(append(dst, `,"secure":`...), a.secure)
	}
	dst = strconv.AppendBool(append(dst, `,"httpOnly":`...), !a.ScriptAccess)
	if a.Domain != "" {
		dst = appendString(append(dst, `,"domain":`...), a.Domain)
	}
	dst = appendString(append(dst, `,"path":`...), a.Path)
	if s := sameSiteName(a.sameSite); s != "" {
		dst = appendLower(append(dst, `,"sameSite":`...), s)
	}
	return append(dst, '}')
}

// appendLower appends an ASCII word in lower case, in quotes.
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

func appendMaxAge(dst []byte, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "null"...)
	}
	return strconv.AppendInt(dst, d.Milliseconds(), 10)
}

func appendExpires(dst []byte, now time.Time, d time.Duration) []byte {
	if d <= 0 {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = now.Add(d).UTC().AppendFormat(dst, isoMillis)
	return append(dst, '"')
}

// isNone tells whether a member says that there is no expiry, in one of
// express-session's ways.
func isNone(raw []byte) bool {
	return raw == nil || string(raw) == "null" || string(raw) == "false"
}

// cookieExpires reads the expiry in the member cookie: what the browser was
// last told, or zero.
func cookieExpires(cookie []byte) (t time.Time) {
	var buf [10]member
	members, ok := scanObject(cookie, buf[:0])
	if !ok {
		return t
	}
	_ = json.Unmarshal(findMember(cookie, members, "expires"), &t) // zero for anything else
	return t
}

// retiredText is what stays under an id that was given up: nothing of the
// session, but the proof that it once was one.
func retiredText(m meta, cookie cookieWriter) []byte {
	m.age = age{}
	cookie.age = age{}
	out := cookie.appendNew(append(make([]byte, 0, 256), `{"cookie":`...))
	out = append(out, `,"__cloakroom":`...)
	return append(m.append(out), '}')
}
