package core

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a call of the store has to tell is told once, also where it outlives its
// operation.
func TestWhatAnOperationHasToTellIsToldOnceWheneverItComes(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(op *operation, say func())
	}{
		{"before the end", func(op *operation, say func()) { say(); op.end(nil) }},
		{"after the end", func(op *operation, say func()) { op.end(nil); say() }},
		{"after it was ended twice", func(op *operation, say func()) { op.end(nil); op.end(nil); say() }},
		{"at the end", func(op *operation, say func()) { go say(); op.end(nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &Manager{cfg: Config{StoreTimeout: time.Second}}
				op := m.operate(t.Context(), OpCommit)
				var told atomic.Int32
				test.do(op, func() { tell(op, func(context.Context) { told.Add(1) }) })
				synctest.Wait()
				if n := told.Load(); n != 1 {
					t.Errorf("it was told %d times, want once", n)
				}
			})
		})
	}
}
