package valkeystore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Remove implements [store.Remover]. It is one script, and a WAIT with
// Options.WaitReplicas. With ScriptsNever it is one DELIFEQ, and a GET where that
// deletes nothing; where the server does not know or not permit DELIFEQ, it returns
// [errors.ErrUnsupported].
//
// The script is preferred where the server knows DELIFEQ, too: that does not tell
// what is stored instead, and needs a permission that an older server cannot give.
// Neither of them needs memory, so that a logout succeeds when the server is full.
func (s *Store) Remove(ctx context.Context, old store.Record) error {
	const verb = "remove"
	if err := refuse(ctx, verb); err != nil {
		return err
	}
	if s.opts.Scripts == ScriptsNever && s.noDELIFEQ.lately() {
		return errors.ErrUnsupported
	}
	key := s.key(old.ID)
	defer s.writing(key)()
	if s.opts.WaitReplicas > 0 {
		return s.deleteAndWait(ctx, deletion{verb: verb, key: key, old: old.Data, holds: true})
	}
	var (
		answer error
		err    error
	)
	if s.opts.Scripts == ScriptsNever {
		answer, err = s.removeIFEQ(key, old.Data, func(command valkey.Completed) valkey.ValkeyResult { return s.client.Do(ctx, command) })
	} else {
		how, content := s.comparison(old.Data)
		answer, err = removed(removeScript.Exec(ctx, s.client, []string{key}, []string{how, content}))
	}
	if err != nil {
		return failure(ctx, verb, err)
	}
	return answer
}

// removed reads the answer of the script: what Remove returns, or an error of the
// client or server.
func removed(result valkey.ValkeyResult) (answer, err error) {
	switch stored, err := written(result); {
	case valkey.IsValkeyNil(err):
		return store.ErrNotFound, nil
	case stored != nil, isWrongType(err):
		return store.ErrConflict, nil
	case err != nil:
		return nil, err
	}
	return nil, nil
}

// removeIFEQ does what the script does by DELIFEQ, which do sends.
func (s *Store) removeIFEQ(key string, old []byte, do func(valkey.Completed) valkey.ValkeyResult) (answer, err error) {
	for {
		n, err := do(s.client.B().Delifeq().Key(key).Value(valkey.BinaryString(old)).Build()).AsInt64()
		switch {
		case isUnknownOrDenied(err):
			s.noDELIFEQ.note()
			return errors.ErrUnsupported, nil
		case isWrongType(err):
			return store.ErrConflict, nil
		case err != nil:
			return nil, err
		case n > 0:
			return nil, nil
		}
		stored, err := do(s.client.B().Get().Key(key).Build().Pin()).AsBytes()
		switch {
		case valkey.IsValkeyNil(err):
			return store.ErrNotFound, nil
		case isWrongType(err), err == nil && string(stored) != string(old):
			return store.ErrConflict, nil
		case err != nil:
			return nil, err
		} // else it came back in between
	}
}

// askAgain is how long a server that does not know a command is not asked again: it
// may have been replaced by a newer one meanwhile.
const askAgain = time.Minute

// A refusal is when a server last said that it does not do a command.
type refusal struct{ said atomic.Int64 } // in Unix ns; 0: it did not

func (r *refusal) note() { r.said.Store(time.Now().UnixNano()) }

func (r *refusal) lately() bool {
	said := r.said.Load()
	return said != 0 && time.Since(time.Unix(0, said)) <= askAgain
}
