//go:build unix

// Command turns measures one build of Cloakroom, so that two builds can take turns: it is
// compiled with today's packages and with those of an earlier commit, and each line that
// comes in, how often and what kind of work, is answered with the nanoseconds of processor time
// that it took. With an argument it writes a profile of itself to that file. It uses nothing that the earlier commit does not have, but for one line,
// which package main of the benchmark replaces.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

const (
	appHeap = 64 << 20 // see package main of the benchmark
	clients = 64
	crowd   = 999 // sessions of one user; a list has room for a thousand
)

var (
	name  core.Key[string] = "user"
	count core.Key[int]    = "n"
)

func main() {
	app := make([]byte, appHeap)
	if len(os.Args) > 1 {
		f, err := os.Create(os.Args[1])
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "turns:", err)
			os.Exit(1)
		}
	}
	err := answer(context.Background())
	pprof.StopCPUProfile()
	runtime.KeepAlive(app)
	if err != nil {
		fmt.Fprintln(os.Stderr, "turns:", err)
		os.Exit(1)
	}
}

// answer answers lines until there are no more.
func answer(ctx context.Context) error {
	b, err := open(ctx)
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		times, kind, _ := strings.Cut(lines.Text(), " ")
		n, err := strconv.Atoi(times)
		if err != nil {
			return err
		}
		took, err := b.measure(ctx, kind, n)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		fmt.Println(took.Nanoseconds())
	}
	return nil
}

// A build is an app over each store.
type build struct {
	memory, valkey *site
	visitors       map[string][]*visitor // by kind of work
	users          int                   // how many there were
	crowded        string                // a user with many sessions
}

// A site is an app, and what it is served by.
type site struct {
	manager *core.Manager
	handler http.Handler
}

func open(ctx context.Context) (*build, error) {
	b := &build{visitors: make(map[string][]*visitor)}
	kept := memorystore.New(memorystore.Options{})
	m, err := core.New(config(core.Config{Store: kept}))
	if err != nil {
		return nil, err
	}
	b.memory = serve(m)
	if addr := os.Getenv("VALKEY_ADDR"); addr != "" {
		kept, err := valkeystore.Open(ctx, "redis://"+addr, valkeystore.Options{})
		if err != nil {
			return nil, err
		}
		if m, err = core.New(config(core.Config{Store: kept})); err != nil {
			return nil, err
		}
		b.valkey = serve(m)
	}
	return b, nil
}

func config(cfg core.Config) core.Config {
	cfg.Secrets = []string{"a secret of the benchmark, 32 bytes or more"}
	cfg.Logger = slog.New(slog.DiscardHandler)
	return cfg
}

func serve(m *core.Manager) *site {
	return &site{m, m.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := core.FromContext(r.Context())
		switch r.URL.Path {
		case "/read":
			if name.Get(s) != "alice" {
				w.WriteHeader(http.StatusUnauthorized)
			}
		case "/change":
			count.Update(s, func(n int) int { return n + 1 })
		case "/make":
			for i := range r.ContentLength / 80 { // not a body: how much the session shall hold
				core.Key[string](fmt.Sprintf("filler-%05d", i)).Set(s, "a value such as an app keeps: some text, 0123456789 0123456789")
			}
			name.Set(s, "alice")
			count.Set(s, 1000)
		case "/signin":
			if err := s.SignIn(r.Context(), r.Host); err != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	}))}
}

// measure does n times what kind says, and returns the processor time that each took.
func (b *build) measure(ctx context.Context, kind string, n int) (time.Duration, error) {
	switch kind {
	case "read", "change":
		return b.visit(b.memory, kind, "/"+kind, 0, 1, n)
	case "read 64 KB":
		return b.visit(b.memory, kind, "/read", 64<<10, 1, n)
	case "Valkey read", "Valkey change":
		if b.valkey == nil {
			return 0, errors.New("VALKEY_ADDR is not set")
		}
		return b.visit(b.valkey, kind, "/"+strings.TrimPrefix(kind, "Valkey "), 0, clients, n)
	case "first sign-in":
		return b.signIns(n, 0)
	case "hundredth sign-in":
		return b.signIns(n, 99)
	case "sessions":
		if b.crowded == "" {
			var err error
			if b.crowded, err = b.manySessions(); err != nil {
				return 0, err
			}
		}
		return timed(n, func() error {
			found := 0
			for _, err := range b.memory.manager.Sessions(ctx, b.crowded) {
				if err != nil {
					return err
				}
				found++
			}
			return mustBe(found, crowd)
		})
	case "revocation":
		users := make([]string, n)
		for i := range users {
			var err error
			if users[i], err = b.manySessions(); err != nil {
				return 0, err
			}
		}
		next := 0
		return timed(n, func() error {
			next++
			return b.memory.manager.RevokeUser(ctx, users[next-1])
		})
	}
	return 0, errors.New("there is no such work")
}

// visit sends n requests, shared among visitors who come again and again.
func (b *build) visit(s *site, kind, path string, filler int64, parallel, n int) (time.Duration, error) {
	if b.visitors[kind] == nil {
		for range parallel {
			v := newVisitor(s.handler)
			v.next.ContentLength = filler
			if err := v.get("/make"); err != nil {
				return 0, err
			}
			v.next.ContentLength = 0
			b.visitors[kind] = append(b.visitors[kind], v)
			for range 3 { // and again, so that it is known and needs no extension
				if err := v.get(path); err != nil {
					return 0, err
				}
			}
		}
	}
	all, each := b.visitors[kind], n/parallel
	if parallel == 1 {
		return timed(n, func() error { return all[0].get(path) })
	}
	errs := make([]error, parallel)
	took, err := timed(1, func() error {
		var done sync.WaitGroup
		for i, v := range all {
			done.Go(func() {
				for range each {
					errs[i] = errors.Join(errs[i], v.get(path))
				}
			})
		}
		done.Wait()
		return errors.Join(errs...)
	})
	return took / time.Duration(each*parallel), err
}

// signIns signs n users in who have that many sessions already.
func (b *build) signIns(n, before int) (time.Duration, error) {
	first := b.users
	b.users += n
	for i := range n {
		for range before {
			if err := b.signIn(first + i); err != nil {
				return 0, err
			}
		}
	}
	return timed(n, func() error {
		first++
		return b.signIn(first - 1)
	})
}

func (b *build) signIn(user int) error {
	v := newVisitor(b.memory.handler)
	v.next.Host = strconv.Itoa(user)
	return v.get("/signin")
}

// manySessions returns a user who has them.
func (b *build) manySessions() (user string, err error) {
	for range crowd {
		if err := b.signIn(b.users); err != nil {
			return "", err
		}
	}
	b.users++
	return strconv.Itoa(b.users - 1), nil
}

func mustBe(got, want int) error {
	if got != want {
		return fmt.Errorf("%d, want %d", got, want)
	}
	return nil
}

// timed returns the processor time of the process for each of n calls.
func timed(n int, do func() error) (time.Duration, error) {
	runtime.GC() // nobody pays for what came before
	from := processorTime()
	for range n {
		if err := do(); err != nil {
			return 0, err
		}
	}
	return (processorTime() - from) / time.Duration(n), nil
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
