package takeover

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"reflect"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/takeover/internal/gobscan"
)

// maxRecord is the length of the longest record that is read, in bytes.
const maxRecord = 4 << 20

// The values of a session as it was stored.
type values struct {
	named   map[string]any
	dropped int
	expires time.Time // an expiry that stands among the values; zero: none
}

// keep adds a value that encoding/json can write, in one of two forms, or counts it.
// own is as the app's types say, and is nil where there are none; plain is as the
// scanner has read it.
func (v *values) keep(name string, own, plain any) {
	if own = notNil(own); own != nil && writable(own) {
		v.named[name] = own
		return
	}
	p, ok := gobscan.Plain(plain)
	if !ok || !writable(p) {
		v.dropped++
		return
	}
	v.named[name] = p
}

// notNil returns an empty slice or map for a nil one: a gob has no difference, and
// encoding/json would write null.
func notNil(v any) any {
	switch r := reflect.ValueOf(v); {
	case r.Kind() == reflect.Slice && r.IsNil():
		return reflect.MakeSlice(r.Type(), 0, 0).Interface()
	case r.Kind() == reflect.Map && r.IsNil():
		return reflect.MakeMap(r.Type()).Interface()
	}
	return v
}

// writable reports whether encoding/json can write a value.
func writable(v any) bool {
	switch v := v.(type) {
	case string:
		return utf8.ValidString(v) // else JSON has another text
	case nil, bool, int, int64, []byte:
		return true
	}
	_, err := json.Marshal(v)
	return err == nil
}

// scanned returns what is in a gob, and reports whether it is one. Nothing that the
// scanner refuses gets to encoding/gob, which is not made for bytes that may be
// anybody's.
func scanned(data []byte) (any, bool) {
	if len(data) > maxRecord {
		return nil, false
	}
	v, err := gobscan.Scan(data)
	return v, err == nil
}

// decode reads a gob into the app's types, as far as it has registered them, and
// reports whether it could. Where it fails, into may have some of the values: it is
// thrown away. Hostile bytes make encoding/gob panic, by a slice as the key of a map
// for instance, and so may what a type of the app decodes by itself.
func decode(data []byte, into any) (ok bool) {
	registerTypes()
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	return gob.NewDecoder(bytes.NewReader(data)).Decode(into) == nil
}

// registerTypes registers what the libraries register themselves, so that an app with
// flashes or times in its sessions needs no line for that. To register a type twice
// under its own name is no mistake.
var registerTypes = sync.OnceFunc(func() {
	gob.Register([]any{})
	gob.Register(map[string]any{})
	gob.Register(time.Time{})
})

// fromGob returns the values of a gob of map[any]any, as gorilla and Fiber write it, or
// of map[string]any.
func fromGob(data []byte) (values, bool) {
	read, ok := scanned(data)
	if !ok {
		return values{}, false
	}
	entries, ok := read.(gobscan.Map)
	if !ok {
		return values{}, false
	}
	own := make(map[any]any)
	if !decode(data, &own) {
		own = nil
	}
	return fromEntries(entries, func(name string) any { return own[name] }), true
}

// fromEntries returns the values among entries. own returns one as the app's types say,
// or nil.
func fromEntries(entries gobscan.Map, own func(name string) any) values {
	v := values{named: make(map[string]any, len(entries))}
	for _, e := range entries {
		switch key := e.Key.(type) {
		case string:
			v.keep(key, own(key), e.Value)
		case gobscan.Named:
			at, isTime := e.Value.(time.Time)
			if key.Type == fiberDeadline && isTime {
				v.expires = at
				continue
			}
			v.dropped++
		default:
			v.dropped++
		}
	}
	return v
}

// fiberDeadline is the type of the key under which Fiber keeps the absolute timeout.
const fiberDeadline = "github.com/gofiber/fiber/v3/middleware/session.absExpirationKeyType"

// fromSCS returns the values of a gob as scs writes it.
func fromSCS(data []byte) (values, bool) {
	read, ok := scanned(data)
	if !ok {
		return values{}, false
	}
	whole, ok := read.(map[string]any)
	if !ok {
		return values{}, false
	}
	var own struct {
		Deadline time.Time
		Values   map[string]any
	}
	if !decode(data, &own) {
		own.Values = nil
	}
	entries, _ := whole["Values"].(gobscan.Map) // none where there are no values
	v := fromEntries(entries, func(name string) any { return own.Values[name] })
	delete(v.named, "__rememberMe") // is scs's own
	v.expires, _ = whole["Deadline"].(time.Time)
	return v, true
}

// fromJSON returns the values of an object.
func fromJSON(data []byte) (values, bool) {
	if len(data) > maxRecord {
		return values{}, false
	}
	v := values{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber() // a number stays as long as it is
	if d.Decode(&v.named) != nil || v.named == nil || d.More() {
		return values{}, false
	}
	return v, true
}

// textOf returns the string that a gob holds: the id in a cookie of gorilla.
func textOf(data []byte) (string, bool) {
	read, ok := scanned(data)
	text, isText := read.(string)
	return text, ok && isText
}
