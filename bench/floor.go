package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/valkey-io/valkey-go"
)

// The floor is what remains when everything is left out that can be: on Gin,
// express-session's cookie is verified, one value is found in the record or
// replaced in it, and the record is fetched and stored. It makes no promise but
// to do that right when nothing goes wrong and nobody else is there: a line to
// measure against, no product.
func floorSubjects() []subject {
	const library = floorLibrary
	onValkey := func(ttl time.Duration) func(context.Context, *servers) (*app, error) {
		return func(_ context.Context, s *servers) (*app, error) {
			client, err := s.valkeyClient()
			if err != nil {
				return nil, err
			}
			return floorApp(valkeyRecords{client, ttl}, client.Close), nil
		}
	}
	return []subject{
		{library, onGin, memory, func(context.Context, *servers) (*app, error) {
			return floorApp(&mapRecords{records: make(map[string][]byte)}, nothing), nil
		}},
		{library, onGin, valkeyS, onValkey(0)},
		{library, onGin, cached, onValkey(time.Minute)},
		{library, onGin, mongoS, openMongoFloor},
		{library, onGin, postgresS, openSQLFloor(postgresS)},
		{library, onGin, sqliteS, openSQLFloor(sqliteS)},
	}
}

const floorLibrary = "the floor"

// records are where the floor keeps records.
type records interface {
	get(ctx context.Context, id string) ([]byte, error)
	// latest is get past a cache, for a record that is about to be changed.
	latest(ctx context.Context, id string) ([]byte, error)
	create(ctx context.Context, id string, record []byte) error
	// set puts a record in the place of another.
	set(ctx context.Context, id string, old, record []byte) error
	// move stores a record under a new id and removes the old one.
	move(ctx context.Context, old, id string, record []byte) error
}

type mapRecords struct {
	mu      sync.RWMutex
	records map[string][]byte
}

func (m *mapRecords) get(_ context.Context, id string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.records[id], nil
}

func (m *mapRecords) latest(ctx context.Context, id string) ([]byte, error) { return m.get(ctx, id) }

func (m *mapRecords) create(ctx context.Context, id string, record []byte) error {
	return m.set(ctx, id, nil, record)
}

func (m *mapRecords) set(_ context.Context, id string, _, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.records[id] = record
	return nil
}

func (m *mapRecords) move(_ context.Context, old, id string, record []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.records, old)
	m.records[id] = record
	return nil
}

const (
	floorPrefix = "floor:"
	floorLife   = 86400 // seconds
)

type valkeyRecords struct {
	client valkey.Client
	ttl    time.Duration // of the client-side cache, if not 0
}

func (v valkeyRecords) get(ctx context.Context, id string) ([]byte, error) {
	if v.ttl == 0 {
		return v.latest(ctx, id)
	}
	return recordOf(v.client.DoCache(ctx, v.client.B().Get().Key(floorPrefix+id).Cache(), v.ttl))
}

func (v valkeyRecords) latest(ctx context.Context, id string) ([]byte, error) {
	return recordOf(v.client.Do(ctx, v.client.B().Get().Key(floorPrefix+id).Build()))
}

func recordOf(result valkey.ValkeyResult) ([]byte, error) {
	record, err := result.AsBytes()
	if valkey.IsValkeyNil(err) {
		return nil, nil
	}
	return record, err
}

func (v valkeyRecords) create(ctx context.Context, id string, record []byte) error {
	return v.set(ctx, id, nil, record)
}

func (v valkeyRecords) set(ctx context.Context, id string, _, record []byte) error {
	return v.client.Do(ctx, v.setting(id, record)).Error()
}

func (v valkeyRecords) setting(id string, record []byte) valkey.Completed {
	return v.client.B().Set().Key(floorPrefix + id).Value(valkey.BinaryString(record)).ExSeconds(floorLife).Build()
}

func (v valkeyRecords) move(ctx context.Context, old, id string, record []byte) error {
	for _, result := range v.client.DoMulti(ctx, v.setting(id, record), v.client.B().Del().Key(floorPrefix+old).Build()) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

var errNoSession = errors.New("no session")

func floorApp(kept records, closed func()) *app {
	tickets := newTickets(secret)
	// session finds the session of the request, as late as possible.
	session := func(r *http.Request, get func(context.Context, string) ([]byte, error)) (id string, record []byte, err error) {
		id, ok := tickets.find(r.Header)
		if !ok {
			return "", nil, errNoSession
		}
		if record, err = get(r.Context(), id); err == nil && record == nil {
			err = errNoSession
		}
		return id, record, err
	}

	e := newGin()
	e.GET(pathRead, func(c *gin.Context) {
		_, record, err := session(c.Request, kept.get)
		_ = answer(c.Writer, err == nil && stringIn(record, userKey) == userName)
	})
	e.GET(pathCount, func(c *gin.Context) {
		id, record, err := session(c.Request, kept.latest)
		if err == nil {
			err = kept.set(c.Request.Context(), id, record, incremented(record, countKey))
		}
		_ = answer(c.Writer, err == nil)
	})
	e.GET(pathLogin, func(c *gin.Context) {
		old, record, err := session(c.Request, kept.latest)
		if err == nil {
			id := newID()
			record = replaced(record, userKey, `"`+userName+`"`)
			err = kept.move(c.Request.Context(), old, id, record)
			c.Writer.Header()["Set-Cookie"] = []string{tickets.cookie(id)}
		}
		_ = answer(c.Writer, err == nil)
	})
	e.GET(pathMake, func(c *gin.Context) {
		id := newID()
		err := kept.create(c.Request.Context(), id, newRecord(c.Query("filler")))
		c.Writer.Header()["Set-Cookie"] = []string{tickets.cookie(id)}
		_ = answer(c.Writer, err == nil)
	})
	e.GET(pathShow, func(c *gin.Context) {
		_, record, _ := session(c.Request, kept.latest)
		n, _ := strconv.Atoi(string(memberOf(record, countKey)))
		_, _ = io.WriteString(c.Writer, shown(stringIn(record, userKey), n))
	})
	return &app{handler: e, close: closed}
}

// newRecord is a record as express-session would have it, user last.
func newRecord(filler string) []byte {
	record := []byte(`{"cookie":{"originalMaxAge":null,"expires":null,"httpOnly":true,"path":"/"},"` +
		themeKey + `":"` + theme + `","` + countKey + `":` + strconv.Itoa(countFrom))
	for _, key := range fillerKeys(fillerOf(filler)) {
		record = append(record, `,"`+key+`":"`+fillerValue+`"`...)
	}
	return append(record, `,"`+userKey+`":"`+userName+`"}`...)
}

// tickets signs and verifies express-session's cookies: s:ID.SIGNATURE, percent
// encoded.
type tickets struct{ macs sync.Pool }

// A mac is the state of one computation, with room for what goes in and out.
type mac struct {
	hash hash.Hash
	id   [idLength]byte
	got  [64]byte
	want [64]byte
	sum  [sha256.Size]byte
}

const (
	idLength = 32
	start    = "sid=s%3A"
)

func newTickets(secret string) *tickets {
	return &tickets{sync.Pool{New: func() any { return &mac{hash: hmac.New(sha256.New, []byte(secret))} }}}
}

// sign leaves the signature in m.want.
func (m *mac) sign(id string) (signature []byte) {
	m.hash.Reset()
	copy(m.id[:], id)
	m.hash.Write(m.id[:])
	base64.RawStdEncoding.Encode(m.want[:], m.hash.Sum(m.sum[:0]))
	return m.want[:base64.RawStdEncoding.EncodedLen(sha256.Size)]
}

// find returns the id of the first cookie of that name, if it is genuine.
func (t *tickets) find(h http.Header) (id string, ok bool) {
	for _, line := range h["Cookie"] {
		for line != "" {
			pair := line
			if i := strings.IndexByte(line, ';'); i >= 0 {
				pair, line = line[:i], strings.TrimPrefix(line[i+1:], " ")
			} else {
				line = ""
			}
			if rest, found := strings.CutPrefix(pair, start); found {
				return t.verify(rest)
			}
		}
	}
	return "", false
}

// verify takes ID.SIGNATURE. The id is not encoded: it needs no escapes.
func (t *tickets) verify(ticket string) (id string, ok bool) {
	if len(ticket) <= idLength || ticket[idLength] != '.' {
		return "", false
	}
	id, signature := ticket[:idLength], ticket[idLength+1:]
	m := t.macs.Get().(*mac)
	defer t.macs.Put(m)
	n := 0
	for i := 0; i < len(signature) && n < len(m.got); i, n = i+1, n+1 {
		c := signature[i]
		if c == '%' && i+2 < len(signature) {
			c = unhex(signature[i+1])<<4 | unhex(signature[i+2])
			i += 2
		}
		m.got[n] = c
	}
	return id, subtle.ConstantTimeCompare(m.got[:n], m.sign(id)) == 1
}

func unhex(c byte) byte {
	if c >= 'A' {
		return c&^0x20 - 'A' + 10
	}
	return c - '0'
}

func (t *tickets) cookie(id string) string {
	m := t.macs.Get().(*mac)
	defer t.macs.Put(m)
	return start + id + "." + url.QueryEscape(string(m.sign(id))) + "; Path=/; HttpOnly; SameSite=Lax"
}

func newID() string {
	var random [idLength / 4 * 3]byte
	_, _ = rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// memberOf returns the JSON value of a name at the top level of an object, or
// nil. It skips the rest without looking into it.
func memberOf(object []byte, name string) []byte {
	from, to := findMember(object, name)
	return object[from:to]
}

func findMember(object []byte, name string) (from, to int) {
	for i := 1; i < len(object) && object[i] == '"'; i++ {
		end := endOfValue(object, i)
		found := string(object[i+1:end-1]) == name
		from = end + 1 // after the colon
		to = endOfValue(object, from)
		if found {
			return from, to
		}
		i = to // the comma, or the end
	}
	return 0, 0
}

// endOfValue returns where the value ends that begins at i.
func endOfValue(b []byte, i int) int {
	depth := 0
	for i < len(b) {
		switch b[i] {
		case '"':
			for i++; ; i++ {
				n := bytes.IndexByte(b[i:], '"')
				if n < 0 {
					return len(b)
				}
				i += n
				escapes := 0
				for b[i-1-escapes] == '\\' {
					escapes++
				}
				if escapes%2 == 0 {
					break
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',':
			if depth == 0 {
				return i
			}
		}
		i++
	}
	return i
}

func stringIn(record []byte, name string) string {
	value := memberOf(record, name)
	if len(value) < 2 || value[0] != '"' {
		return ""
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1])
	}
	var s string
	_ = json.Unmarshal(value, &s) // "" where it is none
	return s
}

// replaced returns the record with another value of that name, which it has.
func replaced(record []byte, name, value string) []byte {
	from, to := findMember(record, name)
	next := make([]byte, 0, len(record)+len(value))
	next = append(next, record[:from]...)
	next = append(next, value...)
	return append(next, record[to:]...)
}

func incremented(record []byte, name string) []byte {
	from, to := findMember(record, name)
	n, _ := strconv.Atoi(string(record[from:to])) // 0 where there is none
	next := make([]byte, 0, len(record)+1)
	next = append(next, record[:from]...)
	next = strconv.AppendInt(next, int64(n+1), 10)
	return append(next, record[to:]...)
}
