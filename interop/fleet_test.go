package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/cloakroom-go/cloakroom/core"
)

// The test binary runs itself as a process of the app: one that finds this in
// its environment is one.
const processEnv = "CLOAKROOM_INTEROP_PROCESS"

// runProcess serves the app by a framework, until stdin ends.
func runProcess(of string) error {
	var p struct {
		Framework string
		Settings  settings
	}
	if err := json.Unmarshal([]byte(of), &p); err != nil {
		return err
	}
	store, closeStore, err := openStore(context.Background(), p.Settings.Store)
	if err != nil {
		return err
	}
	defer closeStore()
	m, err := core.New(p.Settings.config(store))
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- http.Serve(l, handlers[p.Framework](m)) }()
	fmt.Println("http://" + l.Addr().String())
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		ended <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-ended:
		return err
	}
}

// startProcess starts the app in a process of its own, which ends with the test.
func startProcess(t *testing.T, name string, s settings) side {
	t.Helper()
	if name == express {
		needNode(t)
		p, err := startExpress()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.stop(); err != nil {
				t.Errorf("Express: %v", err)
			}
		})
		url, err := p.start(s)
		if err != nil {
			t.Fatal(err)
		}
		return side{name: name, url: url, express: true}
	}
	setup, err := json.Marshal(map[string]any{"Framework": name, "Settings": s})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"="+string(setup), "GORACE=halt_on_error=1 atexit_sleep_ms=0")
	stderr := &safeBuffer{}
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	url, _ := bufio.NewReader(stdout).ReadString('\n') // empty where it failed, which it will tell
	t.Cleanup(func() {
		_ = stdin.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := cmd.Wait(); err != nil || stderr.String() != "" {
			t.Errorf("the process of %s: %v\n%s", name, err, stderr)
		}
	})
	if url == "" {
		t.Fatalf("the process of %s does not start", name)
	}
	return side{name: name, url: strings.TrimSpace(url)}
}

// A mixedFleet is one process of Express and two of Go.
type mixedFleet struct {
	*testing.T
	db            database
	js, gin, echo side
}

func newMixedFleet(t *testing.T, db database) *mixedFleet {
	s := settings{}.on(db)
	return &mixedFleet{t, db, startProcess(t, express, s), startProcess(t, ginV1, s), startProcess(t, echoV5, s)}
}

// A load is clients that do something again and again until it is stopped.
type load struct {
	done  chan struct{}
	turns []*atomic.Int64 // of each client, how often it did that
	turn  chan struct{}   // has something when that was once more
	wg    sync.WaitGroup
}

func newLoad() *load { return &load{done: make(chan struct{}), turn: make(chan struct{}, 1)} }

// add adds a client, with the cookie of v.
func (l *load) add(v *visitor, do func(*visitor)) {
	v = v.again()
	turns := new(atomic.Int64)
	l.turns = append(l.turns, turns)
	l.wg.Go(func() {
		for {
			select {
			case <-l.done:
				return
			default:
				do(v)
				turns.Add(1)
				select {
				case l.turn <- struct{}{}:
				default:
				}
			}
		}
	})
}

// until lets it go on until that is enough.
func (l *load) until(enough func() bool) {
	for late := time.After(patience); !enough(); {
		select {
		case <-l.turn:
		case <-late:
			return
		}
	}
}

// onceMore lets every client begin something more, and end it.
func (l *load) onceMore() {
	var want []int64
	for _, turns := range l.turns {
		want = append(want, turns.Load()+2) // the first may be under way
	}
	l.until(func() bool {
		for i, turns := range l.turns {
			if turns.Load() < want[i] {
				return false
			}
		}
		return true
	})
}

// run lets it go on for underLoad, and for longer where that was not enough.
func (l *load) run(enough func() bool) {
	began := time.Now()
	l.until(func() bool { return time.Since(began) >= underLoad && enough() })
	l.stop()
}

func (l *load) stop() {
	close(l.done)
	l.wg.Wait()
}

// count counts in the session, and in acknowledged what was answered by 200 with
// the session still there.
func count(s side, key string, acknowledged *atomic.Int64) func(*visitor) {
	return func(v *visitor) {
		switch r := v.do(s, "POST", "/count/"+key, ""); r.status {
		case http.StatusOK:
			acknowledged.Add(1)
		case http.StatusConflict: // the session has ended
		default:
			v.t.Errorf("%s: status %d: %s", s.name, r.status, r.body)
		}
	}
}

// A scribbler writes to some keys at random, which are its own, and knows what
// they are.
type scribbler struct {
	s      side
	keys   []string
	values map[string]string
	random *rand.Rand
}

func newScribbler(s side, name string, seed uint64) *scribbler {
	w := &scribbler{s: s, values: make(map[string]string), random: rand.New(rand.NewPCG(seed, seed))}
	for i := range 5 {
		w.keys = append(w.keys, name+strconv.Itoa(i))
	}
	return w
}

func (w *scribbler) write(v *visitor) {
	key := w.keys[w.random.IntN(len(w.keys))]
	if w.random.IntN(4) == 0 {
		v.must(w.s, "DELETE", "/delete/"+key, "")
		delete(w.values, key)
		return
	}
	value := quote(strings.Repeat("x", w.random.IntN(30)) + strconv.Itoa(w.random.Int()))
	v.set(w.s, key, value)
	w.values[key] = value
}

func read(s side) func(*visitor) {
	return func(v *visitor) { v.must(s, "GET", "/dump", "") }
}

func (v *visitor) number(s side, key string) int64 {
	v.t.Helper()
	n, err := strconv.ParseInt("0"+v.get(s, key), 10, 64)
	if err != nil {
		v.t.Errorf("%s: %s: %v", s.name, key, err)
	}
	return n
}

const underLoad = 2 * time.Second // for each part

// TestGoLosesNoUpdateWhileExpressReads: what Express does beside it, touches
// and all, costs no update.
func TestGoLosesNoUpdateWhileExpressReads(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		f := newMixedFleet(t, db)
		v := newVisitor(t)
		v.must(f.js, "POST", "/login/bob", "")
		var n, own [2]atomic.Int64
		var scribblers []*scribbler
		l := newLoad()
		for i, s := range []side{f.gin, f.echo} {
			for range 2 {
				l.add(v, count(s, "n", &n[i]))
			}
			l.add(v, count(s, "own"+strconv.Itoa(i), &own[i]))
			w := newScribbler(s, fmt.Sprintf("random-%d-", i), uint64(i))
			scribblers = append(scribblers, w)
			l.add(v, w.write)
		}
		for range 2 {
			l.add(v, read(f.js))
			l.add(v, func(v *visitor) { v.must(f.js, "POST", "/touch", "") })
		}
		l.run(func() bool { return n[0].Load() > 50 && n[1].Load() > 50 })
		want := n[0].Load() + n[1].Load()
		for _, s := range []side{f.js, f.gin, f.echo} {
			if got := v.number(s, "n"); got != want {
				t.Errorf("%s: the counter is %d after %d increments", s.name, got, want)
			}
			for i := range own {
				if got := v.number(s, "own"+strconv.Itoa(i)); got != own[i].Load() {
					t.Errorf("%s: the counter of one process is %d after %d increments", s.name, got, own[i].Load())
				}
			}
			for _, w := range scribblers {
				for _, key := range w.keys {
					v.expect(s, key, w.values[key])
				}
			}
		}
		if n[0].Load() <= 50 || n[1].Load() <= 50 {
			t.Errorf("only %d and %d increments", n[0].Load(), n[1].Load())
		}
		report(t, "%s: %d increments by two Go processes while Express reads: none lost", db.name(), want+own[0].Load()+own[1].Load())
	})
}

// TestGoNoticesWhatExpressWrites has all three write. What Express wrote is in
// what Go answers from then on: no Go process writes over it. That Express
// writes over what Go stored in between is counted.
func TestGoNoticesWhatExpressWrites(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		f := newMixedFleet(t, db)
		v := newVisitor(t)
		v.must(f.js, "POST", "/login/bob", "")
		history := watch(t, db, v.id(f.js))
		var n, written atomic.Int64
		l := newLoad()
		for _, s := range []side{f.gin, f.echo} {
			for range 2 {
				l.add(v, count(s, "n", &n))
			}
		}
		// One client writes through Express, one after the other, so that Express
		// does not write over what Express wrote.
		l.add(v, func(v *visitor) {
			i := written.Add(1)
			v.set(f.js, "express", strconv.FormatInt(i, 10))
			for _, s := range []side{f.gin, f.echo} {
				if got := v.number(s, "express"); got != i {
					t.Errorf("Express stored %d and %s reads %d", i, s.name, got)
				}
			}
		})
		l.run(func() bool { return n.Load() > 50 && written.Load() > 10 })
		final := v.number(f.gin, "n")
		lost := n.Load() - final
		if lost < 0 {
			t.Errorf("the counter is %d after %d increments", final, n.Load())
		}
		if n.Load() <= 50 || written.Load() <= 10 {
			t.Errorf("only %d increments and %d writes of Express", n.Load(), written.Load())
		}
		report(t, "%s: %d increments by two Go processes while Express wrote %d times: Express wrote over %d of them, Go over nothing of Express's",
			db.name(), n.Load(), written.Load(), lost)
		if history != nil {
			history.check(n.Load(), lost)
		}
	})
}

// TestGoBringsNoSessionBack logs out while Go processes write and Express reads.
func TestGoBringsNoSessionBack(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		f := newMixedFleet(t, db)
		const logouts = 18
		for i := range logouts {
			where := []side{f.js, f.gin, f.echo}[i%3]
			v := newVisitor(t)
			v.must(f.js, "POST", "/login/bob", "")
			id := v.id(f.js)
			var n atomic.Int64
			l := newLoad()
			for _, s := range []side{f.gin, f.echo} {
				l.add(v, count(s, "n", &n))
				l.add(v, count(s, "n", &n))
			}
			l.add(v, read(f.js))
			l.until(func() bool { return n.Load() >= 5 })
			how := []string{"/logout", "/login/bob"}[i/3%2]
			tab := v.again()
			v.must(where, "POST", how, "")
			for missed := 0; where.express && missesDeletes(t, db) && missed < 10; missed++ {
				if _, found := db.record(t, id); !found {
					break
				}
				tab.again().must(where, "POST", "/logout", "")
			}
			l.onceMore()
			l.stop()
			if text, found := db.record(t, id); found && strings.Contains(text, `"user"`) {
				t.Errorf("%s on %s, and the record is back: %s", how, where.name, text)
			}
		}
		report(t, "%s: %d logouts and new ids under load while Express reads: no session came back", db.name(), logouts)
	})
}

// missesDeletes reports that the server is FerretDB, whose deleteOne finds nothing
// where the document is updated at the same moment. The store of Cloakroom looks
// again; connect-mongo takes it for done.
func missesDeletes(t *testing.T, db database) bool {
	t.Helper()
	m, isMongo := db.(*mongoDB)
	if !isMongo {
		return false
	}
	info, err := m.collection.Database().RunCommand(t.Context(), bson.D{{Key: "buildInfo", Value: 1}}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	return info.Lookup("ferretdb").Type != 0
}

// TestWhatExpressCanStillDo shows what a request of Express that saves does to
// what happened while it was under way. Cloakroom cannot keep it from that;
// docs/express.md tells how to live with it.
func TestWhatExpressCanStillDo(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, db database) {
		sides := startAll(t, db, settings{})
		const slow = `[["set","slow",1]]` // what the request of Express does
		for _, s := range sides {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel()
				v := newVisitor(t)
				v.must(s, "POST", "/login/bob", "")
				meanwhile(v, sides[0], slow, func() { v.set(s, "a", `1`) })
				v.expect(s, "slow", `1`)
				v.expect(s, "a", "") // undone: the last writer wins
			})
			for _, how := range []string{"/logout", "/login/eve"} {
				t.Run(s.name+how, func(t *testing.T) {
					t.Parallel()
					v := newVisitor(t)
					v.must(s, "POST", "/login/bob", "")
					thief, id := v.again(), v.id(s)
					meanwhile(v, sides[0], slow, func() { v.must(s, "POST", how, "") })
					if text, _ := db.record(t, id); !strings.Contains(text, `"user":"bob"`) {
						t.Errorf("the record is %q, and express-session is known to write it again", text)
					}
					for _, s := range sides {
						thief.expect(s, "user", `"bob"`)
					}
				})
			}
		}
	})
}

// report keeps a line that is printed when the tests are over, unless the test
// has failed, which has more to say.
func report(t testing.TB, format string, args ...any) {
	t.Helper()
	if t.Failed() {
		return
	}
	reports.Lock()
	defer reports.Unlock()
	reports.lines = append(reports.lines, fmt.Sprintf(format, args...))
}

var reports struct {
	sync.Mutex
	lines []string
}

// A history is all that was written to one record.
type history struct {
	*testing.T
	key   string
	first string // what the record was before
	conn  net.Conn
	ended chan struct{}
	lines []string
}

// watch has a Valkey server tell every command (MONITOR) that it carries out on
// a record. There is nothing like it for other databases.
func watch(t *testing.T, db database, id string) *history {
	t.Helper()
	v, isValkey := db.(*valkeyDB)
	if !isValkey {
		return nil
	}
	conn, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := db.record(t, id)
	h := &history{T: t, key: strconv.Quote(v.prefix + id), first: first, conn: conn, ended: make(chan struct{})}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if ok, err := in.ReadString('\n'); err != nil || ok != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", ok, err)
	}
	go func() {
		defer close(h.ended)
		for {
			line, err := in.ReadString('\n')
			if err != nil || strings.Contains(line, `"ECHO" `+h.key) {
				return
			}
			if strings.Contains(line, h.key) {
				h.lines = append(h.lines, line)
			}
		}
	}()
	return h
}

var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// check goes through the history. Every write of Go must keep what it found, and
// add one; where the counter goes back, Express has written.
func (h *history) check(increments, lost int64) {
	h.Helper()
	other, err := net.Dial("tcp", h.conn.RemoteAddr().String())
	if err != nil {
		h.Fatal(err)
	}
	defer other.Close()
	if _, err := fmt.Fprintf(other, "ECHO %s\r\n", h.key); err != nil {
		h.Fatal(err)
	}
	<-h.ended
	var byGo, byExpress, back int64
	now := h.first
	for _, line := range h.lines {
		words := quoted.FindAllString(line, -1)
		for i := range words {
			if words[i], err = strconv.Unquote(words[i]); err != nil {
				h.Fatalf("%v in %s", err, line)
			}
		}
		if len(words) < 5 || !strings.EqualFold(words[0], "SET") {
			continue
		}
		next := words[2]
		before, after := numbers(h, now), numbers(h, next)
		if !strings.EqualFold(words[3], "IFEQ") {
			byExpress++
			back += before["n"] - after["n"]
			now = next
			continue
		}
		if words[4] != now {
			continue // Valkey refuses it
		}
		byGo++
		if after["n"] != before["n"]+1 || after["express"] != before["express"] {
			h.Errorf("a Go process replaced %s\nby %s", now, next)
		}
		now = next
	}
	if byGo != increments || back != lost {
		h.Errorf("the history has %d writes of Go, of which Express undid %d; the clients say %d and %d", byGo, back, increments, lost)
	}
	report(h, "%s: the server's own record of these writes has %d of Go, each on top of what it found, and %d of Express", (*valkeyDB)(nil).name(), byGo, byExpress)
}

func numbers(t testing.TB, record string) map[string]int64 {
	t.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(record), &all); err != nil {
		t.Fatalf("%v: %s", err, record)
	}
	n := make(map[string]int64)
	for _, key := range []string{"n", "express"} {
		n[key], _ = strconv.ParseInt(string(all[key]), 10, 64) // 0 where it is not there yet
	}
	return n
}
