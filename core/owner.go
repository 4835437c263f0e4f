package core

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
)

// Whose session it is. The record says so in the member "user" of __cloakroom,
// which changes only together with the id; the list of the user's sessions
// (lists.go) is what the calls of the Manager go by. With Config.UserKey an ordinary
// key of an Express app says it.

// signedIn is the member "user" of __cloakroom.
type signedIn struct {
	Name   string   `json:"name"`
	Handle string   `json:"handle"`
	Until  int64    `json:"until,omitempty"` // how long the list of the user has the session, in Unix ms
	By     []string `json:"by,omitempty"`
	Device string   `json:"device,omitempty"`
	Net    string   `json:"net,omitempty"`
	Epoch  string   `json:"epoch,omitempty"` // with Config.Sealed: see ends.go
	Peer   bool     `json:"peer,omitempty"`  // an Express app did it: the rest is not known, nor when
}

// handleIn returns the handle of the session with that record.
func (m *Manager) handleIn(d *record.Document) string {
	if in, ok := signedInOf(d); ok && in.Handle != "" && in.Name == m.userOf(d) {
		return in.Handle
	}
	return handleOf(d.Record.ID)
}

// handleOf makes a handle of what the store calls a session. It is one-way, and
// the same in all processes.
func handleOf(key string) string {
	var buf [64]byte
	sum := sha256.Sum256(append(append(buf[:0], "cloakroom handle\x00"...), key...))
	return string(base64.RawURLEncoding.AppendEncode(buf[:0], sum[:12]))
}

// userOf returns whose session it is, or an empty string. d may be nil.
func (m *Manager) userOf(d *record.Document) string {
	switch {
	case d == nil:
		return ""
	case len(m.userPath) > 0:
		return textAt(d.Get(m.userPath[0]), m.userPath[1:])
	}
	return userName(d)
}

// isOfUser reports whether the session is that of a user.
func (m *Manager) isOfUser(d *record.Document) bool {
	if len(m.userPath) > 0 {
		return m.userOf(d) != ""
	}
	return d.Meta.User != nil
}

// userName returns the name of who signed in.
func userName(d *record.Document) string {
	var buf [8]jsontext.Member
	members, ok := jsontext.Scan(d.Meta.User, buf[:0])
	if !ok {
		return ""
	}
	var name string
	raw := jsontext.Find(d.Meta.User, members, "name")
	if raw == nil || jsontext.DecodePlain(raw, &name) {
		return name
	}
	var other string                // one that escapes
	_ = json.Unmarshal(raw, &other) // somebody else's: no name
	return other
}

// signedInOf decodes the member.
func signedInOf(d *record.Document) (in signedIn, ok bool) {
	if d == nil || d.Meta.User == nil {
		return in, false
	}
	if in.decode(d.Meta.User) {
		return in, in.Name != ""
	}
	var other signedIn // somebody else wrote it in another way; it escapes
	if json.Unmarshal(d.Meta.User, &other) != nil {
		return signedIn{}, false
	}
	return other, other.Name != ""
}

// decode reads the member as it is written here, and reports whether it is so.
func (in *signedIn) decode(raw []byte) bool {
	var buf [8]jsontext.Member
	members, ok := jsontext.Scan(raw, buf[:0])
	for _, m := range members {
		if value := raw[m.Value:m.ValueEnd]; ok {
			switch string(raw[m.Name:m.NameEnd()]) {
			case "name":
				ok = jsontext.DecodePlain(value, &in.Name)
			case "handle":
				ok = jsontext.DecodePlain(value, &in.Handle)
			case "until":
				in.Until, ok = jsontext.ParseInt(value)
			case "by":
				ok = jsontext.DecodePlain(value, &in.By)
			case "device":
				ok = jsontext.DecodePlain(value, &in.Device)
			case "net":
				ok = jsontext.DecodePlain(value, &in.Net)
			case "epoch":
				ok = jsontext.DecodePlain(value, &in.Epoch)
			case "peer":
				ok = jsontext.DecodePlain(value, &in.Peer)
			default:
				ok = false
			}
		}
	}
	return ok
}

// append appends the member: what encoding/json makes of it.
func (in *signedIn) append(dst []byte) []byte {
	text := func(name, value string) {
		if value != "" {
			dst = jsontext.AppendString(append(dst, name...), value)
		}
	}
	dst = jsontext.AppendString(append(dst, `{"name":`...), in.Name)
	dst = jsontext.AppendString(append(dst, `,"handle":`...), in.Handle)
	if in.Until != 0 {
		dst = strconv.AppendInt(append(dst, `,"until":`...), in.Until, 10)
	}
	for i, method := range in.By {
		before := `,"by":[`
		if i > 0 {
			before = ","
		}
		dst = jsontext.AppendString(append(dst, before...), method)
	}
	if len(in.By) > 0 {
		dst = append(dst, ']')
	}
	text(`,"device":`, in.Device)
	text(`,"net":`, in.Net)
	text(`,"epoch":`, in.Epoch)
	if in.Peer {
		dst = append(dst, `,"peer":true`...)
	}
	return append(dst, '}')
}

// userMember returns the member for the record that takes the place of base, nil
// for none, and how long that says that the list of the user has the session, which is to
// have that life from now on. SignIn
// counts where the record gets a key of its own. There the session of an Express app's
// user gets one too, for its handle to stay.
func (s *Session) userMember(base, next *record.Document, key string, life record.Lifespan, now time.Time) (member []byte, until int64) {
	var (
		m       = s.x.m
		signsIn = s.login != nil && key != s.key
		peers   = !signsIn && key != s.key && len(m.userPath) > 0 && m.userOf(base) != "" && m.userOf(base) != userName(base)
	)
	if taking := s.rarities().taking; base == nil && taking != nil && taking.User != "" {
		return taking.userMember(m, next, key)
	}
	if !signsIn && !peers && (base == nil || base.Meta.User == nil) {
		return nil, 0
	}
	var in signedIn
	switch {
	case signsIn:
		if in = s.login.signedIn; in.Handle == "" {
			in.Handle = handleOf(key)
		}
	case peers:
		in = signedIn{Name: m.userOf(base), Handle: m.handleIn(base), Peer: true}
	case m.ends != nil, !roster.IsDue(life, base.Meta.Until, now):
		return base.Meta.User, base.Meta.Until
	default:
		var ok bool
		if in, ok = signedInOf(base); !ok || in.Name != m.userOf(base) { // it is not in that list now: see look
			return base.Meta.User, base.Meta.Until
		}
	}
	if m.lists != nil {
		in.Until = roster.ListedUntil(life, now)
	}
	const most = 96 // bytes beside the texts that the app and the browser say, as a rule
	return in.append(make([]byte, 0, most+len(in.Name)+len(in.Device))), in.Until
}

// encodeMember returns the JSON of a member of __cloakroom. Such a member has only strings,
// numbers and booleans, so it can always be encoded.
func encodeMember(v any) []byte {
	raw, err := jsontext.Encode(v)
	if err != nil {
		panic("cloakroom: strings and numbers cannot be encoded: " + err.Error())
	}
	return raw
}

// textAt returns the string or the whole number that a JSON value holds at a
// path, or an empty string.
func textAt(raw []byte, path []string) string {
	for _, name := range path {
		var buf [8]jsontext.Member
		members, ok := jsontext.Scan(raw, buf[:0])
		if !ok {
			return ""
		}
		raw = jsontext.Find(raw, members, name)
	}
	if n, ok := jsontext.ParseInt(raw); ok {
		return strconv.FormatInt(n, 10)
	}
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil || !validUser(text) {
		return ""
	}
	return text
}

// withText returns raw with a text at a path. What stands there already and
// means the same is left as it is: a number stays one.
func withText(raw json.RawMessage, path []string, text string) (json.RawMessage, error) {
	if textAt(raw, path) == text {
		return raw, nil
	}
	if len(path) == 0 {
		return jsontext.Encode(text)
	}
	object := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &object) != nil || object == nil {
		object = map[string]json.RawMessage{}
	}
	inner, err := withText(object[path[0]], path[1:], text)
	if err != nil {
		return nil, err
	}
	object[path[0]] = inner
	return jsontext.Encode(object)
}

// checkUserKey tells why changes on top of base must not be stored under key:
// with Config.UserKey, an ordinary key says whose session it is, and only SignIn
// may make it somebody's.
func (s *Session) checkUserKey(base *record.Document, key string) error {
	path := s.x.m.userPath
	if len(path) == 0 {
		return nil
	}
	want, got := s.x.m.userOf(base), textAt(s.changes.Value(base, path[0]), path[1:])
	signsIn := s.login != nil && key != s.key
	if signsIn {
		want = s.login.Name
	}
	if taking := s.rarities().taking; taking != nil {
		want = taking.User
	}
	if got == want || got == "" && !signsIn {
		return nil
	}
	return &KeyError{Key: path[0], Op: "set", Err: fmt.Errorf("%w: it is Config.UserKey, which SignIn sets", ErrReservedKey)}
}
