package roster

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// How a list is written and read. A list of a thousand sessions is 100 KB, and is read
// and written at each sign-in of its user.

// Encode returns the text of the list, with meta as the member of ours: what
// encoding/json makes of it.
func (l *List) Encode(meta []byte) []byte {
	const perSession = 128 // bytes, as a rule
	out := append(make([]byte, 0, len(meta)+128+len(l.Sessions)*perSession), '{')
	if l.Mark != "" {
		out = append(jsontext.AppendString(append(out, `"mark":`...), l.Mark), ',')
	}
	if l.Revoked != 0 {
		out = append(strconv.AppendInt(append(out, `"revoked":`...), l.Revoked, 10), ',')
	}
	if l.Kept != 0 {
		out = append(strconv.AppendInt(append(out, `"kept":`...), int64(l.Kept), 10), ',')
	}
	out = append(out, `"sessions":[`...)
	for i := range l.Sessions {
		if i > 0 {
			out = append(out, ',')
		}
		out = l.Sessions[i].append(out)
	}
	out = append(out, `],"__cloakroom":`...)
	return append(append(out, meta...), '}')
}

// append appends the JSON of an entry.
func (e *Entry) append(out []byte) []byte {
	out = jsontext.AppendString(append(out, entryKey...), e.Key)
	out = jsontext.AppendString(append(out, entryHandle...), e.Handle)
	out = strconv.AppendInt(append(out, entryUntil...), e.Until, 10)
	if e.State != Live {
		out = strconv.AppendInt(append(out, entryState...), int64(e.State), 10)
	}
	return append(out, '}')
}

// What stands before the parts of an entry.
const (
	entryKey    = `{"key":`
	entryHandle = `,"handle":`
	entryUntil  = `,"until":`
	entryState  = `,"state":`
)

// Decode reads the text of a list, and reports whether it is one. The list shares meta
// with the text. members are those of the text, where they were found already, or nil.
func Decode(text []byte, members []jsontext.Member) (*List, bool) {
	if l := new(List); l.decode(text, members) {
		return l, true
	}
	l := new(List) // somebody else wrote it in another way
	if json.Unmarshal(text, l) != nil {
		return nil, false
	}
	return l, true
}

// decode reads a text as Encode writes it, and reports whether it is one.
func (l *List) decode(text []byte, members []jsontext.Member) bool {
	var buf [5]jsontext.Member
	ok := true
	if members == nil {
		members, ok = jsontext.Scan(text, buf[:0])
	}
	for _, m := range members {
		value := text[m.Value:m.ValueEnd]
		switch name := text[m.Name:m.NameEnd()]; string(name) {
		case "mark":
			ok = ok && jsontext.DecodePlain(value, &l.Mark)
		case "revoked":
			var isInt bool
			l.Revoked, isInt = parseInt(value)
			ok = ok && isInt
		case "kept":
			ok = ok && jsontext.DecodePlain(value, &l.Kept)
		case "sessions":
			ok = ok && l.Sessions == nil && l.decodeSessions(value) // of several, one is decoded over the other
		case "__cloakroom":
			l.Meta = value
		default:
			return false
		}
	}
	return ok
}

// decodeSessions reads the entries.
func (l *List) decodeSessions(array []byte) bool {
	if string(array) == "[]" {
		l.Sessions = []Entry{}
		return true
	}
	l.Sessions = make([]Entry, 0, bytes.Count(array, []byte(entryKey)))
	for len(array) > 0 && (array[0] == '[' || array[0] == ',') {
		e, rest, ok := cutEntry(array[1:])
		if !ok || len(rest) == 0 {
			return false
		}
		l.Sessions = append(l.Sessions, e)
		array = rest
	}
	return string(array) == "]"
}

// cutEntry reads the entry that text begins with, and returns what is behind it.
func cutEntry(text []byte) (e Entry, rest []byte, ok bool) {
	var handle, until []byte
	key, rest, ok := cutPlain(text, entryKey)
	if ok {
		handle, rest, ok = cutPlain(rest, entryHandle)
	}
	if ok {
		until, rest, ok = cutDigits(rest, entryUntil)
	}
	if !ok {
		return e, nil, false
	}
	both := string(key) + string(handle) // one piece of memory
	e.Key, e.Handle = both[:len(key)], both[len(key):]
	if e.Until, ok = parseInt(until); !ok {
		return e, nil, false
	}
	if state, behind, has := cutDigits(rest, entryState); has {
		if len(state) != 1 || state[0] > '0'+byte(Ended) {
			return e, nil, false
		}
		e.State, rest = State(state[0]-'0'), behind
	}
	rest, ok = bytes.CutPrefix(rest, []byte("}"))
	return e, rest, ok
}

// cutPlain cuts off a string that stands for itself, and what is before it.
func cutPlain(text []byte, before string) (s, rest []byte, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte(before))
	if !ok || len(text) == 0 || text[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text[1:], '"') + 1
	if end == 0 || !jsontext.IsPlain(text[1:end]) {
		return nil, nil, false
	}
	return text[1:end], text[end+1:], true
}

// cutDigits cuts off a number, and what is before it.
func cutDigits(text []byte, before string) (digits, rest []byte, ok bool) {
	text, ok = bytes.CutPrefix(text, []byte(before))
	end := 0
	for end < len(text) && (text[end] >= '0' && text[end] <= '9' || text[end] == '-') {
		end++
	}
	return text[:end], text[end:], ok && end > 0
}

// parseInt reads a whole number as JSON has it. Nanoseconds have 19 digits.
func parseInt(raw []byte) (int64, bool) {
	if len(raw) == 19 && raw[0] >= '1' && raw[0] <= '9' {
		n, err := strconv.ParseInt(string(raw), 10, 64)
		return n, err == nil
	}
	return jsontext.ParseInt(raw)
}
