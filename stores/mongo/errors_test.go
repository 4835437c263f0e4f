package mongostore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/cloakroom-go/cloakroom/core"
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
		outcome core.Outcome
		class   string
		is      error // found in the chain; nil: nothing is
	}{
		{"no server", live, errors.New("server selection error: server selection timeout, " + id), core.NotApplied, "no server is available", nil},
		{"no server until the call was cancelled", cancelled, fmt.Errorf("server selection error: %w, "+id, context.Canceled), core.NotApplied, "no server is available", context.Canceled},
		{"no connection is free until the call was cancelled", cancelled, fmt.Errorf("canceled while checking out a connection from connection pool: %w", context.Canceled), core.NotApplied, "canceled", context.Canceled},
		{"refused connection", live, fmt.Errorf("handshake: %w", dial), core.NotApplied, "connection failed", syscall.ECONNREFUSED},
		{"lost connection", live, network(read), core.Unknown, "connection failed", syscall.ECONNRESET},
		{"lost connection of another kind", live, network(errors.New(id)), core.Unknown, "connection failed", nil},
		{"closed connection", live, network(io.EOF), core.Unknown, "connection was closed", io.ErrUnexpectedEOF},
		{"connection that was to be used when another one failed", live, errors.New(cleared), core.Unknown, "connection failed", nil},
		{"no connection after another one failed", live, mongo.CommandError{Message: cleared, Labels: []string{"TransientTransactionError"}}, core.Unknown, "connection failed", nil},
		{"disconnected client", live, mongo.ErrClientDisconnected, core.NotApplied, "client is disconnected", net.ErrClosed},
		{"cancelled call", cancelled, network(context.Canceled), core.Unknown, "canceled", context.Canceled},
		{"cancelled call with another error", cancelled, network(io.EOF), core.Unknown, "canceled", context.Canceled},
		{"timeout of the client", live, network(fmt.Errorf("client timed out: %w", context.DeadlineExceeded)), core.Unknown, "timeout", context.DeadlineExceeded},
		{"timeout of the server", live, command(50), core.Unknown, "timeout", context.DeadlineExceeded},
		{"wrong password", live, command(18), core.NotApplied, "authentication failed", nil},
		{"no permission", live, command(13), core.NotApplied, "not permitted to this user", nil},
		{"no permission, as a write error", live, write(13), core.NotApplied, "not permitted to this user", nil},
		{"validation", live, write(121), core.NotApplied, "document fails the collection's validation", nil},
		{"full disk", live, command(14031), core.NotApplied, "disk is full", core.ErrStoreFull},
		{"full disk, as a write error", live, write(14031), core.NotApplied, "disk is full", core.ErrStoreFull},
		{"full disk of FerretDB", live, write(4293), core.NotApplied, "disk is full", core.ErrStoreFull},
		{"too large", live, write(10334), core.NotApplied, "document is too large", nil},
		{"stepdown", live, command(11602), core.Unknown, "primary stepped down", nil},
		{"not the primary", live, command(10107), core.Unknown, "server is not the primary", nil},
		{"shutdown", live, command(91), core.Unknown, "server is shutting down", nil},
		{"error of a gateway that lost its database", live, command(1), core.Unknown, "internal error of the server", nil},
		{"error that the server has no name for", live, write(8), core.Unknown, "unknown error of the server", nil},
		{"router that waited too long for a shard", live, command(202), core.Unknown, "timeout between servers", nil},
		{"router that lost a shard", live, write(145), core.Unknown, "connection between servers failed", nil},
		{"interruption", live, command(11601), core.Unknown, "interrupted by the server", nil},
		{"unknown code", live, command(12345), core.NotApplied, "refused by the server (code 12345)", nil},
		{"unknown code, cancelled meanwhile", cancelled, command(12345), core.NotApplied, "refused by the server (code 12345)", nil},
		{"refusal without a code", live, mongo.CommandError{Message: id}, core.Unknown, "refused by the server", nil},
		{"write that the others did not confirm", live, unconfirmed, core.Unknown, "not confirmed by as many servers as the write concern asks for", nil},
		{"write that the others did not confirm in time", cancelled, unconfirmed, core.Unknown, "not confirmed by as many servers as the write concern asks for", context.Canceled},
		{"something else, with an id in it", live, errors.New(id), core.Unknown, "driver failed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := failure(tt.ctx, "update", tt.err)
			var f *core.StoreError
			if !errors.As(err, &f) {
				t.Fatalf("got %v, want a StoreError", err)
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
