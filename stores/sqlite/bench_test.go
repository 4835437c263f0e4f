package sqlitestore_test

import (
	"context"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
)

const sessions = 1000

// BenchmarkWrite extends sessions, in this store and by the same statement over one
// connection of the driver, which waits for the disk each time.
func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(strconv.Itoa(writers)+"/store", func(b *testing.B) {
			s, _ := filled(b)
			measure(b, writers, func(id string) error { return s.Touch(context.Background(), id, time.Hour) })
		})
		b.Run(strconv.Itoa(writers)+"/driver", func(b *testing.B) {
			_, file := filled(b)
			extending := prepared(b, bare(b, file, 1), extend)
			measure(b, writers, func(id string) error {
				_, err := extending.ExecContext(context.Background(), []byte(id))
				return err
			})
		})
	}
}

// BenchmarkRead loads sessions, in this store and by the same statement of the driver.
func BenchmarkRead(b *testing.B) {
	b.Run("store", func(b *testing.B) {
		s, _ := filled(b)
		measure(b, 1, func(id string) error { _, err := s.Load(context.Background(), id); return err })
	})
	b.Run("driver", func(b *testing.B) {
		_, file := filled(b)
		loading := prepared(b, bare(b, file, 1), load)
		measure(b, 1, func(id string) error {
			var data []byte
			return loading.QueryRowContext(context.Background(), []byte(id)).Scan(&data)
		})
	})
}

func filled(b *testing.B) (*sqlitestore.Store, string) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "sessions.db")
	s := open(b, file, sqlitestore.Options{})
	for i := range sessions {
		if err := s.Create(b.Context(), record(strconv.Itoa(i), "x")); err != nil {
			b.Fatal(err)
		}
	}
	return s, file
}

// measure has a number of goroutines do something with sessions.
func measure(b *testing.B, goroutines int, do func(id string) error) {
	b.Helper()
	jobs := make(chan int)
	done := make(chan error, goroutines)
	for range goroutines {
		go func() {
			var failed error
			for n := range jobs {
				if err := do(strconv.Itoa(n % sessions)); err != nil {
					failed = err
				}
			}
			done <- failed
		}()
	}
	b.ResetTimer()
	for n := range b.N {
		jobs <- n
	}
	close(jobs)
	for range goroutines {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}
