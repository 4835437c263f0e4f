package interleavings

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// TestOnServers performs on real servers some of the orders, spread over all
// pairs: those that were made on a store in memory are made again.
func TestOnServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		kinds []kind
		open  func(t *testing.T) openStore
	}{
		{"Valkey", []kind{full, plain}, func(t *testing.T) openStore {
			return valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}}), valkeystore.Options{})
		}},
		{"Valkey cluster", []kind{apart}, func(t *testing.T) openStore {
			return valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: valkeyenv.ClusterAddrs(t)}), valkeystore.Options{})
		}},
		{"MongoDB's protocol", []kind{apart}, func(t *testing.T) openStore {
			return mongoenv.Store(t, mongoenv.Client(t), mongostore.Options{})
		}},
		{"PostgreSQL", []kind{full}, func(t *testing.T) openStore {
			return sqlenv.Store(t, sqlenv.PostgreSQL.Open(t), sqlstore.Options{})
		}},
		{"MariaDB", []kind{full}, func(t *testing.T) openStore {
			return sqlenv.Store(t, sqlenv.MariaDB.Open(t), sqlstore.Options{})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner := tt.open(t)
			few, all := 1, []setting{{kind: tt.kinds[0], processes: 2}}
			if soak.For(t) > 0 {
				few, all = 20, nil
				for _, s := range every() {
					if slices.Contains(tt.kinds, s.kind) && s.timing != due {
						all = append(all, s)
					}
				}
			}
			performed, strayed, began := 0, 0, time.Now()
			for _, s := range all {
				for _, r := range some(t, s, few) {
					done, err := again(inner, s, r)
					switch {
					case errors.Is(err, errStrayed):
						strayed++
						t.Logf("other calls were made than in memory: %v: %v", s, r.order)
					case err != nil:
						t.Fatalf("%v, %v: %v\nthe order: %v\nthe outcome: %v", s, r.play, err, r.order, done)
					default:
						performed++
					}
				}
			}
			t.Logf("%d orders in %v", performed, time.Since(began).Round(time.Millisecond))
			if strayed > performed/100 {
				t.Errorf("%d more could not be performed as they are in memory", strayed)
			}
		})
	}
}

// some returns a number of orders of each pair, spread evenly.
func some(t *testing.T, s setting, few int) (chosen []result) {
	var all []result
	choose := func() {
		for i := range min(few, len(all)) {
			chosen = append(chosen, all[(2*i+1)*len(all)/(2*min(few, len(all)))])
		}
		all = nil
	}
	for _, r := range inMemory(t, s) {
		if len(all) > 0 && all[0].play.String() != r.play.String() {
			choose()
		}
		if text := r.order.String(); !strings.Contains(text[strings.LastIndex(text, "time passes")+1:], "touch") || !strings.Contains(text, "time passes") {
			all = append(all, r) // on a server no time passes that would make an extension due
		}
	}
	choose()
	return chosen
}

var performed struct {
	sync.Mutex
	results map[setting][]result
}

// inMemory performs all orders on a store in memory, once.
func inMemory(t *testing.T, s setting) []result {
	performed.Lock()
	defer performed.Unlock()
	if performed.results == nil {
		performed.results = make(map[setting][]result)
	}
	if performed.results[s] == nil {
		everyOrder(t, s, pairs(ops), memory, apartIn(s), func(r result) bool {
			performed.results[s] = append(performed.results[s], r)
			return r.err == nil
		})
	}
	return performed.results[s]
}

var errStrayed = errors.New("other calls were made than in memory")

// again performs an order as it was performed before.
func again(inner openStore, s setting, r result) (outcome, error) {
	var st *stage
	st, err := newStage(inner, s, func(d time.Duration) {
		if d > idle {
			expire(inner)
		}
	})
	if err != nil {
		return outcome{}, err
	}
	c, err := st.newCast(r.play.first, r.play.second)
	if err != nil {
		return outcome{}, err
	}
	c.begin()
	var strayed error
	for i := 0; !c.over(); i++ {
		var stops []*stop
		for deadline := time.Now().Add(servers.Patience); !c.over(); time.Sleep(20 * time.Microsecond) {
			stops = c.choices()
			if i < len(r.order) && slices.Equal(labelsOf(stops), r.order[i].among) {
				break
			}
			if len(stops) > 0 && (strayed != nil || time.Now().After(deadline)) {
				strayed = errStrayed
				break
			}
		}
		if len(stops) == 0 {
			continue
		}
		taken := 0
		if strayed == nil {
			taken = r.order[i].taken
		}
		c.let(stops[taken])
	}
	for _, s := range c.gate.stops() { // an extension that nobody waits for
		c.gate.do(s)
	}
	c.running.Wait()
	o, err := c.outcome()
	if now := (result{outcome: o.extended(), allowed: extended(r.allowed)}); err == nil && !now.isAllowed() {
		err = errors.New("this is not allowed")
	}
	if err == nil {
		err = strayed
	}
	for _, id := range st.left {
		if err := inner.Delete(context.Background(), id); err != nil {
			return o, err
		}
	}
	return o, err
}

// extended returns the outcome as it looks on a server, where nobody can see whether the
// life of a record was extended.
func (o outcome) extended() outcome {
	for i := range o.stored {
		o.stored[i].fresh = o.stored[i].life == live
	}
	return o
}

func extended(all map[outcome]bool) map[outcome]bool {
	seen := make(map[outcome]bool, len(all))
	for o := range all {
		seen[o.extended()] = true
	}
	return seen
}

// expire ends the life of all that is stored.
func expire(s openStore) {
	ctx := context.Background()
	for rec, err := range s.All(ctx) {
		if err != nil {
			panic(err)
		}
		if err := s.Touch(ctx, rec.ID, time.Millisecond); err != nil && !errors.Is(err, store.ErrNotFound) {
			panic(err)
		}
	}
	for left := true; left; {
		left = false
		for range s.All(ctx) {
			left = true
		}
	}
}
