package mongostore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/cloakroom-go/cloakroom/core/store"
)

func TestWhatTheDriverReturnsBecomesAStoreError(t *testing.T) {
	live := context.Background()
	cancelled, cancel := context.WithCancel(live)
	cancel()
	const (
		id      = "id-of-a-session"
		cleared = "connection pool for " + id + " was cleared because another operation failed with: " + id
	)
	var (
		dial    = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
		read    = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
		network = func(err error) error {
			return mongo.CommandError{Message: id, Labels: []string{"NetworkError"}, Wrapped: err}
		}
		command = func(code int32) error { return mongo.CommandError{Code: code, Name: "Name", Message: id} }
		write   = func(code int) error {
			return mongo.WriteException{WriteErrors: mongo.WriteErrors{{Code: code, Message: `dup key: { _id: "` + id + `" }`}}}
		}
		unconfirmed = mongo.WriteException{WriteConcernError: &mongo.WriteConcernError{Code: 64, Message: id}}
	)
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		err     error
		outcome store.Outcome
		class   string
		is      error // found in the chain; nil: nothing is
	}{
		{"no server", live, errors.New("server selection error: server selection timeout, " + id), store.OutcomeNotApplied, "no server is available", nil},
		{"no server until the call was cancelled", cancelled, fmt.Errorf("server selection error: %w, "+id, context.Canceled), store.OutcomeNotApplied, "no server is available", context.Canceled},
		{"no connection is free until the call was cancelled", cancelled, fmt.Errorf("canceled while checking out a connection from connection pool: %w", context.Canceled), store.OutcomeNotApplied, "canceled", context.Canceled},
		{"refused connection", live, fmt.Errorf("handshake: %w", dial), store.OutcomeNotApplied, "connection failed", syscall.ECONNREFUSED},
		{"lost connection", live, network(read), store.OutcomeUnknown, "connection failed", syscall.ECONNRESET},
		{"lost connection of another kind", live, network(errors.New(id)), store.OutcomeUnknown, "connection failed", nil},
		{"closed connection", live, network(io.EOF), store.OutcomeUnknown, "connection was closed", io.ErrUnexpectedEOF},
		{"connection that was to be used when another one failed", live, errors.New(cleared), store.OutcomeUnknown, "connection failed", nil},
		{"no connection after another one failed", live, mongo.CommandError{Message: cleared, Labels: []string{"TransientTransactionError"}}, store.OutcomeUnknown, "connection failed", nil},
		{"disconnected client", live, mongo.ErrClientDisconnected, store.OutcomeNotApplied, "client is disconnected", net.ErrClosed},
		{"cancelled call", cancelled, network(context.Canceled), store.OutcomeUnknown, "canceled", context.Canceled},
		{"cancelled call with another error", cancelled, network(io.EOF), store.OutcomeUnknown, "canceled", context.Canceled},
		{"bare timeout of the connection", live, os.ErrDeadlineExceeded, store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"time to dial is over", live, network(&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}), store.OutcomeNotApplied, "timeout", context.DeadlineExceeded},
		{"connection that the driver gave up", live, network(context.Canceled), store.OutcomeUnknown, "connection failed", nil},
		{"timeout of the client", live, network(fmt.Errorf("client timed out: %w", context.DeadlineExceeded)), store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"timeout of the server", live, command(50), store.OutcomeUnknown, "timeout", context.DeadlineExceeded},
		{"wrong password", live, command(18), store.OutcomeNotApplied, "authentication failed", nil},
		{"no permission", live, command(13), store.OutcomeNotApplied, "not permitted to this user", nil},
		{"no permission, as a write error", live, write(13), store.OutcomeNotApplied, "not permitted to this user", nil},
		{"validation", live, write(121), store.OutcomeNotApplied, "document fails the collection's validation", nil},
		{"full disk", live, command(14031), store.OutcomeNotApplied, "disk is full", store.ErrFull},
		{"full disk, as a write error", live, write(14031), store.OutcomeNotApplied, "disk is full", store.ErrFull},
		{"full disk of FerretDB", live, write(4293), store.OutcomeNotApplied, "disk is full", store.ErrFull},
		{"too large", live, write(10334), store.OutcomeNotApplied, "document is too large", nil},
		{"stepdown", live, command(11602), store.OutcomeUnknown, "primary stepped down", nil},
		{"not the primary", live, command(10107), store.OutcomeUnknown, "server is not the primary", nil},
		{"shutdown", live, command(91), store.OutcomeUnknown, "server is shutting down", nil},
		{"error of a gateway that lost its database", live, command(1), store.OutcomeUnknown, "internal error of the server", nil},
		{"error that the server has no name for", live, write(8), store.OutcomeUnknown, "unknown error of the server", nil},
		{"router that waited too long for a shard", live, command(202), store.OutcomeUnknown, "timeout between servers", nil},
		{"router that lost a shard", live, write(145), store.OutcomeUnknown, "connection between servers failed", nil},
		{"interruption", live, command(11601), store.OutcomeUnknown, "interrupted by the server", nil},
		{"unknown code", live, command(12345), store.OutcomeNotApplied, "refused by the server (code 12345)", nil},
		{"unknown code, cancelled meanwhile", cancelled, command(12345), store.OutcomeNotApplied, "refused by the server (code 12345)", nil},
		{"refusal without a code", live, mongo.CommandError{Message: id}, store.OutcomeUnknown, "refused by the server", nil},
		{"write that the others did not confirm", live, unconfirmed, store.OutcomeUnknown, "not confirmed by as many servers as the write concern asks for", nil},
		{"write that the others did not confirm in time", cancelled, unconfirmed, store.OutcomeUnknown, "not confirmed by as many servers as the write concern asks for", context.Canceled},
		{"something else, with an id in it", live, errors.New(id), store.OutcomeUnknown, "driver failed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := failure(tt.ctx, "update", tt.err)
			var f *store.Error
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a store.Error", err)
			}
			if f.Store != "mongodb" || f.Verb != "update" || f.Outcome != tt.outcome || f.Class != tt.class {
				t.Errorf("got %+v, want outcome %v and class %q", f, tt.outcome, tt.class)
			}
			if tt.is == nil && f.Err != nil || !errors.Is(err, tt.is) && tt.is != nil {
				t.Errorf("got %v in the chain, want %v", f.Err, tt.is)
			}
			if strings.Contains(err.Error(), id) {
				t.Errorf("the error quotes the driver's: %v", err)
			}
		})
	}
	if err := failure(live, "update", nil); err != nil {
		t.Errorf("no error became %v", err)
	}
}
