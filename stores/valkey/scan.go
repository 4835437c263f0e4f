package valkeystore

import (
	"context"
	"hash/maphash"
	"iter"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// page is how many keys a SCAN is asked for.
const page = 500

// pageTimeout is how long a server may take for a page. A client tries one that is gone again
// and again until its context is done, and that of a walk may have no deadline.
var pageTimeout = 10 * time.Second

// keys walks the keys of all sessions, a page at a time: on every primary, by
// SCAN, which does not block the server. No key comes twice, and none that another
// prefix has, or that holds no string.
func (s *Store) keys(ctx context.Context, verb string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		if !strings.HasSuffix(s.opts.Prefix, separator) {
			yield(nil, inseparable(verb))
			return
		}
		var (
			seed  = maphash.MakeSeed()
			seen  = make(map[uint64]struct{}) // SCAN may repeat itself, and a slot that moves is seen on both servers
			match = escapeGlob(s.opts.Prefix) + "*"
		)
		for _, node := range s.client.Nodes() {
			if !isPrimary(ctx, node) {
				continue
			}
			for cursor := uint64(0); ; {
				if err := refuse(ctx, verb); err != nil {
					yield(nil, err)
					return
				}
				entry, err := scan(ctx, node, cursor, match)
				if err != nil {
					yield(nil, failure(ctx, verb, err))
					return
				}
				keys := entry.Elements[:0]
				for _, key := range entry.Elements {
					hash := maphash.String(seed, key)
					if _, again := seen[hash]; !again && s.isOwn(key) {
						seen[hash] = struct{}{}
						keys = append(keys, key)
					}
				}
				if len(keys) > 0 && !yield(keys, nil) {
					return
				}
				if cursor = entry.Cursor; cursor == 0 {
					break
				}
			}
		}
	}
}

// scan asks a server for a page.
func scan(ctx context.Context, node valkey.Client, cursor uint64, match string) (valkey.ScanEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return node.Do(ctx, node.B().Scan().Cursor(cursor).Match(match).Count(page).Type("string").Build().Pin()).AsScanEntry()
}

// doPage sends the commands for the keys of a page.
func (s *Store) doPage(ctx context.Context, commands valkey.Commands) []valkey.ValkeyResult {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	return s.client.DoMulti(ctx, commands...)
}

// isPrimary reports whether a server is one that has keys of its own. One that
// will not say is taken for a primary: what it lists twice is seen once.
func isPrimary(ctx context.Context, node valkey.Client) bool {
	ctx, cancel := context.WithTimeout(ctx, pageTimeout)
	defer cancel()
	role, err := node.Do(ctx, node.B().Role().Build().Pin()).ToArray()
	if err != nil || len(role) == 0 {
		return true
	}
	name, err := role[0].ToString()
	return err != nil || name == "master"
}

// escapeGlob returns a pattern that matches s alone.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}

// All implements [store.Lister]. It costs a SCAN for some hundred keys and a GET
// for each session, sent together; it takes memory for 8 bytes per session. A server may take
// ten seconds for each of these, whatever ctx says.
func (s *Store) All(ctx context.Context) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		for keys, err := range s.keys(ctx, "list") {
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			gets := make(valkey.Commands, len(keys))
			for i, key := range keys {
				gets[i] = s.client.B().Get().Key(key).Build().Pin() // as in Load
			}
			for i, result := range s.doPage(ctx, gets) {
				data, err := result.AsBytes()
				if valkey.IsValkeyNil(err) || isWrongType(err) { // ended meanwhile
					continue
				}
				if err != nil {
					yield(store.Record{}, failure(ctx, "list", err))
					return
				}
				if !yield(store.Record{ID: s.idOf(keys[i]), Data: data}, nil) {
					return
				}
			}
		}
		if err := refuse(ctx, "list"); err != nil {
			yield(store.Record{}, err)
		}
	}
}

// Count implements [store.Counter]. It walks all keys. A session that expired a
// moment ago may be counted where the server has not noticed yet. It fails where a server
// takes ten seconds for a page of them.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	for keys, err := range s.keys(ctx, "count") {
		if err != nil {
			return 0, err
		}
		n += len(keys)
	}
	return n, nil
}

// Clear implements [store.Clearer]. It removes the keys with the store's prefix
// and no others.
func (s *Store) Clear(ctx context.Context) error {
	for keys, err := range s.keys(ctx, "clear") {
		if err == nil {
			err = s.unlink(ctx, keys)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unlink removes a page of keys.
func (s *Store) unlink(ctx context.Context, keys []string) error {
	unlinks := make(valkey.Commands, len(keys))
	for i, key := range keys {
		defer s.writing(key)()
		unlinks[i] = s.client.B().Unlink().Key(key).Build()
	}
	for _, result := range s.doPage(ctx, unlinks) {
		if err := result.Error(); err != nil {
			return failure(ctx, "clear", err)
		}
	}
	return nil
}
