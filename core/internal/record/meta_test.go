package record

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// The law: what Append writes is read again, and members of a later version stay.
func FuzzMeta(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"created":1763715600000,"token":"3q2-796tvu8"}`, `{"created":1,"maxAge":5000,"ownMaxAge":true,"retired":1763715600000,"user":"u","later":{"a":[1]}}`,
		`{"retired":1763715600000,"next":"3q2-796tvu8"}`, `{"next":"3q2-796tvu8"}`,
		`{"created":1763715600000,"token":"3q2-796tvu8","user":{"name":"ada","by":["pwd"]}}`, `{"created":1,"user":{"a":{}},"user":null}`,
		`{"created":-1}`, `{"created":1e3}`, `{"created":999999999999999999}`, `{"maxAge":"1"}`, `{"maxAge":1e400}`, `[]`, `{"token":"\u0041\ud800"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := parseMeta(raw)
		if !m.Present {
			return
		}
		m.Token = NewToken() // as in each write
		m.Age.Max = m.Age.Max.Truncate(time.Millisecond)
		again := parseMeta(m.Append(nil))
		if !again.Present || again.Created != m.Created || again.Token != m.Token || again.Age.Own != m.Age.Own || !near(again.Age.Max, m.Age.Max) || !reflect.DeepEqual(again.Retired, m.Retired) || !bytes.Equal(again.User, m.User) || again.Rest != m.Rest || again.Until != m.Until {
			t.Errorf("%q: %+v is written as %q and read as %+v", raw, m, m.Append(nil), again)
		}
		if json.Valid(raw) && !json.Valid(m.Append(nil)) {
			t.Errorf("%q is written as %q", raw, m.Append(nil))
		}
	})
}
