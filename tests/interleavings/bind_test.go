package interleavings

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// This file is about what browsers send to bind their sessions, beside what ends, renews
// or changes these. The model does not know it, so what comes of it is judged by what must
// not be.

// A device is one that binds a session.
type device struct {
	key *ecdsa.PrivateKey
	jwk string
}

func newDevice() *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return &device{key, fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, base64url(point[1:33]), base64url(point[33:]))}
}

func base64url(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// proof signs a challenge, with the key in it for a registration.
func (d *device) proof(challenge string, registers bool) string {
	header := `{"alg":"ES256","typ":"dbsc+jwt"}`
	if registers {
		header = `{"alg":"ES256","jwk":` + d.jwk + `,"typ":"dbsc+jwt"}`
	}
	text := base64url([]byte(header)) + "." + base64url([]byte(`{"jti":"`+challenge+`"}`))
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, d.key, sum[:])
	if err != nil {
		panic(err)
	}
	return text + "." + base64url(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// quoted returns what stands in a text behind another one, up to the next quote.
func quoted(text, behind string) string {
	_, text, _ = strings.Cut(text, behind)
	text, _, _ = strings.Cut(text, `"`)
	return text
}

// A binding is one session of ann's, and what is done to it at once.
type binding struct {
	gate    *gate
	servers [2]http.Handler
	bound   bool // before it begins

	cookie    string // with the id
	proven    string // and with the bound cookie, where it is bound
	challenge string // of the offer
	id        string // of the binding, where it is bound
	first     *device
}

// endpoint sends what a browser sends to bind a session, without any cookie.
func endpoint(ctx context.Context, server http.Handler, id, proof string) *httptest.ResponseRecorder {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://example.com/.session/bind", http.NoBody)
	if err != nil {
		panic(err)
	}
	for name, value := range map[string]string{"Sec-Secure-Session-Id": id, "Secure-Session-Response": proof} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	return w
}

// boundOf returns the bound cookie of an answer, to be sent behind another cookie.
func boundOf(w *httptest.ResponseRecorder) string {
	for _, line := range w.Header()["Set-Cookie"] {
		if pair, _, _ := strings.Cut(line, ";"); strings.HasPrefix(pair, "sid-bound=") {
			return "; " + pair
		}
	}
	return ""
}

// begin makes the session.
func (b *binding) begin() error {
	ctx := context.Background()
	w := ask(ctx, b.servers[0], "", func(ctx context.Context, s *core.Session, _ int) (any, error) {
		return "ok", s.SignIn(ctx, ann)
	})
	b.cookie = cookieOf(w)
	b.challenge = quoted(w.Header().Get("Secure-Session-Registration"), `challenge="`)
	if b.challenge == "" {
		return fmt.Errorf("nothing is offered: %d %v", w.Code, w.Header())
	}
	if b.first = newDevice(); !b.bound {
		b.proven = b.cookie
		return nil
	}
	w = endpoint(ctx, b.servers[0], "", b.first.proof(b.challenge, true))
	b.id = quoted(w.Body.String(), `"session_identifier":"`)
	b.proven = b.cookie + boundOf(w)
	time.Sleep(2 * time.Minute) // the grace
	return nil
}

// A bindOp is one of the two things that are done.
type bindOp struct {
	name string
	do   func(ctx context.Context, b *binding, server http.Handler, who int) *httptest.ResponseRecorder
	ends bool // the session, or its id
}

// asked is a request of the app's with the proof.
func asked(name string, ends bool, do handle) bindOp {
	return bindOp{name, func(ctx context.Context, b *binding, server http.Handler, who int) *httptest.ResponseRecorder {
		return ask(ctx, server, b.proven, func(ctx context.Context, s *core.Session, _ int) (any, error) { return do(ctx, s, who) })
	}, ends}
}

var (
	registers = bindOp{name: "register", do: func(ctx context.Context, b *binding, server http.Handler, who int) *httptest.ResponseRecorder {
		return endpoint(ctx, server, "", []*device{b.first, newDevice()}[who].proof(b.challenge, true))
	}}
	refreshes = bindOp{name: "refresh", do: func(ctx context.Context, b *binding, server http.Handler, _ int) *httptest.ResponseRecorder {
		w := endpoint(ctx, server, b.id, "")
		return endpoint(ctx, server, b.id, b.first.proof(quoted(w.Header().Get("Secure-Session-Challenge"), `"`), false))
	}}
	besides = []bindOp{
		asked("log out", true, func(ctx context.Context, s *core.Session, _ int) (any, error) { return "ok", s.Destroy(ctx) }),
		asked("renew", true, func(_ context.Context, s *core.Session, _ int) (any, error) { return "ok", s.Renew() }),
		asked("sign in", true, func(ctx context.Context, s *core.Session, _ int) (any, error) { return "ok", s.SignIn(ctx, ann) }),
		asked("change", false, func(_ context.Context, s *core.Session, who int) (any, error) {
			key1.Set(s, name(who))
			return "ok", nil
		}),
		{name: "revoke", ends: true, do: func(ctx context.Context, b *binding, server http.Handler, _ int) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			if err := revokers[server](ctx); err != nil {
				w.WriteHeader(core.HTTPStatus(err))
			}
			return w
		}},
	}
	// revokers end all sessions of ann, by server: what a test has that runs.
	revokers map[http.Handler]func(context.Context) error
)

// perform does both in an order that begins with those choices.
func (b *binding) perform(ops [2]bindOp, first schedule) (made schedule, answers [2]*httptest.ResponseRecorder, err error) {
	var running sync.WaitGroup
	for who, op := range ops {
		running.Go(func() {
			ctx := by(context.Background(), who)
			b.gate.wait(ctx, "starts", nil)()
			answers[who] = op.do(ctx, b, b.servers[who], who)
		})
	}
	for {
		synctest.Wait()
		stops := b.gate.stops()
		if len(stops) == 0 {
			break
		}
		next, _ := made.choose(labelsOf(stops), nil)
		if len(made) < len(first) {
			if next = first[len(made)]; next.check(stops) != nil {
				return made, answers, next.check(stops)
			}
		}
		made = append(made, next)
		b.gate.do(stops[next.taken])
	}
	running.Wait()
	return made, answers, nil
}

// judge tells what is wrong with what came of both.
func (b *binding) judge(ops [2]bindOp, answers [2]*httptest.ResponseRecorder) error {
	time.Sleep(2 * time.Minute) // the grace
	ctx := context.Background()
	sees := func(cookie string) string {
		return ask(ctx, b.servers[0], cookie, func(_ context.Context, s *core.Session, _ int) (any, error) {
			return s.User() + " " + s.Binding().String() + " " + key1.Get(s), nil
		}).Body.String()
	}
	ended, registered := false, 0
	for who, w := range answers {
		good := w.Code == http.StatusOK
		switch op := ops[who]; {
		case op.name == "register" && good:
			registered++
			b.proven = b.cookie + boundOf(w)
			b.id = quoted(w.Body.String(), `"session_identifier":"`)
			b.first = []*device{b.first, nil}[min(who, 1)]
		case op.name == "register" && w.Code != http.StatusBadRequest, op.name == "refresh" && !good && w.Code != http.StatusNotFound:
			return fmt.Errorf("%s was answered %d", op.name, w.Code)
		case op.name == "refresh" && good && boundOf(w) == "", op.name == "refresh" && !good && boundOf(w) != "":
			return fmt.Errorf("a refresh was answered %d, and has the cookie %q", w.Code, boundOf(w))
		case op.ends && !good && w.Code != http.StatusConflict:
			return fmt.Errorf("%s was answered %d", op.name, w.Code)
		case !op.ends && op.name == "change" && !good:
			return fmt.Errorf("a change was answered %d", w.Code)
		}
		ended = ended || ops[who].ends && good
	}
	switch bound := b.bound || registered == 1; {
	case registered > 1:
		return errors.New("two devices have bound it")
	case ended && (strings.HasPrefix(sees(b.cookie), ann) || strings.HasPrefix(sees(b.proven), ann)):
		return errors.New("it lives under the id that was given up")
	case ended:
		return b.judgeEnded()
	case !bound:
		return errors.New("nobody has bound it, and it lives")
	case !strings.HasPrefix(sees(b.proven), ann+" bound"):
		return fmt.Errorf("whoever has bound it sees %q", sees(b.proven))
	case !strings.HasPrefix(sees(b.cookie), " unproven"):
		return fmt.Errorf("without the proof one sees %q", sees(b.cookie))
	}
	for who := range ops {
		if ops[who].name == "change" && sees(b.proven) != ann+" bound "+name(who) {
			return fmt.Errorf("a change is lost: %q", sees(b.proven))
		}
	}
	return nil
}

// judgeEnded tells what is wrong where the session has ended: a binding of it must not go
// on.
func (b *binding) judgeEnded() error {
	if b.id == "" || b.first == nil {
		return nil
	}
	ctx := context.Background()
	w := endpoint(ctx, b.servers[0], b.id, "")
	w = endpoint(ctx, b.servers[0], b.id, b.first.proof(quoted(w.Header().Get("Secure-Session-Challenge"), `"`), false))
	if w.Code != http.StatusNotFound || boundOf(w) != "" {
		return fmt.Errorf("the binding of a session that has ended goes on: %d", w.Code)
	}
	return nil
}

// bindServers starts the processes.
func bindServers(t *testing.T, inner openStore, k kind, processes int) *binding {
	b := &binding{gate: new(gate)}
	st := k.withLists(inner, b.gate)
	revokers = make(map[http.Handler]func(context.Context) error)
	for who := range b.servers {
		if who >= processes {
			b.servers[who] = b.servers[0]
			continue
		}
		m, err := core.New(core.Config{
			Store: st, Secrets: secrets, IdleTimeout: idle, StoreTimeout: 1000 * idle,
			Cookie: core.Cookie{Secure: core.SecureAlways}, IsHTTPS: core.AlwaysHTTPS, Bind: &core.Bind{},
		})
		if err != nil {
			t.Fatal(err)
		}
		handler := m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := r.Context().Value(handleKey{}).(handle)(r.Context(), core.FromContext(r.Context()), 0)
			if err != nil {
				w.WriteHeader(core.HTTPStatus(err))
				return
			}
			_, _ = fmt.Fprint(w, body)
		}))
		server := &process{handler}
		revokers[server] = func(ctx context.Context) error { return m.RevokeUser(ctx, ann) }
		b.servers[who] = server
	}
	return b
}

// A process is a handler that can be told from others.
type process struct{ http.Handler }

// TestEveryOrderOfABindingAndAnother has a registration, and a refresh, meet everything
// that may happen to a session meanwhile.
func TestEveryOrderOfABindingAndAnother(t *testing.T) {
	orders := 0
	for _, k := range []kind{full, plain, apart} {
		for processes := range 2 {
			for _, ops := range bindPairs() {
				synctest.Test(t, func(t *testing.T) {
					for first := (schedule{}); first != nil; {
						inner := memory()
						b := bindServers(t, inner, k, 1+processes)
						b.bound = ops[0].name == refreshes.name
						if err := b.begin(); err != nil {
							t.Fatal(err)
						}
						made, answers, err := b.perform(ops, first)
						if err == nil {
							err = b.judge(ops, answers)
						}
						orders++
						if err != nil {
							t.Fatalf("%s and %s, store %v, %d processes: %v\nthe order: %v", ops[0].name, ops[1].name, k, 1+processes, err, made)
						}
						if err := inner.(io.Closer).Close(); err != nil {
							t.Fatal(err)
						}
						first = made.next()
					}
				})
			}
		}
	}
	t.Logf("%d orders", orders)
	if orders < 500 {
		t.Errorf("%d orders are fewer than there are", orders)
	}
}

func bindPairs() (all [][2]bindOp) {
	all = append(all, [2]bindOp{registers, registers}, [2]bindOp{refreshes, refreshes})
	for _, other := range besides {
		all = append(all, [2]bindOp{registers, other}, [2]bindOp{refreshes, other})
	}
	return all
}
