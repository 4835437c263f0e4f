package record

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What is noted while a record is written is what reading it would find, so that a
// request that goes on from a note sees what any other one sees.
func FuzzWhatIsNotedIsWhatIsRead(f *testing.F) {
	const head = `{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},`
	const meta = `"__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"`
	for _, seed := range []string{
		head + meta + `}}`,
		head + `"theme":"dark","n":1000,"user":"alice",` + meta + `}}`,
		head + meta + `,"user":{"name":"bob","handle":"h","until":1763715600000},"before":{"a":1},"later":[1,{"x":2}]},"n":1}`,
		head + `"n": 1 , "m" :{"n":2}, "\u006e":3,"n":4,` + meta + `,"ownMaxAge":true}}`,
		head + `"n":1,` + meta + `},"__cloakroom":{"token":"AAAAAAAAAAA"}}`,
		head + `"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"n":8,"` + "\xff" + `":9,` + meta + `,"maxAge":60000}}`,
	} {
		f.Add([]byte(seed), "n", `{"x":[1,2]}`, false)
		f.Add([]byte(seed), "new \" key\u2028", "null", false)
		f.Add([]byte(seed), "n", "", false)
		f.Add([]byte(seed), "n", "1", true)
	}
	f.Fuzz(func(t *testing.T, data []byte, key, value string, clears bool) {
		const configured = time.Hour
		var p Parser
		_, _ = p.Parse(store.Record{}, data, configured) // for what it remembers
		data = bytes.Clone(data)
		base, err := p.Parse(store.Record{ID: "id", Data: data, Shared: true}, data, configured)
		if err != nil || IsReserved(key) {
			return
		}
		var raw json.RawMessage // nil: delete the key
		if value != "" {
			if raw, err = jsontext.Encode(json.RawMessage(value)); err != nil {
				return
			}
		}
		ch := Changes{Cleared: clears}
		ch.Set(key, raw)
		next := &Document{Meta: base.Meta, Age: base.Age}
		next.Meta.Present, next.Meta.Token, next.Meta.Retired = true, NewToken(), nil
		next.Meta.Age = Age{Own: base.Age.Own, Max: base.WrittenMaxAge(0)}
		if next.Meta.Created == 0 {
			next.Meta.Created = 1
		}
		Encode(next, base, &ch, CookieWriter{Age: base.Age})
		if !next.IsWhole() {
			return
		}
		for i := range data { // nothing of the older text is needed
			data[i] = '!'
		}
		want, err := p.Parse(store.Record{}, next.Text, configured)
		if err != nil {
			t.Fatalf("%q cannot be read", next.Text)
		}
		if !slices.Equal(next.members, want.members) || !reflect.DeepEqual(next.Meta, want.Meta) || next.Age != want.Age {
			t.Errorf("%q: noted\n%+v, read\n%+v", next.Text, next, want)
		}
	})
}

// Most sessions of an app are noted, or nothing would be gained.
func TestAChangeOfAnOrdinaryRecordIsNoted(t *testing.T) {
	text := []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"n":1,"__cloakroom":{"created":1,"token":"3q2-796tvu8"}}`)
	for _, tt := range []struct {
		name   string
		shared bool
		cookie CookieWriter
		want   bool
	}{
		{"by a store in memory", true, CookieWriter{}, true},
		{"by a store that reads it anew each time", false, CookieWriter{}, false},
		{"with another cookie", true, CookieWriter{Set: true, Age: Age{Own: true, Max: time.Hour}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var p Parser
			_, _ = p.Parse(store.Record{}, text, 0)
			base, err := p.Parse(store.Record{Data: text, Shared: tt.shared}, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			var ch Changes
			ch.Set("n", json.RawMessage("2"))
			next := &Document{Meta: base.Meta, Age: tt.cookie.Age}
			Encode(next, base, &ch, tt.cookie)
			if next.IsWhole() != tt.want {
				t.Errorf("noted: %v, want %v", next.IsWhole(), tt.want)
			}
		})
	}
}
