package valkeystore

import (
	"context"
	"crypto/fips140"
	"crypto/sha1" //nolint:gosec // compares contents that nobody can choose, see comparison
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// A Store keeps sessions in Valkey. It is made by [New] or [Open] and may be
// used by many goroutines at once.
type Store struct {
	client valkey.Client
	opts   Options
	owned  bool    // Close closes the client
	own    *writes // with CacheTTL: what this process wrote
	lists  *Store  // the lists of users' sessions; nil in the store of these

	noIFEQ    refusal // SET with IFEQ is not known
	noDELIFEQ refusal // DELIFEQ is not known, or not permitted
}

var _ interface {
	store.Store
	store.Replacer
	store.BatchCreator
	store.UpdateLoader
	store.Remover
	store.Lister
	store.Counter
	store.Clearer
	store.UserIndexer
	store.Watcher
	store.Pinger
} = (*Store)(nil)

// Load implements [store.Store]. It is one GET or, with Options.CacheTTL, none.
func (s *Store) Load(ctx context.Context, id string) (store.Record, error) {
	if err := refuse(ctx, "load"); err != nil {
		return store.Record{}, err
	}
	data, err := s.read(ctx, s.key(id))
	switch {
	case valkey.IsValkeyNil(err):
		return store.Record{}, store.ErrNotFound
	case isWrongType(err):
		return store.Record{}, store.ErrUndecodable
	case err != nil:
		return store.Record{}, failure(ctx, "load", err)
	}
	return store.Record{ID: id, Data: data}, nil
}

// read returns what is stored under a key, from the cache where that may be.
func (s *Store) read(ctx context.Context, key string) ([]byte, error) {
	// A read is sent again by the client when its connection breaks; Pin keeps
	// the command from being reused while the broken one may still look at it.
	if s.own != nil && !store.BypassesCache(ctx) && !s.own.recently(key) {
		data, err := s.client.DoCache(ctx, s.client.B().Get().Key(key).Cache().Pin(), s.opts.CacheTTL).AsBytes()
		// What fills the cache is a transaction. Where the slot of the key moves, or the
		// connection is lost, in the middle of it, the client neither follows nor asks again.
		if !errors.Is(err, valkey.ErrDoCacheAborted) {
			return data, err
		}
	}
	return s.client.Do(ctx, s.client.B().Get().Key(key).Build().Pin()).AsBytes()
}

// Create implements [store.Store]. It is one SET with NX.
func (s *Store) Create(ctx context.Context, rec store.Record) error {
	if err := refuse(ctx, "create"); err != nil {
		return err
	}
	key := s.key(rec.ID)
	defer s.writing(key)()
	err := s.client.Do(ctx, s.client.B().Set().Key(key).Value(valkey.BinaryString(rec.Data)).Nx().
		PxMilliseconds(milliseconds(rec.TTL)).Build()).Error()
	if valkey.IsValkeyNil(err) {
		return store.ErrExists
	}
	return failure(ctx, "create", err)
}

// Update implements [store.Store].
func (s *Store) Update(ctx context.Context, old, next store.Record) error {
	_, err := s.UpdateOrLoad(ctx, old, next)
	return err
}

// UpdateOrLoad implements [store.UpdateLoader]. It is one SET with IFEQ and GET
// or, where the server does not know that or the record is large, one script.
func (s *Store) UpdateOrLoad(ctx context.Context, old, next store.Record) (newest store.Record, err error) {
	if err := refuse(ctx, "update"); err != nil {
		return store.Record{}, err
	}
	key := s.key(old.ID)
	defer s.writing(key)()
	var stored []byte
	if s.useIFEQ(len(old.Data)) {
		stored, err = s.updateIFEQ(ctx, key, old, next)
		if isSyntaxError(err) && s.opts.Scripts != ScriptsNever {
			s.noIFEQ.note()
			stored, err = s.updateScript(ctx, key, old, next)
		}
	} else {
		stored, err = s.updateScript(ctx, key, old, next)
	}
	switch {
	case valkey.IsValkeyNil(err):
		return store.Record{}, store.ErrNotFound
	case isWrongType(err):
		return store.Record{}, store.ErrConflict
	case err != nil:
		return store.Record{}, failure(ctx, "update", err)
	case stored == nil:
		return store.Record{}, nil
	}
	return store.Record{ID: old.ID, Data: stored}, store.ErrConflict
}

// useIFEQ reports whether SET with IFEQ is to be tried for a record of that size.
func (s *Store) useIFEQ(size int) bool {
	switch s.opts.Scripts {
	case ScriptsAlways:
		return false
	case ScriptsNever:
		return true
	}
	return !s.digests(size) && !s.noIFEQ.lately()
}

// updateIFEQ returns nil when next was written, what is stored when that is not
// old, and a nil reply as an error when nothing is.
func (s *Store) updateIFEQ(ctx context.Context, key string, old, next store.Record) ([]byte, error) {
	set := s.client.B().Set().Key(key).Value(valkey.BinaryString(next.Data)).Ifeq(valkey.BinaryString(old.Data)).Get()
	var command valkey.Completed
	if next.TTL == store.KeepTTL {
		command = set.Keepttl().Build()
	} else {
		command = set.PxMilliseconds(milliseconds(next.TTL)).Build()
	}
	stored, err := s.client.Do(ctx, command).AsBytes()
	if err != nil || string(stored) == string(old.Data) {
		return nil, err
	}
	return stored, nil
}

// updateScript does the same by a script.
func (s *Store) updateScript(ctx context.Context, key string, old, next store.Record) ([]byte, error) {
	how, content := s.comparison(old.Data)
	return written(updateScript.Exec(ctx, s.client, []string{key},
		[]string{how, content, valkey.BinaryString(next.Data), life(next.TTL)}))
}

// Replace implements [store.Replacer]. It is one script; in a cluster, where the
// two ids live in different slots, it returns [errors.ErrUnsupported].
func (s *Store) Replace(ctx context.Context, old, retired, next store.Record) error {
	if s.opts.Scripts == ScriptsNever || s.client.Mode() == valkey.ClientModeCluster {
		return errors.ErrUnsupported
	}
	if err := refuse(ctx, "replace"); err != nil {
		return err
	}
	oldKey, nextKey := s.key(old.ID), s.key(next.ID)
	defer s.writing(oldKey)()
	defer s.writing(nextKey)()
	how, content := s.comparison(old.Data)
	stored, err := written(replaceScript.Exec(ctx, s.client, []string{oldKey, nextKey}, []string{
		how, content,
		valkey.BinaryString(retired.Data), life(retired.TTL),
		valkey.BinaryString(next.Data), life(next.TTL),
	}))
	switch {
	case valkey.IsValkeyNil(err):
		return store.ErrNotFound
	case isWrongType(err):
		return store.ErrConflict
	case err != nil:
		return failure(ctx, "replace", err)
	case stored != nil && len(stored) == 0:
		return store.ErrExists
	case stored != nil:
		return store.ErrConflict
	}
	return nil
}

// Touch implements [store.Store]. It is one PEXPIRE.
func (s *Store) Touch(ctx context.Context, id string, ttl time.Duration) error {
	if err := refuse(ctx, "touch"); err != nil {
		return err
	}
	// Sent twice it does the same, so the client may do that when its connection breaks.
	n, err := s.client.Do(ctx, s.client.B().Pexpire().Key(s.key(id)).Milliseconds(milliseconds(ttl)).Build().ToRetryable().Pin()).AsInt64()
	if err == nil && n == 0 {
		return store.ErrNotFound
	}
	return failure(ctx, "touch", err)
}

// Delete implements [store.Store]. It is one DEL, and a WAIT with
// Options.WaitReplicas.
func (s *Store) Delete(ctx context.Context, id string) error {
	if err := refuse(ctx, "delete"); err != nil {
		return err
	}
	key := s.key(id)
	defer s.writing(key)()
	if s.opts.WaitReplicas == 0 {
		return failure(ctx, "delete", s.client.Do(ctx, s.client.B().Del().Key(key).Build()).Error())
	}
	err := s.deleteAndWait(ctx, deletion{verb: "delete", key: key})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Ping implements [store.Pinger].
func (s *Store) Ping(ctx context.Context) error {
	if err := refuse(ctx, "ping"); err != nil {
		return err
	}
	return failure(ctx, "ping", s.client.Do(ctx, s.client.B().Ping().Build()).Error())
}

// Close closes the client of a store that [Open] made. For one that [New] made
// it does nothing: the client is the app's. It always returns nil.
func (s *Store) Close() error {
	if s.owned {
		s.client.Close()
	}
	return nil
}

// Format keeps a Store that is printed from showing the ids of what it wrote.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("valkeystore.Store")) }

// milliseconds rounds up: 0 would mean "at once" to the server.
func milliseconds(d time.Duration) int64 {
	return int64(d/time.Millisecond) + min(1, int64(d%time.Millisecond))
}

// life is milliseconds as the argument of a script, and empty for [store.KeepTTL].
func life(d time.Duration) string {
	if d == store.KeepTTL {
		return ""
	}
	return strconv.FormatInt(milliseconds(d), 10)
}

// digests reports whether a record of that size is compared by its digest. Go
// refuses SHA-1 in the strictest FIPS mode.
func (s *Store) digests(size int) bool {
	return s.opts.DigestFrom > 0 && size >= s.opts.DigestFrom && !fips140.Enabled()
}

// comparison returns what a script compares with what is stored, and how. Each
// record has a random token in it, so nobody can prepare two of one SHA-1.
func (s *Store) comparison(data []byte) (how, content string) {
	if !s.digests(len(data)) {
		return "value", valkey.BinaryString(data)
	}
	sum := sha1.Sum(data) //nolint:gosec // as above
	return "sha1", hex.EncodeToString(sum[:])
}
