// Package vectors has cookies and records that the real libraries made, with what is
// in them, for the tests of package takeover.
package vectors

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// A Vector is one session.
type Vector struct {
	ID      string
	Kind    string // cookie, valkey, file, mongodb or sql
	Codec   string
	Name    string   // of the cookie
	Keys    [][]byte // hash, block, hash and so on
	MadeAt  int64    // a clock by which the cookie is valid, in Unix seconds
	Cookie  string
	SID     string // the id of the session, where there is a record
	Record  []byte // what the store holds
	Expect  []Entry
	Refused string // why it must not be accepted; empty: it must
}

// An Entry is a value, as encoding/json writes it.
type Entry struct {
	KeyType string
	Key     any
	GoType  string
	JSON    json.RawMessage
}

// Parse reads the vectors from the text of the file.
func Parse(text []byte) (all []Vector, err error) {
	err = json.Unmarshal(text, &all)
	return all, err
}

// Source returns what finds the session.
func (v Vector) Source() predecessor.Source {
	now := func() time.Time { return time.Unix(v.MadeAt, 0) }
	switch {
	case strings.HasPrefix(v.ID, "scs/"):
		return takeover.SCS{Records: records{v}, HashTokenInStore: strings.HasSuffix(v.ID, "/hashed"), Now: now}
	case strings.HasPrefix(v.ID, "fiber/"):
		return takeover.Fiber{Records: records{v}, Now: now}
	case v.Kind == "cookie":
		return takeover.Gorilla{Name: v.Name, KeyPairs: v.Keys, Now: now}
	}
	return takeover.Gorilla{Name: v.Name, KeyPairs: v.Keys, Records: records{v}, Unsigned: v.Kind == "valkey", Now: now}
}

// records is the store of a vector: it has the one record.
type records struct{ Vector }

// Record implements [takeover.Records].
func (r records) Record(_ context.Context, id string) (takeover.Record, error) {
	want := r.SID
	if strings.HasSuffix(r.ID, "/hashed") {
		want = "mouf1UrS--yBCYeNXVfNdlEO0C7wc6jp4gDbEc-lzkw"
	}
	if id != want {
		return takeover.Record{}, predecessor.ErrNone
	}
	return takeover.Record{Data: r.Vector.Record}, nil
}

// Delete implements [takeover.Records].
func (r records) Delete(context.Context, string) error { return nil }

// Request returns a request with the cookie.
func (v Vector) Request(ctx context.Context) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://shop.example/", http.NoBody)
	if err == nil {
		r.Header.Set("Cookie", "other=1; "+v.Name+"="+v.Cookie)
	}
	return r, err
}
