package histories

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A fleet is several processes of an app, in some way.
type fleet interface {
	// ask sends a request to a process. An error says that the answer was lost.
	ask(process int, path, cookie string) (status int, header http.Header, body string, err error)
	size() int
}

const (
	clients  = 5  // of a session
	requests = 14 // of a client
	patience = 20 * time.Second
)

// A visitor is who has a session, with several windows open.
type visitor struct {
	fleet fleet
	user  string
	start time.Time

	mu      sync.Mutex
	ids     map[string]int // numbers of cookies
	cookies []string       // by number - 1
	latest  int            // the number of the cookie that the browser has
	history []porcupine.Operation
	args    int
	failed  []string // requests that did nothing
	wrong   []string
}

// figures are what happened.
type figures struct {
	histories, operations, acknowledged, unknowns, failed int
	undecided                                             int           // histories, of which the checker had not seen all orders in its time
	longest                                               time.Duration // of an operation
}

func (f *figures) add(g figures) {
	f.histories += g.histories
	f.operations += g.operations
	f.unknowns += g.unknowns
	f.failed += g.failed
	f.undecided += g.undecided
	f.acknowledged += g.acknowledged
	f.longest = max(f.longest, g.longest)
}

// visit records one history: a session is begun, clients do things to it at
// random, by the seed, and the model reports whether the answers are right.
func visit(t *testing.T, fleet fleet, seed uint64) (f figures, err error) {
	t.Helper()
	v := &visitor{fleet: fleet, user: fmt.Sprint(seed), ids: make(map[string]int), start: time.Now()}
	for began := time.Now(); v.latest == 0; {
		status, header, _, err := fleet.ask(int(seed)%fleet.size(), "/begin", "")
		if err == nil && status == http.StatusOK {
			v.latest = v.number(cookieIn(header))
		} else if time.Since(began) > patience {
			return f, fmt.Errorf("no session can be begun: status %d, error %w", status, err)
		}
	}
	var all sync.WaitGroup
	for i := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for range requests {
				v.request(i, random)
			}
		})
	}
	all.Wait()
	v.read(patience) // what is left in the end
	return v.check(seed)
}

// request does something.
func (v *visitor) request(client int, random *rand.Rand) {
	in := input{kind: choose(random)}
	v.mu.Lock()
	in.id = v.latest
	if random.IntN(8) == 0 { // an old one
		in.id = 1 + random.IntN(len(v.cookies))
	}
	v.args++
	in.arg = v.args
	v.mu.Unlock()
	v.do(client, random.IntN(v.fleet.size()), in)
}

// weights are how often each kind is chosen.
var weights = [kinds]int{read: 20, increment: 33, set: 11, put: 9, take: 11, renew: 6, regenerate: 2, signIn: 4, destroy: 2, revoke: 2}

func choose(random *rand.Rand) kind {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := random.IntN(sum)
	for k, w := range weights {
		if n -= w; n < 0 {
			return kind(k)
		}
	}
	panic("not reached")
}

// do sends a request and notes it.
func (v *visitor) do(client, process int, in input) (answered bool) {
	v.mu.Lock()
	cookie := v.cookies[in.id-1]
	v.mu.Unlock()
	path := fmt.Sprintf("/%v?arg=%d", in.kind, in.arg)
	switch in.kind {
	case signIn:
		path = "/signin?user=" + v.user
	case revoke:
		path = "/revoke?id=" + url.QueryEscape(idIn(cookie))
		cookie = ""
	}
	call := time.Since(v.start)
	status, header, body, err := v.fleet.ask(process, path, cookie)
	ret := time.Since(v.start)

	v.mu.Lock()
	defer v.mu.Unlock()
	out := output{outcome: done}
	switch {
	case err == nil && status == http.StatusOK:
		v.understand(in, &out, header, body)
	case err == nil && (status == http.StatusUnauthorized || status == http.StatusConflict):
		out.outcome = gone
		if header.Get(outcomeHeader) == "unknown" { // that is two things: it may have been done, and then the session ended
			v.history = append(v.history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: output{outcome: maybe}, Return: int64(ret)})
		}
	case err == nil && status != http.StatusServiceUnavailable:
		out.outcome = impossible
		v.wrong = append(v.wrong, fmt.Sprintf("%v was answered %d", in, status))
	case in.kind == read || err == nil && header.Get(outcomeHeader) != "unknown":
		v.failed = append(v.failed, fmt.Sprintf("%12v to %12v client %d: %v -> %d, not done: %s", call, ret, client, in, status, header.Get(errorHeader)))
		return false
	default:
		out.outcome = unknown
	}
	if set := header["Set-Cookie"]; out.outcome != done && len(set) > 0 && in.kind != destroy {
		v.wrong = append(v.wrong, fmt.Sprintf("%v was answered %d with a cookie", in, status))
	}
	v.history = append(v.history, porcupine.Operation{ClientId: client, Input: in, Call: int64(call), Output: out, Return: int64(ret)})
	return true
}

// understand reads the answer 200.
func (v *visitor) understand(in input, out *output, header http.Header, body string) {
	cookie := cookieIn(header)
	switch in.kind {
	case read, increment, take:
		if err := json.Unmarshal([]byte(body), &out.values); err != nil {
			out.outcome = impossible
			v.wrong = append(v.wrong, fmt.Sprintf("%v: %v", in, err))
		}
		out.ticket = out.values.Ticket
	case renew, regenerate, signIn:
		if cookie == "" {
			out.outcome = impossible
			v.wrong = append(v.wrong, fmt.Sprintf("%v was answered 200 without a cookie", in))
			return
		}
		if v.ids[cookie] != 0 {
			out.outcome = impossible
			v.wrong = append(v.wrong, fmt.Sprintf("%v was answered with an id that was in use", in))
			return
		}
		out.id = v.number(cookie)
		v.latest = out.id
		return
	}
	if cookie != "" && in.kind != destroy {
		out.outcome = impossible
		v.wrong = append(v.wrong, fmt.Sprintf("%v was answered with a cookie", in))
	}
}

// number returns the number of a cookie.
func (v *visitor) number(cookie string) int {
	if v.ids[cookie] == 0 {
		v.cookies = append(v.cookies, cookie)
		v.ids[cookie] = len(v.cookies)
	}
	return v.ids[cookie]
}

// read reads with all cookies there were, until each is answered.
func (v *visitor) read(within time.Duration) {
	for began, id := time.Now(), 1; id <= len(v.cookies); {
		if v.do(clients, id%v.fleet.size(), input{kind: read, id: id}) {
			id++
		} else if time.Since(began) > within {
			v.wrong = append(v.wrong, "the processes do not get well again")
			return
		} else {
			time.Sleep(time.Millisecond)
		}
	}
}

// check asks the model.
func (v *visitor) check(seed uint64) (f figures, err error) {
	end := int64(time.Since(v.start))
	f = figures{histories: 1, operations: len(v.history), failed: len(v.failed)}
	for i := range v.history {
		op := &v.history[i]
		f.longest = max(f.longest, time.Duration(op.Return-op.Call))
		out := op.Output.(output)
		switch {
		case out.outcome == unknown:
			op.Return = end // it may be done later yet
			f.unknowns++
		case out.outcome == done && op.Input.(input).kind != read:
			f.acknowledged++
		}
		op.Metadata = fmt.Sprint(op.Input)
	}
	if len(v.wrong) > 0 {
		return f, fmt.Errorf("seed %d: %s", seed, strings.Join(v.wrong, "; "))
	}
	switch result := porcupine.CheckOperationsTimeout(model(1), v.history, checking); result {
	case porcupine.Ok:
		return f, nil
	case porcupine.Unknown:
		f.undecided = 1
		return f, nil
	}
	return f, &illegal{seed, v.history, v.failed}
}

// checking is for how long an order is looked for. It takes less than a second, as a
// rule; with many unknown outcomes it may take for ever.
const checking = time.Minute

// illegal says that there is no order in which the answers are right.
type illegal struct {
	seed    uint64
	history []porcupine.Operation
	failed  []string
}

func (e *illegal) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "seed %d: there is no order in which these answers are right:\n", e.seed)
	for _, op := range e.history {
		fmt.Fprintf(&s, "%12v to %12v client %d: %v -> %v\n", time.Duration(op.Call), time.Duration(op.Return), op.ClientId, op.Input, op.Output)
	}
	s.WriteString(strings.Join(e.failed, "\n"))
	return s.String()
}

func cookieIn(h http.Header) string {
	for _, line := range h["Set-Cookie"] {
		if cookie, _, _ := strings.Cut(line, ";"); strings.HasPrefix(cookie, "sid=") {
			return cookie
		}
	}
	return ""
}

// idIn returns the id in a cookie.
func idIn(cookie string) string {
	value, _ := url.QueryUnescape(strings.TrimPrefix(cookie, "sid="))
	id, _, _ := strings.Cut(strings.TrimPrefix(value, "s:"), ".")
	return id
}
