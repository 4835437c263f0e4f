package takeover_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// The law: whatever stands in a record, it is read or refused within memory that its
// length bounds, and what was read can be written as JSON.
func FuzzRecord(f *testing.F) {
	for _, v := range load(f) {
		if v.Record != nil {
			f.Add(v.Record)
		}
		if raw, err := base64.URLEncoding.DecodeString(v.Cookie); err == nil {
			f.Add(raw)
		}
	}
	f.Add([]byte(`{"user":"bob"}`))
	const id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	cookie := "mysession=" + sign(hashKey, madeAt, encode(f, id))
	f.Fuzz(func(t *testing.T, data []byte) {
		g := gorilla(madeAt)
		g.Records, g.Unsigned = inMap{id: data}, true
		cost := suite.Allocated(func() {
			s, err := g.Find(t.Context(), request(cookie))
			if err == nil {
				if _, err := json.Marshal(s.Values); err != nil {
					t.Errorf("what was read cannot be written: %v", err)
				}
			}
			_, _ = takeover.SCS{Records: inMap{id: data}}.Find(t.Context(), request("session="+id))
			_, _ = takeover.Fiber{Records: inMap{id: data}}.Find(t.Context(), request("session_id="+id))
		})
		if limit := suite.Roughly + 1000*len(data); cost > limit {
			t.Errorf("%d bytes cost %d bytes of memory, want at most %d", len(data), cost, limit)
		}
	})
}

// The law: whatever a cookie says, it is accepted only if it is signed, within memory
// that its length bounds.
func FuzzCookie(f *testing.F) {
	for _, v := range load(f) {
		f.Add(v.Cookie)
	}
	good := sign(hashKey, madeAt, encode(f, map[any]any{"user": "bob"}))
	f.Add(good)
	f.Fuzz(func(t *testing.T, text string) {
		var err error
		cost := suite.Allocated(func() { _, err = gorilla(madeAt).Find(t.Context(), request("mysession="+text)) })
		raw, bad := base64.URLEncoding.DecodeString(text)
		want, _ := base64.URLEncoding.DecodeString(good)
		if err == nil && (bad != nil || string(raw) != string(want)) {
			t.Errorf("a forged cookie of %d characters was accepted", len(text))
		}
		if limit := suite.Roughly + 1000*len(text); cost > limit {
			t.Errorf("%d characters cost %d bytes of memory, want at most %d", len(text), cost, limit)
		}
	})
}
