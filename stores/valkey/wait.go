package valkeystore

import (
	"context"
	"errors"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// maxMoves is how often a deletion follows a key that moves.
const maxMoves = 5

// A deletion is what Delete and Remove do with a key.
type deletion struct {
	verb  string
	key   string
	old   []byte
	holds bool // only while old is stored, else whatever is
}

// deleteAndWait deletes a key and returns an error unless enough replicas
// confirm that it is gone. Where there was no record, they confirm that, and it
// returns [store.ErrNotFound]. WAIT speaks of the writes of its own connection,
// hence a dedicated one, which does not follow a key that moves by itself.
func (s *Store) deleteAndWait(ctx context.Context, d deletion) error {
	client, asking := s.client, false
	for moves := 0; ; moves++ {
		conn, release, ok := acquire(ctx, client)
		if !ok {
			return refuse(ctx, d.verb)
		}
		answer, err := s.deleteAndWaitOn(ctx, conn, d, asking)
		release()
		if err == nil {
			return answer
		}
		refusal, ok := valkey.IsValkeyErr(err)
		if !ok {
			return failure(ctx, d.verb, err)
		}
		addr, moved := refusal.IsMoved()
		if !moved {
			addr, asking = refusal.IsAsk()
		} else {
			asking = false
		}
		node := s.client.Nodes()[addr]
		if node == nil || moves == maxMoves {
			return failure(ctx, d.verb, err)
		}
		client = node
	}
}

// acquire returns a connection of the client's and what gives it back, unless ctx is done
// before there is one. The client asks for no context, and waits where all of its connections
// are in use: one that comes too late is given back at once.
func acquire(ctx context.Context, client valkey.Client) (conn valkey.DedicatedClient, release func(), ok bool) {
	type dedicated struct {
		conn    valkey.DedicatedClient
		release func()
	}
	made := make(chan dedicated)
	go func() {
		conn, release := client.Dedicate()
		select {
		case made <- dedicated{conn, release}:
		case <-ctx.Done():
			release()
		}
	}()
	select {
	case d := <-made:
		return d.conn, d.release, true
	case <-ctx.Done():
		return nil, nil, false
	}
}

// deleteAndWaitOn does it on one connection. It returns what the verb answers, or
// an error of the client or server.
func (s *Store) deleteAndWaitOn(ctx context.Context, c valkey.DedicatedClient, d deletion, asking bool) (answer, err error) {
	do := func(command valkey.Completed) valkey.ValkeyResult {
		if asking {
			return c.DoMulti(ctx, c.B().Asking().Build(), command)[1]
		}
		return c.Do(ctx, command)
	}
	for wrote := false; !wrote; {
		if answer, err = s.deleteOn(do, d); err != nil {
			return nil, err
		}
		switch {
		case answer == nil:
			wrote = true
		case !errors.Is(answer, store.ErrNotFound): // nothing was changed
			return answer, nil
		default:
			// Without a write WAIT returns at once, although an earlier deletion, by
			// a Destroy that is tried again, may be under way yet. So write something
			// that nobody sees. Where a record came in between, all begins anew.
			if wrote, err = s.writeNothing(ctx, c, do, d.key); err != nil {
				return nil, err
			}
		}
	}
	timeout := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	confirmed, err := c.Do(ctx, c.B().Wait().Numreplicas(int64(s.opts.WaitReplicas)).Timeout(milliseconds(timeout)).Build()).AsInt64()
	if err == nil && confirmed < int64(s.opts.WaitReplicas) { // in that time
		err = &store.Error{Store: storeName, Verb: d.verb, Class: "not confirmed by Options.WaitReplicas replicas", Err: context.DeadlineExceeded}
	}
	return answer, err
}

// deleteOn deletes the key, by commands that do sends.
func (s *Store) deleteOn(do func(valkey.Completed) valkey.ValkeyResult, d deletion) (answer, err error) {
	switch {
	case !d.holds:
		n, err := do(s.client.B().Del().Key(d.key).Build()).AsInt64()
		if err == nil && n == 0 {
			answer = store.ErrNotFound
		}
		return answer, err
	case s.opts.Scripts == ScriptsNever:
		return s.removeIFEQ(d.key, d.old, do)
	}
	how, content := s.comparison(d.old)
	return removed(do(s.client.B().Eval().Script(removal).Numkeys(1).Key(d.key).Arg(how, content).Build()))
}

// writeNothing makes a write that leaves nothing behind, unless there is a record
// under the key. It tells whether it wrote.
func (s *Store) writeNothing(ctx context.Context, c valkey.DedicatedClient, do func(valkey.Completed) valkey.ValkeyResult, key string) (bool, error) {
	if s.opts.Scripts != ScriptsNever {
		n, err := do(c.B().Eval().Script(nothing).Numkeys(1).Key(key).Build()).AsInt64()
		return n > 0, err
	}
	const past = 1 // in ms since 1970: who is given this expiry is gone
	results := c.DoMulti(ctx, c.B().Multi().Build(),
		c.B().Set().Key(key).Value("").Nx().PxMilliseconds(1).Build(),
		c.B().Set().Key(key).Value("").Ifeq("").PxatMillisecondsTimestamp(past).Build(),
		c.B().Exec().Build())
	var err error
	for _, result := range results {
		err = errors.Join(err, result.Error())
	}
	if err != nil {
		return false, err
	}
	done, err := results[3].ToArray()
	return err == nil && len(done) > 0 && !done[0].IsNil(), err
}
