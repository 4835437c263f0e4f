package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// All keys of a large record are found, with an index and without, and of several
// members of one name the last one.
func TestAllKeysOfALargeRecordAreFound(t *testing.T) {
	text := []byte(`{"cookie":{}`)
	for i := range 50 {
		text = fmt.Appendf(text, `,"key %d":%d`, i, i)
	}
	text = append(text, `,"\u006bey 7":"again","key 8":"again"}`...)
	d, err := new(Parser).Parse(store.Record{}, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, get := range []func(string) []byte{d.Get, NewIndex(d).Get} {
		for i := range 50 {
			want := fmt.Sprint(i)
			if i == 7 || i == 8 {
				want = `"again"`
			}
			if got := string(get(fmt.Sprintf("key %d", i))); got != want {
				t.Errorf("key %d is %s, want %s", i, got, want)
			}
		}
		if got := get("key 50"); got != nil {
			t.Errorf("a key that is not there is %s", got)
		}
		if got := get("cookie"); got != nil {
			t.Errorf("a reserved key is %s", got)
		}
	}
}

// The law: what a Parser remembers of other records changes nothing.
func FuzzParse(f *testing.F) {
	const cookie = `{"cookie":{"originalMaxAge":null,"expires":null,"path":"/"}`
	for _, seed := range [][2]string{
		{cookie + `,"a":1}`, cookie + `,"b":2,"__cloakroom":{"created":1763715600000,"token":"3q2-796tvu8"}}`},
		{cookie + ` , "a":1}`, cookie + ` ,"cookie":{"originalMaxAge":5000}}`},
		{cookie + `,"a":1}`, cookie + `}`},
		{cookie + `,"a":1}`, cookie + `,}`},
		{cookie + `,"a":1}`, cookie + `,"a":1}x`},
		{`{"cookie":{"expires":"2026-11-21T08:29:14.000Z"},"a":1}`, `{"cookie":{"expires":"2026-11-21T08:29:14.000Z"},"b":1}`},
		{`{"cookie":{},"cookie":{"originalMaxAge":5000},"a":1}`, `{"cookie":{},"__cloakroom":{"created":1,"token":"\u0041\u0041"}}`},
		{`{"cookie":{},"a":1}`, `{"cookie":{},"__cloakroom":{"created":01,"token":"AAAAAAAAAAA"}}`},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		experienced := new(Parser)
		_, _ = experienced.Parse(store.Record{}, first, time.Hour) // for what it remembers
		got, err := experienced.Parse(store.Record{}, second, time.Hour)
		want, wantErr := new(Parser).Parse(store.Record{}, second, time.Hour)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q after %q: %v, want %v", second, first, err, wantErr)
		}
		if err == nil && (!slices.Equal(got.members, want.members) || got.Age != want.Age || got.Meta.Token != want.Meta.Token) {
			t.Errorf("%q after %q: %+v, want %+v", second, first, got, want)
		}
		if err != nil {
			return
		}
		var ch Changes
		ch.Set("a", json.RawMessage(`true`))
		gotNext, wantNext := &Document{Meta: Meta{Present: true, Created: 1}}, &Document{Meta: Meta{Present: true, Created: 1}}
		Encode(gotNext, got, &ch, CookieWriter{Age: got.Age})
		if Encode(wantNext, want, &ch, CookieWriter{Age: got.Age}); !bytes.Equal(gotNext.Text, wantNext.Text) {
			t.Errorf("%q after %q becomes %q, want %q", second, first, gotNext.Text, wantNext.Text)
		}
	})
}
