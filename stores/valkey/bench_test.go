package valkeystore

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// What Options.DigestFrom was chosen by: an update of one record after the other, by
// the command and by the script, with many callers.
func BenchmarkUpdate(b *testing.B) {
	addr := os.Getenv("VALKEY_ADDR")
	if addr == "" {
		b.Skip("VALKEY_ADDR is not set")
	}
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	for _, size := range []int{1 << 10, 4 << 10, 16 << 10, 64 << 10} {
		for _, how := range []struct {
			name   string
			update func(s *Store, key string, old, next store.Record) ([]byte, error)
		}{
			{"IFEQ", func(s *Store, key string, old, next store.Record) ([]byte, error) {
				return s.updateIFEQ(b.Context(), key, old, next)
			}},
			{"script", func(s *Store, key string, old, next store.Record) ([]byte, error) {
				return s.updateScript(b.Context(), key, old, next)
			}},
		} {
			b.Run(fmt.Sprintf("%d/%s", size, how.name), func(b *testing.B) {
				s, err := New(client, Options{Prefix: rand.Text() + ":", DigestFrom: 1})
				if err != nil {
					b.Fatal(err)
				}
				b.SetParallelism(16)
				b.RunParallel(func(pb *testing.PB) {
					id := rand.Text()
					one := store.Record{ID: id, Data: bytes.Repeat([]byte("a"), size), TTL: time.Minute}
					two := store.Record{ID: id, Data: bytes.Repeat([]byte("b"), size), TTL: time.Minute}
					if err := s.Create(b.Context(), one); err != nil {
						b.Error(err)
					}
					for pb.Next() {
						stored, err := how.update(s, s.opts.Prefix+id, one, two)
						if err != nil || stored != nil {
							b.Errorf("update: %v, %d bytes", err, len(stored))
						}
						one, two = two, one
					}
				})
				if err := s.Clear(b.Context()); err != nil {
					b.Error(err)
				}
			})
		}
	}
}
