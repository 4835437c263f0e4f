package facade

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// How values keep their types in JSON. What is not plain is an object with one member
// that tells its type:
//
//	"text"  true  7  1.5  null        string, bool, int, float64 with a fraction, nil
//	{"$go":"int64","value":7}         another number
//	{"$go":"list","value":[...]}      []any, and flashes
//	{"$go":"gob","value":"..."}       all else, in base64

// A tagged is the object.
type tagged struct {
	Go    string          `json:"$go"`
	Value json.RawMessage `json:"value"`
}

// A box is what encoding/gob is given, for the type to be in the gob.
type box struct{ V any }

// errUnregistered says that a value cannot be stored.
var errUnregistered = errors.New("cloakroom: a value of the session cannot be stored: register its type with gob.Register")

// ErrUnreadable says that a value cannot be read.
var ErrUnreadable = errors.New("cloakroom: a value of the session cannot be read: its type is not registered with gob.Register, or has changed")

// registerTypes registers what gorilla/sessions and gin-contrib register, and what apps
// keep most often.
var registerTypes = sync.OnceFunc(func() {
	gob.Register([]any{})
	gob.Register(map[string]any{})
	gob.Register(time.Time{})
})

func tag(name string, value any) (json.RawMessage, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return json.Marshal(tagged{name, raw})
}

// Encode returns the JSON of a value.
func Encode(v any) (json.RawMessage, error) {
	switch v := v.(type) {
	case nil, bool, int:
		return json.Marshal(v)
	case string:
		if utf8.ValidString(v) { // else it would be another text
			return json.Marshal(v)
		}
	case json.Number: // of a former store with records in JSON, where it was a float64
		if f, err := v.Float64(); err == nil {
			return Encode(f)
		}
	case float64:
		switch {
		case math.IsNaN(v), math.IsInf(v, 0): // JSON has none of these
		case math.Trunc(v) == v:
			return tag("float64", v)
		default:
			return json.Marshal(v)
		}
	case float32:
		if !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) {
			return tag("float32", v)
		}
	case int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64:
		return tag(fmt.Sprintf("%T", v), v)
	case []any:
		all := make([]json.RawMessage, len(v))
		for i, e := range v {
			raw, err := Encode(e)
			if err != nil {
				return nil, err
			}
			all[i] = raw
		}
		return tag("list", all)
	}
	registerTypes()
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(box{v}) != nil {
		return nil, errUnregistered // the text of the error may hold the value
	}
	return tag("gob", b.Bytes())
}

// Decode returns the value of what Encode has written, or of plain JSON.
func Decode(raw json.RawMessage) (any, error) {
	var t tagged
	if len(raw) == 0 || raw[0] != '{' || json.Unmarshal(raw, &t) != nil || t.Go == "" {
		return plain(raw)
	}
	into, known := basics[t.Go]
	switch {
	case known:
		return into(t.Value)
	case t.Go == "list":
		var all []json.RawMessage
		if json.Unmarshal(t.Value, &all) != nil {
			return nil, ErrUnreadable
		}
		list := make([]any, len(all))
		for i, e := range all {
			v, err := Decode(e)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case t.Go == "gob":
		return fromGob(t.Value)
	}
	return nil, ErrUnreadable
}

// fromGob returns the value of a gob in base64. A type of the app may panic when it decodes
// itself, and so does encoding/gob by some bytes that it did not write.
func fromGob(raw json.RawMessage) (v any, err error) {
	defer func() {
		if recover() != nil {
			v, err = nil, ErrUnreadable
		}
	}()
	registerTypes()
	var (
		data []byte
		b    box
	)
	if json.Unmarshal(raw, &data) != nil || gob.NewDecoder(bytes.NewReader(data)).Decode(&b) != nil {
		return nil, ErrUnreadable
	}
	return b.V, nil
}

// basics decode numbers by the names of their types.
var basics = map[string]func(json.RawMessage) (any, error){
	"int8": as[int8], "int16": as[int16], "int32": as[int32], "int64": as[int64],
	"uint": as[uint], "uint8": as[uint8], "uint16": as[uint16], "uint32": as[uint32], "uint64": as[uint64],
	"float32": as[float32], "float64": as[float64],
}

func as[T any](raw json.RawMessage) (any, error) {
	var v T
	if json.Unmarshal(raw, &v) != nil {
		return nil, ErrUnreadable
	}
	return v, nil
}

// plain returns the value of plain JSON: a whole number is an int.
func plain(raw json.RawMessage) (any, error) {
	var n int
	if json.Unmarshal(raw, &n) == nil && string(raw) != "null" {
		return n, nil
	}
	return as[any](raw)
}

// AppendTo adds a value to a list. What is none is the beginning of one.
func AppendTo(stored, value json.RawMessage) json.RawMessage {
	var (
		t   tagged
		all []json.RawMessage
	)
	if json.Unmarshal(stored, &t) == nil && t.Go == "list" {
		_ = json.Unmarshal(t.Value, &all) // what cannot be read is dropped, as a list of nothing
	}
	raw, err := tag("list", append(all, value))
	if err != nil {
		return stored
	}
	return raw
}

// typed is a predecessor whose values keep their types.
type typed struct{ predecessor.Source }

// Find implements [predecessor.Source].
func (t typed) Find(ctx context.Context, r *http.Request) (predecessor.Session, error) {
	s, err := t.Source.Find(ctx, r)
	if err != nil {
		return s, err
	}
	values := make(map[string]any, len(s.Values))
	for name, v := range s.Values {
		raw, err := Encode(v)
		if err != nil && !isTagged(v) { // an object of JSON, with numbers or null in it
			raw, err = json.Marshal(v)
		}
		if err != nil {
			s.Dropped++
			continue
		}
		values[name] = raw
	}
	s.Values = values
	return s, nil
}

// isTagged reports whether an object of JSON, which a visitor may have written, would be
// taken for a value with a type.
func isTagged(v any) bool {
	object, _ := v.(map[string]any)
	for name := range object {
		if strings.EqualFold(name, "$go") { // as encoding/json compares names
			return true
		}
	}
	return false
}

// Warnings implements [predecessor.Warner].
func (t typed) Warnings() []string {
	if w, ok := t.Source.(predecessor.Warner); ok {
		return w.Warnings()
	}
	return nil
}

// Format keeps a source from printing what it holds.
func (t typed) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "%T", t.Source) }
