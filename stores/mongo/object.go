package mongostore

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// The object form: a session as a sub-document, with the types that the Node
// driver gives to what connect-mongo hands it. Core speaks JSON, so a session is
// turned into JSON when it is read, as JSON.stringify would, and into BSON when
// it is written. What BSON has and JSON has not survives as long as its member
// is not set anew: see keeping.

const (
	isoMillis = "2006-01-02T15:04:05.000Z" // how JavaScript writes a Date

	// maxDepth is how deep a sub-document may be: servers allow 100 levels, some
	// of which a command needs.
	maxDepth = 85
)

// A keeper returns the value that a member of the top level has already, when it
// reads as the JSON that is to be written.
type keeper func(name string, value []byte) (bson.RawValue, bool)

// keeping returns a keeper of the members of a sub-document.
func keeping(session bson.Raw) keeper {
	elements, err := session.Elements()
	if err != nil || session == nil {
		return nil
	}
	values := make(map[string]bson.RawValue, len(elements))
	for _, e := range elements {
		values[e.Key()] = e.Value()
	}
	var buf []byte
	return func(name string, value []byte) (bson.RawValue, bool) {
		v, ok := values[name]
		if ok {
			buf = appendJSON(buf[:0], v)
		}
		return v, ok && bytes.Equal(buf, value)
	}
}

// appendObject appends the sub-document for a JSON object. It reports false for
// what a sub-document cannot stand for: another JSON value, names that come twice
// or have a NUL, numbers beyond all bounds, more than maxDepth levels.
func appendObject(dst, data []byte, keep keeper) ([]byte, bool) {
	if !json.Valid(data) {
		return dst, false
	}
	r := reader{data: data}
	if r.peek() != '{' {
		return dst, false
	}
	return r.object(dst, 1, keep, false)
}

// A reader walks JSON that is known to be valid.
type reader struct {
	data []byte
	i    int
}

// peek skips white space and returns the byte after it.
func (r *reader) peek() byte {
	for {
		switch c := r.data[r.i]; c {
		case ' ', '\t', '\r', '\n':
			r.i++
		default:
			return c
		}
	}
}

// object appends the document for the object that begins here. In the member
// cookie, the expiry is a Date.
func (r *reader) object(dst []byte, depth int, keep keeper, cookie bool) ([]byte, bool) {
	if depth > maxDepth {
		return dst, false
	}
	at, dst := begin(dst)
	var names []string
	for r.i++; r.peek() != '}'; { // behind the brace or a comma
		name := r.text()
		names = append(names, name)
		r.peek()
		r.i++ // the colon
		r.peek()
		start := r.i
		element := len(dst)
		dst = appendName(dst, bson.TypeNull, name)
		var (
			t  bson.Type
			ok bool
		)
		if cookie && name == fieldExpires && r.data[r.i] == '"' {
			t, dst = r.date(dst)
		} else if t, dst, ok = r.value(dst, depth, depth == 1 && name == "cookie"); !ok {
			return dst, false
		}
		dst[element] = byte(t)
		if keep != nil {
			if v, ok := keep(name, r.data[start:r.i]); ok {
				dst = appendValue(dst[:element], name, v)
			}
		}
		if r.peek() == ',' {
			r.i++
		}
	}
	r.i++
	return end(dst, at), distinct(names)
}

// distinct reports whether no name comes twice or has a NUL.
func distinct(names []string) bool {
	const few = 16
	var seen map[string]bool // for many: a caller may choose how many
	if len(names) > few {
		seen = make(map[string]bool, len(names))
	}
	for i, name := range names {
		if strings.IndexByte(name, 0) >= 0 || seen[name] || seen == nil && slices.Contains(names[:i], name) {
			return false
		}
		if seen != nil {
			seen[name] = true
		}
	}
	return true
}

// value appends the value that begins here and returns its type.
func (r *reader) value(dst []byte, depth int, cookie bool) (bson.Type, []byte, bool) {
	switch c := r.peek(); c {
	case '{':
		dst, ok := r.object(dst, depth+1, nil, cookie)
		return bson.TypeEmbeddedDocument, dst, ok
	case '[':
		dst, ok := r.array(dst, depth+1)
		return bson.TypeArray, dst, ok
	case '"':
		return bson.TypeString, appendText(dst, r.text()), true
	case 't':
		r.i += len("true")
		return bson.TypeBoolean, append(dst, 1), true
	case 'f':
		r.i += len("false")
		return bson.TypeBoolean, append(dst, 0), true
	case 'n':
		r.i += len("null")
		return bson.TypeNull, dst, true
	default:
		return r.number(dst)
	}
}

func (r *reader) array(dst []byte, depth int) ([]byte, bool) {
	if depth > maxDepth {
		return dst, false
	}
	at, dst := begin(dst)
	r.i++
	for n := 0; r.peek() != ']'; n++ {
		element := len(dst)
		dst = append(strconv.AppendInt(append(dst, byte(bson.TypeNull)), int64(n), 10), 0)
		t, next, ok := r.value(dst, depth, false)
		if !ok {
			return dst, false
		}
		dst = next
		dst[element] = byte(t)
		if r.peek() == ',' {
			r.i++
		}
	}
	r.i++
	return end(dst, at), true
}

// text returns the string that begins here.
func (r *reader) text() string {
	start := r.i
	plain := true
	for r.i++; r.data[r.i] != '"'; r.i++ {
		if r.data[r.i] == '\\' {
			plain = false
			r.i++
		}
	}
	r.i++
	if raw := r.data[start+1 : r.i-1]; plain && utf8.Valid(raw) {
		return string(raw)
	}
	var s string
	_ = json.Unmarshal(r.data[start:r.i], &s) // it is valid
	return s
}

// number appends the number that begins here as the Node driver does: Int32
// where it fits, else Double.
func (r *reader) number(dst []byte) (bson.Type, []byte, bool) {
	start := r.i
	for r.i < len(r.data) && isNumeric(r.data[r.i]) {
		r.i++
	}
	text := string(r.data[start:r.i])
	if n, err := strconv.ParseInt(text, 10, 32); err == nil && text != "-0" {
		return bson.TypeInt32, binary.LittleEndian.AppendUint32(dst, uint32(n)), true //nolint:gosec // two's complement is what is wanted
	}
	f, err := strconv.ParseFloat(text, 64)
	return bson.TypeDouble, binary.LittleEndian.AppendUint64(dst, math.Float64bits(f)), err == nil
}

func isNumeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// date appends the string that begins here, as a Date where it is one in the
// notation of JavaScript.
func (r *reader) date(dst []byte) (bson.Type, []byte) {
	s := r.text()
	if t, err := time.Parse(isoMillis, s); err == nil && t.Format(isoMillis) == s {
		return bson.TypeDateTime, appendInt(dst, t.UnixMilli())
	}
	return bson.TypeString, appendText(dst, s)
}

// appendJSON appends a value as JSON.stringify would.
func appendJSON(dst []byte, v bson.RawValue) []byte {
	switch v.Type {
	case bson.TypeEmbeddedDocument:
		return appendDocument(dst, v.Value)
	case bson.TypeArray:
		return appendItems(dst, v.Value)
	case bson.TypeString, bson.TypeSymbol:
		return appendQuoted(dst, textOf(v))
	case bson.TypeBoolean:
		return strconv.AppendBool(dst, v.Boolean())
	case bson.TypeInt32:
		return strconv.AppendInt(dst, int64(v.Int32()), 10)
	case bson.TypeInt64:
		return strconv.AppendInt(dst, v.Int64(), 10)
	case bson.TypeDouble:
		return appendDouble(dst, v.Double())
	case bson.TypeNull, bson.TypeUndefined:
		return append(dst, "null"...)
	case bson.TypeDateTime:
		if t := v.Time().UTC(); t.Year() >= 0 && t.Year() <= 9999 {
			return append(t.AppendFormat(append(dst, '"'), isoMillis), '"')
		}
	case bson.TypeObjectID:
		id := v.ObjectID()
		return append(hex.AppendEncode(append(dst, '"'), id[:]), '"')
	case bson.TypeBinary:
		if _, data, ok := v.BinaryOK(); ok { // not where the old subtype has another length inside
			return append(base64.StdEncoding.AppendEncode(append(dst, '"'), data), '"')
		}
	}
	text := v.String() // MongoDB's own notation, an object like {"$numberDecimal":"1.5"}
	if !json.Valid([]byte(text)) {
		text = "null"
	}
	return append(dst, text...)
}

// appendDocument appends a sub-document as a JSON object.
func appendDocument(dst []byte, doc bson.Raw) []byte {
	elements, _ := doc.Elements()
	dst = append(dst, '{')
	start := len(dst)
	for _, e := range elements {
		v := e.Value()
		if v.Type == bson.TypeUndefined {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(appendQuoted(dst, []byte(e.Key())), ':')
		dst = appendJSON(dst, v)
	}
	return append(dst, '}')
}

func appendItems(dst []byte, array bson.Raw) []byte {
	elements, _ := array.Elements()
	dst = append(dst, '[')
	for i, e := range elements {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendJSON(dst, e.Value())
	}
	return append(dst, ']')
}

// appendDouble appends a number as JavaScript writes it; encoding/json does, too.
func appendDouble(dst []byte, f float64) []byte {
	text, err := json.Marshal(f)
	if err != nil { // NaN or an infinity
		return append(dst, "null"...)
	}
	return append(dst, text...)
}

// appendQuoted appends a JSON string with the escapes of JSON.stringify, whatever
// encoding/json does in a version of Go. What is no UTF-8 becomes U+FFFD.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	if isPlain(s) {
		return append(append(dst, s...), '"')
	}
	for _, r := range string(s) {
		switch i := strings.IndexRune("\"\\\b\f\n\r\t", r); {
		case i >= 0:
			dst = append(dst, '\\', "\"\\bfnrt"[i])
		case r < ' ':
			dst = hex.AppendEncode(append(dst, `\u00`...), []byte{byte(r)}) //nolint:gosec // less than a space
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// isPlain reports whether a string needs no escapes.
func isPlain(s []byte) bool {
	for _, c := range s {
		if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
