package valkeystore

import (
	"context"
	"errors"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core"
)

// maxMoves is how often a deletion follows a key that moves.
const maxMoves = 5

// deleteAndWait deletes a key and returns an error unless enough replicas
// confirm that it is gone. WAIT speaks of the writes of its own connection,
// hence a dedicated one, which does not follow a key that moves by itself.
func (s *Store) deleteAndWait(ctx context.Context, key string) error {
	client, asking := s.client, false
	for moves := 0; ; moves++ {
		err := client.Dedicated(func(c valkey.DedicatedClient) error {
			return s.deleteAndWaitOn(ctx, c, key, asking)
		})
		refusal, ok := valkey.IsValkeyErr(err)
		if !ok {
			return failure(ctx, "delete", err)
		}
		addr, moved := refusal.IsMoved()
		if !moved {
			addr, asking = refusal.IsAsk()
		} else {
			asking = false
		}
		node := s.client.Nodes()[addr]
		if node == nil || moves == maxMoves {
			return failure(ctx, "delete", err)
		}
		client = node
	}
}

func (s *Store) deleteAndWaitOn(ctx context.Context, c valkey.DedicatedClient, key string, asking bool) error {
	do := func(command valkey.Completed) valkey.ValkeyResult {
		if asking {
			return c.DoMulti(ctx, c.B().Asking().Build(), command)[1]
		}
		return c.Do(ctx, command)
	}
	deleted, err := do(c.B().Del().Key(key).Build()).AsInt64()
	switch {
	case err != nil || deleted > 0:
	// Without a write WAIT returns at once, although an earlier deletion, by a
	// Destroy that is tried again, may be under way yet. So write something
	// that nobody sees.
	case s.opts.Scripts != ScriptsNever:
		err = do(c.B().Eval().Script(writeNothing).Numkeys(1).Key(key).Build()).Error()
	default:
		for _, result := range c.DoMulti(ctx, c.B().Multi().Build(), c.B().Set().Key(key).Value("").PxMilliseconds(1).Build(),
			c.B().Del().Key(key).Build(), c.B().Exec().Build()) {
			err = errors.Join(err, result.Error())
		}
	}
	if err != nil {
		return err
	}
	timeout := time.Second
	if deadline, ok := ctx.Deadline(); ok {
		timeout = max(time.Until(deadline), time.Millisecond)
	}
	confirmed, err := c.Do(ctx, c.B().Wait().Numreplicas(int64(s.opts.WaitReplicas)).Timeout(milliseconds(timeout)).Build()).AsInt64()
	if err == nil && confirmed < int64(s.opts.WaitReplicas) { // in that time
		err = &core.StoreError{Store: storeName, Verb: "delete", Class: "not confirmed by Options.WaitReplicas replicas", Err: context.DeadlineExceeded}
	}
	return err
}
