package memorystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

// rec returns a record with so many bytes of data.
func rec(id string, length int) store.Record {
	return store.Record{ID: id, Data: bytes.Repeat([]byte("x"), length), TTL: time.Hour}
}

// listOf returns a list that names sessions.
func listOf(id string, linger time.Duration, sessions ...string) store.Record {
	list := rec(id, 100)
	list.Sessions, list.Linger = append([]string{}, sessions...), linger
	return list
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func isThere(t *testing.T, s store.Store, id string) bool {
	t.Helper()
	_, err := s.Load(t.Context(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func TestAListGoesWithItsLastSession(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, s *memorystore.Store, c *clock, id string) error{
		"deleted": func(ctx context.Context, s *memorystore.Store, _ *clock, id string) error { return s.Delete(ctx, id) },
		"removed": func(ctx context.Context, s *memorystore.Store, _ *clock, id string) error {
			return s.Remove(ctx, rec(id, 10))
		},
		"expired": func(ctx context.Context, s *memorystore.Store, c *clock, id string) error {
			if err := s.Touch(ctx, id, time.Minute); err != nil {
				return err
			}
			c.Advance(time.Minute)
			_, err := s.Count(ctx)
			return err
		},
		"evicted": func(ctx context.Context, s *memorystore.Store, _ *clock, _ string) error {
			return s.Create(ctx, rec("another", 10)) // the other of the two goes, which is the least recently used
		},
	} {
		for _, linger := range []time.Duration{0, 30 * time.Minute} {
			t.Run(fmt.Sprint(name, ", needed for ", linger), func(t *testing.T) {
				var clock clock
				s := open(t, memorystore.Options{MaxSessions: 2, AtLimit: memorystore.DropLeastRecentlyUsed, Now: clock.Now})
				lists, ctx := s.UserIndex(), t.Context()
				must(t, s.Create(ctx, rec("a", 10)), s.Create(ctx, rec("b", 10)), lists.Create(ctx, listOf("L", linger, "a", "b", "never stored")))
				must(t, end(ctx, s, &clock, "a"))
				if !isThere(t, lists, "L") {
					t.Fatal("the list went with the first of two sessions")
				}
				if name == "evicted" {
					must(t, s.Create(ctx, rec("one more", 10)))
				} else {
					must(t, end(ctx, s, &clock, "b"))
				}
				if got, want := isThere(t, lists, "L"), linger > 0; got != want {
					t.Errorf("after the last session the list is there: %v, want %v", got, want)
				}
				must(t, s.Check())
				clock.Advance(30 * time.Minute)
				if isThere(t, lists, "L") {
					t.Error("it is there longer than it is needed")
				}
			})
		}
	}
}

func TestAListGoesWithASessionThatWasCleared(t *testing.T) {
	s := open(t, memorystore.Options{MaxBytes: 1 << 20})
	lists, ctx := s.UserIndex(), t.Context()
	must(t, s.Create(ctx, rec("a", 10)), lists.Create(ctx, listOf("L", 0, "a")), s.Clear(ctx))
	if isThere(t, lists, "L") {
		t.Error("the list is there")
	}
	must(t, s.Check())
}

func TestAListThatNamesNoSessionIsNotKept(t *testing.T) {
	s := open(t, memorystore.Options{MaxBytes: 1 << 20})
	lists, ctx := s.UserIndex(), t.Context()
	must(t, lists.Create(ctx, listOf("none", 0)), lists.Create(ctx, listOf("gone", 0, "a")), lists.Create(ctx, listOf("needed", time.Minute)))
	for id, want := range map[string]bool{"none": false, "gone": false, "needed": true} {
		if isThere(t, lists, id) != want {
			t.Errorf("%s is there: %v, want %v", id, !want, want)
		}
	}
	must(t, s.Check())
}

// What lives is listed, whatever else has to go.
func TestAListOfALivingSessionIsNotEvicted(t *testing.T) {
	s := open(t, memorystore.Options{MaxBytes: 10_000, AtLimit: memorystore.DropLeastRecentlyUsed})
	lists, ctx := s.UserIndex(), t.Context()
	for i := range 200 {
		id := fmt.Sprint(i)
		must(t, s.Create(ctx, rec(id, 10)), lists.Create(ctx, listOf(id, time.Hour, id)), s.Check())
		if i%3 == 0 { // its list is needed still
			must(t, s.Delete(ctx, id))
		}
		if i%7 == 0 {
			list := listOf(id, time.Hour, id)
			if err := lists.Update(ctx, list, rec(id, 200)); err != nil {
				t.Fatal(err)
			}
		}
	}
	there := 0
	for got, err := range s.All(ctx) {
		must(t, err)
		there++
		if !isThere(t, lists, got.ID) {
			t.Errorf("session %s lives without its list", got.ID)
		}
	}
	if there < 10 {
		t.Errorf("%d sessions are there", there)
	}
	must(t, s.Check())
}

func TestListsAndSessionsOfManyAtOnce(t *testing.T) {
	for _, at := range []memorystore.AtLimit{memorystore.RefuseNew, memorystore.DropLeastRecentlyUsed} {
		s := open(t, memorystore.Options{MaxBytes: 20_000, AtLimit: at})
		lists, ctx := s.UserIndex(), t.Context()
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(g)))
				for range 500 {
					id, list := fmt.Sprint(random.IntN(40)), fmt.Sprint("L", random.IntN(8))
					switch random.IntN(6) {
					case 0, 1:
						_ = s.Create(ctx, rec(id, 10))
					case 2:
						_ = s.Delete(ctx, id)
					case 3:
						_ = lists.Create(ctx, listOf(list, time.Duration(random.IntN(2))*time.Hour, id, "x"+id))
					case 4:
						if old, err := lists.Load(ctx, list); err == nil {
							next := listOf(list, time.Duration(random.IntN(2))*time.Hour, id)
							next.Data = bytes.Repeat([]byte("y"), 50+random.IntN(100))
							_ = lists.Update(ctx, old, next)
						}
					case 5:
						_ = lists.Delete(ctx, list)
					}
				}
			})
		}
		wg.Wait()
		must(t, s.Check(), s.Clear(ctx), s.Check())
	}
}
