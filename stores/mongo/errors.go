package mongostore

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo"

	"github.com/cloakroom-go/cloakroom/core/store"
)

const storeName = "mongodb"

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

// A refusal is what a code of the server means.
type refusal struct {
	class   string
	outcome store.Outcome
	err     error
}

// refusals are what a server says when it does not do a command. The text beside
// the code is not passed on: it quotes ids and documents.
//
// Those with an unknown outcome are met in a failover, where the driver may have
// sent the command before: that the second server refused it says nothing about
// the first. Or they come from what stands before a server, which lost it.
var refusals = map[int]refusal{
	1:     {class: "internal error of the server"}, // also of FerretDB whose PostgreSQL went away
	6:     {class: "host is unreachable"},
	7:     {class: "host is not found"},
	8:     {class: "unknown error of the server"},
	50:    {class: "timeout", err: context.DeadlineExceeded},
	89:    {class: "timeout between servers"},
	90:    {class: "connection between servers failed"},
	91:    {class: "server is shutting down"},
	133:   {class: "no primary is available"},
	134:   {class: "server is not ready to read"},
	145:   {class: "connection between servers failed"},
	189:   {class: "primary stepped down"},
	202:   {class: "timeout between servers"},
	262:   {class: "timeout", err: context.DeadlineExceeded},
	279:   {class: "interrupted by the server"},
	355:   {class: "interrupted by the server"},
	9001:  {class: "connection between servers failed"},
	10107: {class: "server is not the primary"},
	11600: {class: "server is shutting down"},
	11601: {class: "interrupted by the server"},
	11602: {class: "primary stepped down"},
	13435: {class: "server is not the primary"},
	13436: {class: "server is recovering"},

	13:    {class: "not permitted to this user", outcome: store.OutcomeNotApplied},
	18:    {class: "authentication failed", outcome: store.OutcomeNotApplied},
	121:   {class: "document fails the collection's validation", outcome: store.OutcomeNotApplied},
	10334: {class: "document is too large", outcome: store.OutcomeNotApplied},
	4293:  {class: "disk is full", outcome: store.OutcomeNotApplied, err: store.ErrFull}, // 53100 of FerretDB's PostgreSQL, packed
	14031: {class: "disk is full", outcome: store.OutcomeNotApplied, err: store.ErrFull},
}

// The codes of an index that exists with other options or under another name.
const (
	codeIndexOptionsConflict  = 85
	codeIndexKeySpecsConflict = 86
)

// failure makes a store.Error of what the driver returned. Nothing of the text of
// a server's or the driver's error is in it.
func failure(ctx context.Context, verb string, err error) error {
	if done := (*store.Error)(nil); err == nil || errors.As(err, &done) {
		return err
	}
	f := &store.Error{Store: storeName, Verb: verb}
	var (
		write   mongo.WriteException
		command mongo.CommandError
		op      *net.OpError
	)
	if notSent(err) {
		f.Outcome = store.OutcomeNotApplied
	}
	switch {
	case errors.As(err, &write) && len(write.WriteErrors) > 0:
		refused(f, write.WriteErrors[0].Code)
	case errors.As(err, &write): // the primary applied it
		f.Class = "not confirmed by as many servers as the write concern asks for"
		if ctx.Err() != nil || mongo.IsTimeout(err) {
			f.Err = cmp.Or(ctx.Err(), context.DeadlineExceeded)
		}
	case errors.As(err, &command) && command.Code != 0:
		refused(f, int(command.Code))
	case isServerSelection(err):
		f.Class, f.Err = "no server is available", ctx.Err()
	case ctx.Err() != nil:
		f.Class, f.Err = contextClass(ctx.Err()), ctx.Err()
	case mongo.IsTimeout(err): // of the client, or of ctx, a moment before that itself is done
		f.Class, f.Err = "timeout", context.DeadlineExceeded
	case errors.Is(err, mongo.ErrClientDisconnected):
		f.Outcome, f.Class, f.Err = store.OutcomeNotApplied, "client is disconnected", net.ErrClosed
	case errors.As(err, &op):
		f.Class, f.Err = "connection failed", op
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.Class, f.Err = "connection was closed", io.ErrUnexpectedEOF
	case mongo.IsNetworkError(err), isPoolCleared(err),
		errors.Is(err, context.Canceled): // by the driver, which gave the connection up
		f.Class = "connection failed"
	case errors.As(err, &command):
		f.Class = "refused by the server"
	default:
		f.Class = "driver failed"
	}
	return f
}

func refused(f *store.Error, code int) {
	r, ok := refusals[code]
	if !ok {
		r = refusal{class: "refused by the server (code " + strconv.Itoa(code) + ")", outcome: store.OutcomeNotApplied}
	}
	f.Class, f.Outcome, f.Err = r.class, r.outcome, r.err
}

// notSent reports whether an error came before the command was sent. The driver
// returns one of these only when it has not sent the command before, either.
func notSent(err error) bool {
	var op *net.OpError
	return isServerSelection(err) || errors.As(err, &op) && op.Op == "dial" ||
		strings.Contains(err.Error(), "while checking out a connection from connection pool")
}

// isServerSelection knows an error by its text: its type is in a package of the
// driver that may change at any time.
func isServerSelection(err error) bool {
	return strings.HasPrefix(err.Error(), "server selection error")
}

// isPoolCleared reports whether a call met connections that were given up because
// another one had failed. It may have sent the command before.
func isPoolCleared(err error) bool {
	return strings.Contains(err.Error(), "was cleared because another operation failed")
}

// misplaced returns the error for an answer that is not the one to what was asked,
// as its _id or its count shows. The driver does not compare the numbers by which
// a server says which request it answers, and a server that answers a request to
// which nobody wanted an answer makes all later ones of that connection come one
// too late. So nothing is known of what the request did.
func misplaced(verb string) error {
	return &store.Error{Store: storeName, Verb: verb, Class: "answer of the server is to another request"}
}

// tooLarge returns an error when a document or command is beyond what servers
// take.
func tooLarge(verb string, size int) error {
	if size <= maxSize {
		return nil
	}
	return &store.Error{Store: storeName, Verb: verb, Outcome: store.OutcomeNotApplied, Class: "document is too large"}
}

// maxSize is the size of a document, and of one update with its filter, that
// every server takes.
const maxSize = 16 << 20
