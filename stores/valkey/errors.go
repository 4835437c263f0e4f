package valkeystore

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

const storeName = "valkey"

// refuse returns an error when ctx is done before anything was sent.
func refuse(ctx context.Context, verb string) error {
	if err := ctx.Err(); err != nil {
		return &store.Error{Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Class: contextClass(err), Err: err}
	}
	return nil
}

func contextClass(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "canceled"
}

// refusals are what a server says when it does not do a command, and what that
// means. The text behind the first word is not passed on: it may quote
// arguments.
var refusals = map[string]string{
	"OOM":         "out of memory (maxmemory is reached)",
	"READONLY":    "server is a read-only replica",
	"NOPERM":      "not permitted by the server's ACL",
	"NOAUTH":      "authentication required",
	"WRONGPASS":   "authentication failed",
	"LOADING":     "server is loading its data",
	"MASTERDOWN":  "replica has lost its primary",
	"NOREPLICAS":  "too few replicas (min-replicas-to-write)",
	"CLUSTERDOWN": "cluster is down",
	"TRYAGAIN":    "slot is being moved",
	"BUSY":        "server is busy with a script",
	"MISCONF":     "server cannot persist and refuses writes",
	"UNKILLABLE":  "server is busy with a script",
	"MOVED":       "key is on another server of the cluster",
	"ASK":         "key is on another server of the cluster",
}

// failure makes a store.Error of what the client returned. Nothing of the text
// of a server's or the client's error is in it.
func failure(ctx context.Context, verb string, err error) error {
	if done := (*store.Error)(nil); err == nil || errors.As(err, &done) {
		return err
	}
	f := &store.Error{Store: storeName, Verb: verb}
	var (
		refusal *valkey.ValkeyError
		op      *net.OpError
		late    net.Error
	)
	if errors.As(err, &op) && op.Op == "dial" {
		f.Outcome = store.OutcomeNotApplied
	}
	switch {
	case ctx.Err() != nil && !errors.As(err, &refusal):
		f.Class, f.Err = contextClass(ctx.Err()), ctx.Err()
	case errors.As(err, &refusal):
		word, _, _ := strings.Cut(refusal.Error(), " ")
		f.Outcome, f.Class = store.OutcomeNotApplied, refusals[word]
		if f.Class == "" && strings.Contains(refusal.Error(), "DB index is out of range") {
			f.Class = "server has no database of this number"
		}
		if f.Class == "" {
			f.Class = "refused by the server"
		}
		if word == "OOM" {
			f.Err = store.ErrFull
		}
	case errors.Is(err, valkey.ErrNoCache): // no connection was made
		f.Outcome, f.Class = store.OutcomeNotApplied, "CLIENT TRACKING is not permitted or not known"
	case errors.Is(err, valkey.ErrNoSlot):
		f.Outcome, f.Class = store.OutcomeNotApplied, "no server of the cluster has the slot"
	case errors.Is(err, valkey.ErrClosing):
		f.Outcome, f.Class, f.Err = store.OutcomeNotApplied, "client is closed", net.ErrClosed
	case errors.As(err, new(*tls.CertificateVerificationError)):
		f.Outcome, f.Class = store.OutcomeNotApplied, "certificate of the server is not accepted: it is for another host, or of an unknown authority"
	case errors.As(err, new(tls.RecordHeaderError)):
		f.Outcome, f.Class = store.OutcomeNotApplied, "server does not speak TLS"
	case strings.HasPrefix(err.Error(), "received unknown message type"): // the client has no more than the text
		f.Class = "answer is none of Valkey's"
	case errors.As(err, &late) && late.Timeout():
		// Of a connection that was silent for too long, of one that could not be
		// made in time, or of ctx, a moment before that itself is done. Which of
		// them it was, its name does not tell.
		f.Class, f.Err = "timeout", context.DeadlineExceeded
	case errors.As(err, &op):
		f.Class, f.Err = "connection failed", op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.Class, f.Err = "connection was closed", io.ErrUnexpectedEOF
	default:
		f.Class = "client failed"
	}
	return f
}

// isWrongType reports that a key holds something else than a string, so that it is
// no record. An old server says so of a script with other words in front.
func isWrongType(err error) bool {
	refusal, ok := valkey.IsValkeyErr(err)
	return ok && strings.Contains(refusal.Error(), "WRONGTYPE")
}

// isSyntaxError reports that a server does not know SET with IFEQ.
func isSyntaxError(err error) bool {
	refusal, ok := valkey.IsValkeyErr(err)
	return ok && strings.Contains(refusal.Error(), "syntax error") // the client cuts "ERR " off
}

// isUnknownOrDenied tells that a server does not know a command, or does not let
// this user do it.
func isUnknownOrDenied(err error) bool {
	refusal, ok := valkey.IsValkeyErr(err)
	return ok && (strings.Contains(refusal.Error(), "unknown command") || strings.HasPrefix(refusal.Error(), "NOPERM"))
}
