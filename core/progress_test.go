package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// A slowDeletes is a store that takes its time to delete a session, and fails where
// it is told to.
type slowDeletes struct {
	*userStore
	takes time.Duration
	fails func(id string) bool
}

func (s *slowDeletes) Delete(ctx context.Context, id string) error {
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return &store.Error{Store: "slow", Verb: "delete", Outcome: store.OutcomeUnknown, Err: ctx.Err()}
	}
	if s.fails != nil && s.fails(id) {
		return &store.Error{Store: "slow", Verb: "delete", Outcome: store.OutcomeNotApplied, Class: "refused"}
	}
	return s.userStore.Delete(ctx, id)
}

// manySessions gives ada so many sessions.
func manySessions(t *testing.T, m *core.Manager, n int) {
	t.Helper()
	for range n {
		ada(t, m)
	}
}

func (s *slowDeletes) left() int { return len(s.sessions.Records()) }

// However many sessions a user has, and however slow each Delete is.
//
// Standards: ASVS-7.4.5
func TestRevokeUserEndsAsManySessionsAsThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowDeletes{userStore: newUserStore(), takes: time.Second}
		m := process(t, st)
		manySessions(t, m, 400)
		ctx, hangUp := context.WithTimeout(t.Context(), time.Second) // a client that hangs up early
		defer hangUp()
		err := m.RevokeUser(ctx, "ada")
		var incomplete *core.RevocationError
		if !errors.As(err, &incomplete) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("the first call: %v", err)
		}
		if incomplete.Ended < 64 || incomplete.Ended+incomplete.Left != 400 || st.left() != incomplete.Left {
			t.Errorf("it says %d and %d, and %d are left", incomplete.Ended, incomplete.Left, st.left())
		}
		if got, want := err.Error(), fmt.Sprintf("cloakroom: %d sessions were revoked, %d are left: context deadline exceeded", incomplete.Ended, incomplete.Left); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		before := time.Now()
		if err := m.RevokeUser(t.Context(), "ada"); err != nil || st.left() != 0 {
			t.Errorf("the second call: %v, and %d are left", err, st.left())
		}
		if took, want := time.Since(before), time.Duration((incomplete.Left+15)/16)*time.Second; took != want {
			t.Errorf("it took %v, want %v: it did again what was done", took, want)
		}
	})
}

// A session that cannot be ended does not keep the others alive.
func TestARevocationGetsFurtherWithEachCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowDeletes{userStore: newUserStore()}
		m := process(t, st)
		manySessions(t, m, 50)
		_, rest, _ := strings.Cut(string(st.index.(*mapstore.Store).Records()[0].Data), `"key":"`)
		first, _, _ := strings.Cut(rest, `"`)
		st.fails = func(id string) bool { return id == first }
		for call, left := range []int{35, 20, 5, 1, 1} {
			var incomplete *core.RevocationError
			if err := m.RevokeUser(t.Context(), "ada"); !errors.As(err, &incomplete) || incomplete.Left != left || st.left() != left {
				t.Errorf("call %d: %v, and %d are left, want %d", call+1, err, st.left(), left)
			}
		}
		st.fails = nil
		if err := m.RevokeUser(t.Context(), "ada"); err != nil || st.left() != 0 {
			t.Errorf("the last call: %v, and %d are left", err, st.left())
		}
	})
}

// A user whose sessions are being revoked, many and slowly, can sign in, and helps.
func TestASignInDoesNotWaitForALongRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowDeletes{userStore: newUserStore(), takes: time.Second}
		m := process(t, st)
		manySessions(t, m, 200)
		st.fails = func(string) bool { return true }
		if err := m.RevokeUser(t.Context(), "ada"); err == nil || st.left() != 200 {
			t.Fatalf("RevokeUser: %v", err)
		}
		st.fails = nil
		for logins, left := 1, 200; left > 0; logins++ {
			if user := load(t, m, ada(t, m)).User(); user != "ada" {
				t.Fatal("nobody is signed in")
			}
			if now := st.left() - logins; now > max(0, left-16) {
				t.Fatalf("%d are left of %d", now, left)
			} else {
				left = now
			}
		}
	})
}

// The session that is asked for is the first to end, whatever an earlier call left.
func TestRevokeEndsTheSessionThatIsAskedForFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &slowDeletes{userStore: newUserStore()}
		m := process(t, st)
		manySessions(t, m, 40)
		st.fails = func(string) bool { return true }
		if err := m.RevokeUser(t.Context(), "ada"); err == nil {
			t.Fatal("RevokeUser succeeded")
		}
		st.fails = nil
		cookie := ada(t, m)
		s := load(t, m, cookie)
		handle, id := s.Handle(), s.ID()
		st.fails = func(asked string) bool { return asked != id }
		if err := m.Revoke(t.Context(), "ada", handle); err != nil || load(t, m, cookie).User() != "" {
			t.Errorf("Revoke: %v", err)
		}
	})
}
