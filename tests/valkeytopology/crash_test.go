package valkeytopology

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// The server is killed and comes back. Meanwhile the answer is 503; afterwards
// everything that was acknowledged is there.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, fsync string
		lossy       bool
	}{
		{"fsync=always", "always", false},
		{"fsync=everysec", "everysec", true}, // a crash of the process may lose what was not written yet
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := servers.Start(t, "--appendonly", "yes", "--appendfsync", tt.fsync)
			t.Log(server.Version())
			l := newApp(t, newStore(t, client(t, server.Option()), valkeystore.Options{})).begin(8, 8, tt.lossy)
			for range 3 {
				l.more(200)
				server.Kill()
				l.refusals(16)
				server.Start()
				l.more(50)
			}
			l.end()
		})
	}
}

// The server hangs: connections stay open and nothing is answered. A request
// takes no longer than StoreTimeout allows, and what became of the writes that
// were under way is settled when the server goes on.
func TestHang(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	l := newApp(t, newStore(t, client(t, server.Option()), valkeystore.Options{})).begin(4, 8, false)
	for range 2 {
		l.more(200)
		server.Pause()
		l.refusals(16)
		server.Resume()
		l.more(50)
	}
	l.end()
}

// A write that the server takes only after a while, when the time for the reply
// is not over, is settled within the same request: it succeeds and is applied
// once.
func TestShortHang(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	a := newPatientApp(t, newStore(t, client(t, server.Option()), valkeystore.Options{}))
	cookie := a.login()
	for range 5 {
		server.Pause()
		done := make(chan int, 1)
		go func() {
			status, _, _ := a.get("/add", cookie)
			done <- status
		}()
		select {
		case status := <-done:
			t.Fatalf("status %d while the server hung", status)
		case <-time.After(storeTimeout / 4):
		}
		server.Resume()
		if status := <-done; status != http.StatusOK {
			t.Errorf("status %d after a hang that was shorter than StoreTimeout", status)
		}
	}
	if _, body, _ := a.get("/read", cookie); body != "5" {
		t.Errorf("%s of 5 additions are stored", body)
	}
	t.Log("failed: ", a.check())
}

// A call whose time is over while a connection is being made says so, as any
// other does.
func TestInterruptedDial(t *testing.T) {
	t.Parallel()
	server := servers.Start(t)
	var inTime, late, wrong int
	for range 40 {
		st := newStore(t, client(t, server.Option()), valkeystore.Options{})
		// A client makes its connections when it first needs them, by key.
		for i := range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Microsecond)
			err := st.Create(ctx, store.Record{ID: strconv.Itoa(i), Data: []byte("{}"), TTL: time.Minute})
			if err == nil {
				inTime++
			} else {
				late++
				<-ctx.Done() // a moment later, perhaps
				if !errors.Is(err, context.DeadlineExceeded) {
					if wrong++; wrong == 1 {
						t.Errorf("%v, want an error that matches context.DeadlineExceeded", err)
					}
				}
			}
			cancel()
		}
	}
	t.Logf("%d calls were in time, %d were not, of which %d did not say so", inTime, late, wrong)
}
