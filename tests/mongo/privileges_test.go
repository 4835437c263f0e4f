package mongo

import (
	"context"
	"errors"
	"maps"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/event"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
)

// actionOf tells what a user has to be allowed for a command; nothing for some.
var actionOf = map[string]string{
	"find": "find", "aggregate": "find", "insert": "insert", "update": "update", "delete": "remove",
	"ping": "", "endSessions": "",
}

// TestTheRoleInTheManualIsWhatTheStoreNeeds compares the role in docs/mongo.md
// with what the store sends, but for EnsureIndexes.
func TestTheRoleInTheManualIsWhatTheStoreNeeds(t *testing.T) {
	var (
		mu   sync.Mutex
		need = make(map[string]bool) // "collection: action"
	)
	name := mongoenv.Collection(t, mongoenv.Client(t))
	client := mongoenv.Client(t, options.Client().SetMonitor(&event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		mu.Lock()
		defer mu.Unlock()
		action, ok := actionOf[e.CommandName]
		collection, _ := e.Command.Lookup(e.CommandName).StringValueOK()
		switch {
		case !ok:
			t.Errorf("the store sent %s", e.CommandName)
		case action != "":
			need[strings.Replace(collection, name, "sessions", 1)+": "+action] = true
		}
	}}))
	st := mongoenv.Store(t, client, mongostore.Options{Collection: name})
	ctx := t.Context()
	for _, s := range []store.Store{st, st.UserIndex()} {
		first := store.Record{ID: "id", Data: []byte(`{"n":1}`), TTL: time.Hour}
		second := store.Record{ID: "id", Data: []byte(`{"n":2}`), TTL: time.Hour}
		_, lost := s.Load(ctx, "unknown")
		if err := errors.Join(
			s.Create(ctx, first), s.Update(ctx, first, second), s.Touch(ctx, "id", time.Hour), s.(store.Remover).Remove(ctx, second), s.Delete(ctx, "id"), s.(store.Clearer).Clear(ctx),
		); err != nil || !errors.Is(lost, store.ErrNotFound) {
			t.Errorf("%v, %v", err, lost)
		}
	}
	_, inspected := st.Inspect(ctx, []string{"id"})
	_, counted := st.Count(ctx)
	for _, err := range st.All(ctx) {
		t.Errorf("All yielded %v", err)
	}
	if err := errors.Join(inspected, counted, st.Ping(ctx)); err != nil {
		t.Error(err)
	}

	manual, err := os.ReadFile("../../docs/mongo.md")
	if err != nil {
		t.Fatal(err)
	}
	may := make(map[string]bool)
	for _, m := range regexp.MustCompile(`collection: "(\w+)" }, actions: \[(.*?)\]`).FindAllStringSubmatch(string(manual), -1) {
		for action := range strings.SplitSeq(m[2], ", ") {
			may[m[1]+": "+strings.Trim(action, `"`)] = true
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(need) == 0 || !maps.Equal(need, may) {
		t.Errorf("the store needs %v, the manual allows %v", need, may)
	}
}
