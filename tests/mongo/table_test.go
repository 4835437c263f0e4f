package mongo

import (
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/adaptertest"
	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/frameworks"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/internal/soak"
)

// A framework does not see which form a document has, so one of them runs the
// table on the second.
func TestAdapters(t *testing.T) {
	client := mongoenv.Client(t)
	for _, form := range soak.Some(t, []form{forms[1], forms[0]}) { // the suite of stores has both, and interop too
		t.Run(form.name, func(t *testing.T) {
			// A collection takes longer to make than most scenarios do, so they
			// use it one after the other.
			var (
				mu   sync.Mutex
				idle []*mongostore.Store
			)
			empty := func(s *testing.T) store.Store {
				mu.Lock()
				defer mu.Unlock()
				if len(idle) == 0 {
					idle = append(idle, mongoenv.Store(t, client, mongostore.Options{Objects: form.objects}))
				}
				last := len(idle) - 1
				st := idle[last]
				idle = idle[:last]
				s.Cleanup(func() {
					if err := st.Clear(t.Context()); err != nil {
						s.Errorf("Clear: %v", err)
					}
					mu.Lock()
					defer mu.Unlock()
					idle = append(idle, st)
				})
				return st
			}
			all := frameworks.All() // one of them on the other form: to a framework all stores are the same
			if last := len(all) - 1; form.objects {
				all = all[last:]
			} else {
				all = all[:last]
			}
			for _, fw := range soak.Some(t, all) {
				t.Run(fw.Name, func(t *testing.T) {
					fw.Except = map[string]string{"G1: 64 clients x 50 increments over 3 processes on one session are 3200": "takes long; TestThreeProcesses does it with real processes"}
					adaptertest.Run(t, fw.Framework, empty)
				})
			}
		})
	}
}
