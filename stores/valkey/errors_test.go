package valkeystore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

func TestWhatTheClientReturnsBecomesAStoreError(t *testing.T) {
	live := context.Background()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	read := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		err     error
		outcome store.Outcome
		class   string
		is      error // found in the chain; nil: nothing is
	}{
		{"refused connection", live, dial, store.OutcomeNotApplied, "connection failed", syscall.ECONNREFUSED},
		{"lost connection", live, fmt.Errorf("write: %w", read), store.OutcomeUnknown, "connection failed", syscall.ECONNRESET},
		{"closed connection", live, io.EOF, store.OutcomeUnknown, "connection was closed", io.ErrUnexpectedEOF},
		{"closed client", live, valkey.ErrClosing, store.OutcomeNotApplied, "client is closed", net.ErrClosed},
		{"cancelled call", cancelled, context.Canceled, store.OutcomeUnknown, "canceled", context.Canceled},
		{"cancelled call with another error", cancelled, io.EOF, store.OutcomeUnknown, "canceled", context.Canceled},
		{"refused connection of a call that was cancelled then", cancelled, dial, store.OutcomeNotApplied, "canceled", context.Canceled},
		{"time to connect is over", live, context.DeadlineExceeded, store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"time to dial is over", live, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, store.OutcomeNotApplied, "timeout", context.DeadlineExceeded},
		{"silent server", live, os.ErrDeadlineExceeded, store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"silent server, as an error of the network", live, &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"certificate of an authority that is not known", live, &tls.CertificateVerificationError{Err: errors.New("id-of-a-session")}, store.OutcomeNotApplied, "certificate of the server is not accepted: it is for another host, or of an unknown authority", nil},
		{"server without TLS that answers", live, tls.RecordHeaderError{Msg: "id-of-a-session"}, store.OutcomeNotApplied, "server does not speak TLS", nil},
		{"another kind of server", live, errors.New("received unknown message type: 75"), store.OutcomeUnknown, "answer is none of Valkey's", nil},
		{"another call was cancelled", live, context.Canceled, store.OutcomeUnknown, "client failed", nil},
		{"something else, with an id in it", live, errors.New("id-of-a-session"), store.OutcomeUnknown, "client failed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := failure(tt.ctx, "update", tt.err)
			var f *store.Error
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a store.Error", err)
			}
			if f.Store != "valkey" || f.Verb != "update" || f.Outcome != tt.outcome || f.Class != tt.class {
				t.Errorf("got %+v, want outcome %v and class %q", f, tt.outcome, tt.class)
			}
			if tt.is == nil && f.Err != nil || !errors.Is(err, tt.is) && tt.is != nil {
				t.Errorf("got %v in the chain, want %v", f.Err, tt.is)
			}
			if strings.Contains(err.Error(), "id-of-a-session") {
				t.Errorf("the error quotes the client's: %v", err)
			}
		})
	}
	if err := failure(live, "update", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}

func TestMillisecondsAreRoundedUp(t *testing.T) {
	for d, want := range map[int64]int64{1: 1, 999_999: 1, 1_000_000: 1, 1_000_001: 2, 5_000_000_000: 5000} {
		if got := milliseconds(time.Duration(d)); got != want {
			t.Errorf("milliseconds of %d ns is %d, want %d", d, got, want)
		}
	}
}
