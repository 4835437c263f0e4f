// Package valkeytakeover reads the sessions that another library keeps in Valkey or Redis,
// so that package takeover can take them over: those of boj/redistore, which is what
// gin-contrib/sessions has, those of scs and those of Fiber.
package valkeytakeover

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// Records are the values of all keys with a prefix, by the app's client: of one server, of
// Sentinels or of a cluster. A record expires when its key does.
type Records struct {
	// Client is the app's, which closes it. It may be that of the new store.
	Client valkey.Client

	// Prefix is what stands before the id: "session_" for gin-contrib/sessions and
	// redistore, unless SetKeyPrefix was called; "scs:session:" for scs; nothing for
	// Fiber.
	Prefix string
}

var _ takeover.Records = Records{}

// Record implements [takeover.Records], in one round trip. A key that holds something
// else than a string is a record that cannot be read.
func (r Records) Record(ctx context.Context, id string) (takeover.Record, error) {
	key := r.Prefix + id
	answers := r.Client.DoMulti(ctx, r.Client.B().Get().Key(key).Build(), r.Client.B().Pttl().Key(key).Build())
	data, err := answers[0].AsBytes()
	if err != nil {
		return takeover.Record{}, answer(err)
	}
	life, err := answers[1].AsInt64()
	if err != nil {
		return takeover.Record{}, answer(err)
	}
	rec := takeover.Record{Data: data}
	switch {
	case life == -2, life == 0: // it went between the two commands, or goes now
		return takeover.Record{}, predecessor.ErrNone
	case life > 0 && life <= longest: // else the key does not expire, or not in our time
		rec.Expires = time.Now().Add(time.Duration(life) * time.Millisecond)
	}
	return rec, nil
}

// longest is how many milliseconds a time.Duration can hold.
const longest = math.MaxInt64 / int64(time.Millisecond)

// Delete implements [takeover.Records].
func (r Records) Delete(ctx context.Context, id string) error {
	return r.Client.Do(ctx, r.Client.B().Del().Key(r.Prefix+id).Build()).Error()
}

// Format implements [fmt.Formatter]: the prefix is printed, and nothing of the client.
func (r Records) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "Records(%q)", r.Prefix) }

// answer tells the answers of a server that are no failures.
func answer(err error) error {
	if valkey.IsValkeyNil(err) {
		return predecessor.ErrNone
	}
	if refusal, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(refusal.Error(), "WRONGTYPE") {
		return predecessor.ErrUnreadable
	}
	return err
}
