package storetest_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
	"github.com/cloakroom-go/cloakroom/core/storetest"
)

func TestMapStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return new(mapstore.Store) })
}

func TestFullStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return new(full) })
}

// TestCarefulLister runs on a Lister that looks at the context at each step; the
// one of full has everything at hand.
func TestCarefulLister(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return careful{new(full)} })
}

var allBrokenStores = slices.Concat(brokenStores, brokenBatchCreators, brokenKeepers, brokenRemovers, brokenUserIndexers, brokenWatchers)

// TestTheStoreOfTheListsIsTestedToo sees to it that Run looks at it.
func TestTheStoreOfTheListsIsTestedToo(t *testing.T) {
	var created sync.Map
	t.Run("", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			f := new(full)
			return &broken{full: f, userIndex: func() store.Store {
				return &broken{full: f.UserIndex().(*full), create: func(ctx context.Context, rec store.Record) error {
					name := t.Name()
					created.Store(name[strings.LastIndex(name, "/")+1:], true)
					return f.lists.Create(ctx, rec)
				}}
			}}
		})
	})
	for _, name := range []string{"CreateThenLoad", "RaceUpdate", "ExpiredUpdate", "UpdateOrLoadConflict", "ClearRemovesAll"} {
		if _, ok := created.Load(name); !ok {
			t.Errorf("case %s was not run on the store of the lists", name)
		}
	}
}

// TestBrokenStores proves that a store which breaks a rule fails the cases that
// are about it.
func TestBrokenStores(t *testing.T) {
	for _, b := range allBrokenStores {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			const patience = time.Second // with a store that never gets it right
			passing := b.fails
			for range 20 { // a race that the machine never ran proves nothing
				failures := storetest.Failures(t, func() store.Store { return b.open(new(full)) }, patience, passing)
				passing = slices.DeleteFunc(slices.Clone(passing), func(name string) bool {
					message, ok := failures[name]
					if ok {
						t.Logf("%s: %s", name, message)
					}
					return ok
				})
				if len(passing) == 0 {
					break
				}
			}
			for _, name := range passing {
				t.Errorf("case %s passes", name)
			}
		})
	}
}

// TestSoundStore sees to it that the recorder used there finds no fault with a
// store that keeps the contract.
func TestSoundStore(t *testing.T) {
	failures := storetest.Failures(t, func() store.Store { return new(full) }, time.Minute, storetest.Cases())
	for name, message := range failures {
		t.Errorf("%s: %s", name, message)
	}
}

// TestCases checks the list itself: each case has a name of its own and fails
// for a broken store, so none is there for show.
func TestCases(t *testing.T) {
	cases := make(map[string]bool) // whether a broken store fails it
	for _, name := range storetest.Cases() {
		if _, ok := cases[name]; ok {
			t.Errorf("two cases are named %s", name)
		}
		cases[name] = false
	}
	for _, b := range allBrokenStores {
		for _, name := range b.fails {
			if _, ok := cases[name]; !ok {
				t.Errorf("%s: there is no case %s", b.name, name)
			}
			cases[name] = true
		}
	}
	for name, proven := range cases {
		if !proven {
			t.Errorf("case %s: no broken store fails it", name)
		}
	}
}
