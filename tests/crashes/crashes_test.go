// Package crashes kills an app by SIGKILL in the middle of a renewal, a
// regeneration, a login and a logout, at every call of the store, before it is
// sent and when it has been answered. Afterwards another process serves the
// visitor.
package crashes

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	_ "github.com/cloakroom-go/cloakroom/core/adaptertest" // core then panics where it meets what cannot occur
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/process"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

func TestMain(m *testing.M) {
	process.Run(newProcess)
	suite.Main(m)
}

const (
	count core.Key[int]    = "count"
	user  core.Key[string] = "user"
)

const idle = time.Hour

// settings are what a process is told.
type settings struct {
	Valkey     []string // addresses
	Mongo      string   // a URI
	Prefix     string
	Collection string
	Driver     string // of a database, with its DSN
	DSN        string
	Table      string
	File       string // of SQLite

	point
}

// A point is where a process stops for good.
type point struct {
	Stop  int    // the call of the store, counted; 0: none
	At    string // or by its name
	After bool   // when the call has been answered

	// Where two calls are under way at once, the other one by its name: it has
	// been answered by then, or it is never sent.
	Beside string
	Held   bool
}

func (s settings) open() (store.Store, error) {
	if s.File != "" {
		return sqlitestore.Open(context.Background(), s.File, sqlitestore.Options{SweepInterval: sqlstore.NeverSweep})
	}
	if s.DSN != "" {
		db, err := sql.Open(s.Driver, s.DSN)
		if err != nil {
			return nil, err
		}
		return sqlstore.New(db, sqlstore.Options{Table: s.Table, SweepInterval: sqlstore.NeverSweep})
	}
	if s.Mongo != "" {
		client, err := mongo.Connect(options.Client().ApplyURI(s.Mongo))
		if err != nil {
			return nil, err
		}
		return mongostore.New(client.Database(mongoenv.Database).Collection(s.Collection), mongostore.Options{})
	}
	client, err := valkey.NewClient(valkeyenv.Lean(valkey.ClientOption{InitAddress: s.Valkey}))
	if err != nil {
		return nil, err
	}
	return valkeystore.New(client, valkeystore.Options{Prefix: s.Prefix})
}

// newProcess is what a process serves.
func newProcess(text json.RawMessage) (http.Handler, error) {
	var s settings
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, err
	}
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	stopped := make(chan string, 1)
	m, err := core.New(core.Config{
		Store: wrap(st, &brake{point: s.point, beside: make(chan struct{}), stopped: stopped}), Secrets: suite.Hide("one secret for all the processes of a test"),
		IdleTimeout: idle, StoreTimeout: servers.Patience,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	handle := func(path string, do func(s *core.Session, r *http.Request) error) {
		mux.Handle(path, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			if err := do(s, r); err != nil {
				w.WriteHeader(core.HTTPStatus(err))
				return
			}
			_, _ = fmt.Fprintf(w, "%v %d %s", s.Status(), count.Get(s), user.Get(s))
		})))
	}
	handle("/begin", func(s *core.Session, _ *http.Request) error { count.Set(s, 7); user.Set(s, "ann"); return nil })
	handle("/read", func(*core.Session, *http.Request) error { return nil })
	handle("/renew", func(s *core.Session, _ *http.Request) error { user.Set(s, "bob"); return s.Renew() })
	handle("/regenerate", func(s *core.Session, _ *http.Request) error {
		err := s.Regenerate()
		user.Set(s, "bob")
		return err
	})
	handle("/signin", func(s *core.Session, r *http.Request) error {
		user.Set(s, "bob")
		return s.SignIn(r.Context(), "bob")
	})
	handle("/destroy", func(s *core.Session, r *http.Request) error { return s.Destroy(r.Context()) })
	mux.HandleFunc("/-/devices", func(w http.ResponseWriter, r *http.Request) {
		n := 0
		for _, err := range m.Sessions(r.Context(), "bob") {
			if err != nil {
				w.WriteHeader(core.HTTPStatus(err))
				return
			}
			n++
		}
		_, _ = fmt.Fprint(w, n)
	})
	mux.HandleFunc("/-/stopped", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, <-stopped) })
	return mux, nil
}

// A brake stops a process at a call of the store.
type brake struct {
	point
	mu      sync.Mutex
	calls   int
	beside  chan struct{} // closed when the call of that name has been answered
	stopped chan<- string
}

func (b *brake) call(verb string, do func() error) error {
	if verb == b.Beside {
		if b.Held {
			select {}
		}
		defer close(b.beside)
		return do()
	}
	if !b.here(verb) {
		return do()
	}
	if b.After {
		if err := do(); err != nil {
			panic(fmt.Sprintf("%s: %v", verb, err))
		}
	}
	b.stop(verb)
	return nil
}

// here reports whether this is the call.
func (b *brake) here(verb string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	return b.calls == b.Stop || verb == b.At
}

func (b *brake) stop(verb string) {
	if b.Beside != "" && !b.Held {
		<-b.beside
	}
	b.stopped <- verb
	select {}
}

// wrap returns the store with a brake, and with the abilities that it has.
func wrap(st store.Store, b *brake) store.Store {
	s := braked{st, b, ""}
	users := brakedUsers{s, braked{st.(store.UserIndexer).UserIndex(), b, "list "}}
	if _, ok := st.(store.Replacer); ok {
		return brakedReplacer{users}
	}
	return users
}

type braked struct {
	store.Store
	brake *brake
	of    string // what it stores; empty for sessions
}

func (s braked) Load(ctx context.Context, id string) (rec store.Record, err error) {
	_ = s.brake.call(s.of+"load", func() error {
		rec, err = s.Store.Load(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil // that is an answer, too
		}
		return err
	})
	return rec, err
}

func (s braked) Create(ctx context.Context, rec store.Record) error {
	return s.brake.call(s.of+"create", func() error { return s.Store.Create(ctx, rec) })
}

func (s braked) Update(ctx context.Context, old, next store.Record) error {
	return s.brake.call(s.of+"update", func() error { return s.Store.Update(ctx, old, next) })
}

func (s braked) Touch(ctx context.Context, id string, ttl time.Duration) error {
	return s.Store.Touch(ctx, id, ttl) // beside the others, and no part of what is done
}

func (s braked) Delete(ctx context.Context, id string) error {
	return s.brake.call(s.of+"delete", func() error { return s.Store.Delete(ctx, id) })
}

func (s braked) Remove(ctx context.Context, old store.Record) error {
	remover, ok := s.Store.(store.Remover)
	if !ok {
		return errors.ErrUnsupported
	}
	return s.brake.call(s.of+"remove", func() error { return remover.Remove(ctx, old) })
}

type brakedUsers struct {
	braked
	lists store.Store
}

func (s brakedUsers) UserIndex() store.Store { return s.lists }

func (s brakedUsers) Inspect(ctx context.Context, ids []string) (found []store.Record, err error) {
	err = s.brake.call("inspect", func() (err error) { found, err = s.Store.(store.UserIndexer).Inspect(ctx, ids); return err })
	return found, err
}

type brakedReplacer struct{ brakedUsers }

func (s brakedReplacer) Replace(ctx context.Context, old, retired, next store.Record) error {
	b := s.brake
	if b.Stop == b.calls+1 && b.After { // where records live apart, this is no call
		err := s.Store.(store.Replacer).Replace(ctx, old, retired, next)
		if err != nil {
			return err
		}
		return b.call("replace", func() error { return nil })
	}
	return b.call("replace", func() error { return s.Store.(store.Replacer).Replace(ctx, old, retired, next) })
}

// A browser is a visitor's.
type browser struct{ cookie string }

// ask sends a request. An error says that there was no answer.
func (b *browser) ask(url string) (status int, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), servers.Patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return 0, "", err
	}
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, "", err
	}
	if set := res.Header.Get("Set-Cookie"); set != "" {
		b.cookie, _, _ = strings.Cut(set, ";")
		if strings.Contains(set, "Max-Age=0") {
			b.cookie = ""
		}
	}
	return res.StatusCode, string(text), nil
}

// expect asks for what must be answered.
func (b *browser) expect(t *testing.T, url, want string) {
	t.Helper()
	if status, body, err := b.ask(url); err != nil || status != http.StatusOK || body != want {
		t.Errorf("%s: %d %q, %v; want 200 %q", url, status, body, err, want)
	}
}

// A place is a store, and how to look into it past the processes.
type place struct {
	settings
	store interface {
		store.Store
		store.Lister
		store.UserIndexer
	}
	lives func(t *testing.T) []time.Duration // that the records have yet
}

func TestValkey(t *testing.T) {
	t.Parallel()
	crash(t, valkeyPlace(t, []string{valkeyenv.Addr(t)}))
}

func TestValkeyCluster(t *testing.T) {
	t.Parallel()
	crash(t, valkeyPlace(t, valkeyenv.ClusterAddrs(t)))
}

func valkeyPlace(t *testing.T, addrs []string) *place {
	client := valkeyenv.Client(t, valkey.ClientOption{InitAddress: addrs})
	p := &place{settings: settings{Valkey: addrs, Prefix: valkeyenv.Prefix()}}
	p.store = valkeyenv.Store(t, client, valkeystore.Options{Prefix: p.Prefix})
	p.lives = func(t *testing.T) (all []time.Duration) {
		for rec, err := range p.store.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ms, err := client.Do(t.Context(), client.B().Pttl().Key(p.Prefix+rec.ID).Build()).AsInt64()
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, time.Duration(ms)*time.Millisecond)
		}
		return all
	}
	return p
}

func TestMongo(t *testing.T) {
	t.Parallel()
	client := mongoenv.Client(t)
	p := &place{settings: settings{Mongo: mongoenv.URI(t), Collection: mongoenv.Collection(t, client)}}
	p.store = mongoenv.Store(t, client, mongostore.Options{Collection: p.Collection})
	p.lives = func(t *testing.T) (all []time.Duration) {
		cursor, err := client.Database(mongoenv.Database).Collection(p.Collection).Find(t.Context(), bson.D{})
		var docs []struct{ Expires time.Time }
		if err == nil {
			err = cursor.All(t.Context(), &docs)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			all = append(all, time.Until(d.Expires))
		}
		return all
	}
	crash(t, p)
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	crash(t, tablePlace(t, sqlenv.PostgreSQL))
}

// In MariaDB a renewal is a transaction, and one call of the store.
func TestMariaDB(t *testing.T) {
	t.Parallel()
	crash(t, tablePlace(t, sqlenv.MariaDB))
}

func TestFile(t *testing.T) {
	t.Parallel()
	p := &place{settings: settings{File: filepath.Join(t.TempDir(), "sessions.db")}}
	st, err := sqlitestore.Open(t.Context(), p.File, sqlitestore.Options{SweepInterval: sqlstore.NeverSweep})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	p.store, p.lives = st, inspected(st)
	crash(t, p)
}

func tablePlace(t *testing.T, d sqlenv.Database) *place {
	db := d.Open(t)
	p := &place{settings: settings{Driver: d.Driver, DSN: d.DSN(t), Table: sqlenv.Table(t, db)}}
	st := sqlenv.Store(t, db, sqlstore.Options{Table: p.Table})
	p.store, p.lives = st, inspected(st)
	return p
}

// inspected returns a function that asks the store itself for the lives of all its
// records.
func inspected(st interface {
	store.Lister
	store.UserIndexer
},
) func(t *testing.T) []time.Duration {
	return func(t *testing.T) (all []time.Duration) {
		var ids []string
		for rec, err := range st.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, rec.ID)
		}
		recs, err := st.Inspect(t.Context(), ids)
		if err != nil || len(recs) != len(ids) {
			t.Fatalf("Inspect of %d records: %d, %v", len(ids), len(recs), err)
		}
		for _, rec := range recs {
			all = append(all, rec.TTL)
		}
		return all
	}
}

// stored counts the records.
func (p *place) stored(t *testing.T) (live, retired int) {
	t.Helper()
	for rec, err := range p.store.All(t.Context()) {
		switch {
		case err != nil:
			t.Fatal(err)
		case strings.Contains(string(rec.Data), `"retired":`):
			retired++
		default:
			live++
		}
	}
	return live, retired
}

const intact = "loaded 7 ann"

// points are where a login stops. It loads the list of the user while it creates the
// record; then it changes the list, whose call depends on whether there is one, and
// in the end it gives up the old id.
func points(listed bool) (all []point) {
	change := "list create"
	if listed {
		change = "list update"
	}
	for _, after := range []bool{false, true} {
		all = append(all, point{At: "load", After: after})
		for _, held := range []bool{false, true} {
			all = append(all,
				point{At: "create", Beside: "list load", After: after, Held: held},
				point{At: "list load", Beside: "create", After: after, Held: held})
		}
		all = append(all, point{At: change, After: after}, point{At: "update", After: after})
	}
	return all
}

// sums are what came of all crashes.
type sums struct{ points, undone, orphans int }

func (n *sums) add(orphan, done bool) {
	n.points++
	if orphan {
		n.orphans++
	}
	if !done {
		n.undone++
	}
}

// crash kills a process at every call of every verb.
func crash(t *testing.T, p *place) {
	well := process.Start(t, p.settings)
	var n sums
	for _, verb := range []string{"renew", "regenerate", "destroy"} {
		for stop, more := 1, true; more; stop++ {
			for _, after := range []bool{false, true} {
				at, orphan, done := p.crashAt(t, well, verb, false, point{Stop: stop, After: after})
				if at == "" { // it came to its end
					more = false
					continue
				}
				n.add(orphan, done)
			}
		}
	}
	if n.points < 8 {
		t.Errorf("killed at %d points only", n.points)
	}
	for _, listed := range []bool{false, true} {
		for _, stop := range append(points(listed), point{}) {
			at, orphan, done := p.crashAt(t, well, "signin", listed, stop)
			if at != stop.At {
				t.Errorf("a login stopped at %q, want %q", at, stop.At)
			}
			if at != "" {
				n.add(orphan, done)
			}
		}
	}
	t.Logf("killed at %d points: %d times it had not been done, %d records were left whose id nobody has, no session was lost and none was doubled", n.points, n.undone, n.orphans)
}

var doneBody = map[string]string{"renew": "loaded 7 bob", "signin": "loaded 7 bob", "regenerate": "loaded 0 bob", "destroy": "new 0 "}

// crashAt kills a process at a call, and tells at which, whether it left a
// record whose id nobody has, and whether the verb was done. Where listed is set,
// bob has another session.
func (p *place) crashAt(t *testing.T, well *process.Process, verb string, listed bool, stop point) (at string, orphan, done bool) {
	t.Helper()
	for _, part := range []store.Store{p.store, p.store.UserIndex()} {
		if err := part.(store.Clearer).Clear(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	others, other := 0, new(browser)
	if listed {
		others = 1
		other.expect(t, well.URL+"/signin", "new 0 bob")
	}
	b := new(browser)
	b.expect(t, well.URL+"/begin", "new 7 ann")
	s := p.settings
	s.point = stop
	victim := process.Start(t, s)
	answered := make(chan error, 1)
	asked := *b
	go func() {
		status, body, err := asked.ask(victim.URL + "/" + verb)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %s %q", strconv.Itoa(status), body)
		}
		answered <- err
	}()
	stopped := make(chan string, 1)
	go func() {
		_, verb, _ := new(browser).ask(victim.URL + "/-/stopped")
		stopped <- verb
	}()
	select {
	case at = <-stopped:
	case err := <-answered:
		if err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		victim.Kill(t) // when it had answered: what it acknowledged is so
		<-stopped
		b.expect(t, well.URL+"/read", "unknown or expired 0 ")
		asked.expect(t, well.URL+"/read", doneBody[verb])
		p.devices(t, well, verb, others)
		return "", false, true
	}
	victim.Kill(t)
	if err := <-answered; err == nil {
		t.Fatalf("%s was answered by a process that had stopped", verb)
	}

	live, retired := p.stored(t)
	live -= others
	status, body, err := b.ask(well.URL + "/read")
	works := err == nil && status == http.StatusOK && body == intact
	done = !works
	switch {
	case works && verb == "destroy":
		if live != 1 || retired != 0 {
			t.Errorf("%d sessions and %d retired ones are stored, want the one that was not destroyed", live, retired)
		}
	case works: // and the next one may be there, whose id nobody has
		if orphan = live == 2; live > 2 || retired != 0 {
			t.Errorf("%d sessions and %d retired ones are stored, want the old one, and the next one at most", live, retired)
		}
	case err != nil || status != http.StatusOK || body != "unknown or expired 0 ":
		t.Errorf("after a crash at %s the visitor is answered %d %q, %v; want the session, whole, or none", at, status, body, err)
	case verb == "destroy":
		if live != 0 || retired != 0 {
			t.Errorf("%d sessions and %d retired ones are stored after a logout", live, retired)
		}
	default:
		orphan = true
		if live != 1 || retired != 1 {
			t.Errorf("%d sessions and %d retired ones are stored, want the next one and the old id", live, retired)
		}
	}
	for _, life := range p.lives(t) { // whatever is left ends by itself
		if life <= 0 || life > idle {
			t.Errorf("a record lives for another %v, want at most %v", life, idle)
		}
	}
	if listed {
		other.expect(t, well.URL+"/read", "loaded 0 bob")
	}
	if works { // nothing stands in the way of doing it again
		old := *b
		if status, _, err := b.ask(well.URL + "/" + verb); err != nil || status != http.StatusOK {
			t.Errorf("%s after the crash: %d, %v", verb, status, err)
		}
		old.expect(t, well.URL+"/read", "unknown or expired 0 ")
		b.expect(t, well.URL+"/read", doneBody[verb])
		p.devices(t, well, verb, others)
	}
	t.Logf("%s, killed %s %s: done %v, orphan %v", verb, map[bool]string{true: "after", false: "before"}[stop.After], at, done, orphan)
	return at, orphan, done
}

// devices checks how many sessions bob has by his list: one that a crash left is
// none of its own.
func (p *place) devices(t *testing.T, well *process.Process, verb string, others int) {
	t.Helper()
	if verb == "signin" {
		new(browser).expect(t, well.URL+"/-/devices", strconv.Itoa(1+others))
	}
}
