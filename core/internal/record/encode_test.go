package record

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// asObject returns what encoding/json makes of data, and reports whether that is an
// object.
func asObject(data []byte) (map[string]json.RawMessage, bool) {
	var object map[string]json.RawMessage
	err := json.Unmarshal(data, &object)
	return object, err == nil && object != nil
}

// The law: a write changes the key that was set and the two members that are
// ours; every other member keeps its bytes and its place, and what was valid
// stays valid.
func FuzzEncode(f *testing.F) {
	for _, seed := range []string{
		`{"cookie":{"originalMaxAge":60000,"expires":"2026-11-21T08:30:14.794Z","httpOnly":true,"path":"/"},"user":"bob","n":1}`,
		`{"cookie":{},"user":"bob"}`, `{"cookie":null,"a":1,"b":2}`, `{"a":1,"cookie":"x","b":2}`, `{"a":1}`, `{}`, `{ "a" : 1 , "b" : 2 }`,
		`{"cookie":{"originalMaxAge":"5","originalMaxAge":5,"expires":5},"a":1,"a":2,"\u0061":3}`,
		`{"cookie":{},"cookie":{"originalMaxAge":1e300},"__cloakroom":{"created":1,"x":{"y":1},"token":"\u0041"},"__cloakroom":[]}`,
		"{\"\xff\":1,\"\u2028\":\"\\ud800\"}", `{"cookie":{"originalMaxAge":-1,"x" : [1, 2]}}`, `{"cookie":{"\u006friginalMaxAge":"5"},"a":1}`,
	} {
		f.Add([]byte(seed), "a", `{"x":[1,2]}`)
	}
	f.Add([]byte(`{"cookie":{},"a":1,"b":2}`), "b", "")
	f.Add([]byte(`{"cookie":{},"a":1,"b":2}`), "new \" key\u2028", "null")
	now := time.Date(2026, 11, 21, 8, 29, 14, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte, key, value string) {
		base, err := new(Parser).Parse(store.Record{ID: "id", Data: data}, data, time.Hour)
		if err != nil || IsReserved(key) || !utf8.ValidString(key) {
			return
		}
		before, valid := asObject(data)
		var raw json.RawMessage // nil: delete the key
		if value != "" {
			if raw, err = jsontext.Encode(json.RawMessage(value)); err != nil {
				return
			}
		}
		ch := Changes{}
		ch.Set(key, raw)
		kept := bytes.Clone(data)
		next := &Document{Meta: Meta{Present: true, Created: Millis(now), Token: NewToken(), Rest: base.Meta.Rest}}
		keys := Encode(next, base, &ch,
			CookieWriter{Attributes: ticket.Attributes{Path: "/", SameSite: http.SameSiteLaxMode, HTTPOnly: true}, Age: base.Age, Now: now})
		out := next.Text
		if !bytes.Equal(data, kept) {
			t.Fatalf("encode wrote to the record that it was given")
		}
		members, ok := jsontext.Scan(out, nil)
		if !ok {
			t.Fatalf("%q became %q, which cannot be read", data, out)
		}
		others := func(text []byte, members []jsontext.Member) (list []string) {
			for _, m := range members {
				if name := jsontext.Name(text, m); name != key && !IsReserved(name) {
					list = append(list, string(text[m.Name-1:m.ValueEnd]))
				}
			}
			return list
		}
		was, is := others(data, base.Members()), others(out, members)
		if strings.Join(was, "\x00") != strings.Join(is, "\x00") {
			t.Errorf("%q became %q: other members changed", data, out)
		}
		if got := jsontext.Find(out, members, key); !bytes.Equal(got, raw) {
			t.Errorf("%q became %q: %q is %q, want %q", data, out, key, got, raw)
		}
		app := 0
		for _, m := range members {
			if !IsReserved(jsontext.Name(out, m)) {
				app++
			}
		}
		if app != keys {
			t.Errorf("%q has %d keys, encode counted %d", out, app, keys)
		}
		if !jsontext.IsObject(jsontext.Find(out, members, cookieMember)) || jsontext.Find(out, members, metaMember) == nil {
			t.Errorf("%q became %q: a member is missing", data, out)
		}
		again, err := new(Parser).Parse(store.Record{}, out, time.Hour)
		if err != nil || again.Meta.Token != next.Meta.Token || again.Meta.Created != Millis(now) {
			t.Errorf("%q is read back as %+v, %v", out, again, err)
		}
		if !valid {
			return
		}
		after, stillValid := asObject(out)
		if !stillValid {
			t.Fatalf("%q became %q, which is not valid", data, out)
		}
		for name, want := range before {
			if name != key && !IsReserved(name) && !bytes.Equal(after[name], want) {
				t.Errorf("%q became %q: %q changed", data, out, name)
			}
		}
		var cookie struct {
			OriginalMaxAge any `json:"originalMaxAge"`
		}
		if err := json.Unmarshal(after[cookieMember], &cookie); err != nil {
			t.Errorf("cookie %q: %v", after[cookieMember], err)
		}
		if s, isString := cookie.OriginalMaxAge.(string); isString && !hasFold(after[cookieMember]) {
			t.Errorf("%q became %q: originalMaxAge %q makes Node crash", data, out, s)
		}
	})
}

// hasFold reports whether encoding/json may have taken a member of another name,
// in other letters, for originalMaxAge.
func hasFold(cookie []byte) bool {
	object, _ := asObject(cookie)
	for name := range object {
		if name != "originalMaxAge" && strings.EqualFold(name, "originalMaxAge") {
			return true
		}
	}
	return false
}
