package main

import (
	"context"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

func TestWatchTellsWhatBecomesOfSessions(t *testing.T) {
	t.Parallel()
	url := kinds["valkey"](t)
	app := newApp(t, open(t, url), core.Config{})
	ada, bob := app.visit("login=ada"), app.visit("login=bob")
	ctx, interrupt := context.WithCancel(t.Context())
	out := &lineWriter{lines: make(chan string, 1000)}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"watch", "--every", "100ms", "--json"}, world{out: out, err: out, now: time.Now, getenv: func(name string) string {
			return map[string]string{"CLOAKROOM_STORE": url}[name]
		}})
	}()
	var sum change
	next := func() (d change) {
		t.Helper()
		select {
		case line := <-out.lines:
			d = lines[change](t, result{out: line})[0]
		case <-time.After(patience):
			t.Fatal("nothing is shown")
		}
		sum.Began, sum.SignedIn, sum.Changed, sum.Ended = sum.Began+d.Began, sum.SignedIn+d.SignedIn, sum.Changed+d.Changed, sum.Ended+d.Ended
		return d
	}
	if d := next(); d.Sessions != 2 || d.Users != 2 || d.Commands == 0 {
		t.Errorf("at first %+v", d)
	}
	app.ask(ada, "cart=apples")
	app.visit("login=mia")
	app.visit("cart=pears")
	if err := app.m.RevokeUser(t.Context(), "bob"); err != nil {
		t.Fatal(err)
	}
	_ = bob
	for began := time.Now(); sum.Began < 2 || sum.Ended < 1 || sum.Changed < 1; next() {
		if time.Since(began) > patience {
			break
		}
	}
	if sum.Began != 2 || sum.SignedIn != 1 || sum.Changed != 1 || sum.Ended != 1 {
		t.Errorf("together %+v", sum)
	}
	interrupt()
	if code := <-done; code != exitOK {
		t.Errorf("exit code %d", code)
	}
	operate(t, map[string]string{"CLOAKROOM_STORE": url}, "watch", "--every", "100ms", "--rounds", "2").want(t, exitOK, "SESSIONS", "COMMANDS/S")
	operate(t, nil, "watch", "--every", "1ms").want(t, exitUsage)
}

// A server that was started again, or told to, counts its commands anew.
func TestCommandsThatAreCountedAnewAreNoNegativeNumber(t *testing.T) {
	t.Parallel()
	addr := start(t)
	client := open(t, "valkey://"+addr).Valkey
	for range 1000 {
		if err := client.Do(t.Context(), client.B().Ping().Build()).Error(); err != nil {
			t.Fatal(err)
		}
	}
	var all []change
	out := writerFunc(func(p []byte) {
		all = append(all, lines[change](t, result{out: string(p)})...)
		if len(all) == 1 {
			if err := client.Do(t.Context(), client.B().ConfigResetstat().Build()).Error(); err != nil {
				t.Error(err)
			}
		}
	})
	code := run(t.Context(), []string{"watch", "--every", "100ms", "--json", "--rounds", "3"}, world{out: out, err: out, now: time.Now, getenv: func(name string) string {
		return map[string]string{"CLOAKROOM_STORE": "valkey://" + addr}[name]
	}})
	if code != exitOK || len(all) != 3 || all[1].Commands < 0 || all[2].Commands <= 0 {
		t.Errorf("exit code %d, and %+v", code, all)
	}
}

// A writerFunc is called with what is written.
type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// A lineWriter passes on what is written, a line at a time.
type lineWriter struct{ lines chan string }

func (w *lineWriter) Write(p []byte) (int, error) {
	w.lines <- string(p)
	return len(p), nil
}
