package valkeystore_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

// A quiet connection takes all and answers at once.
type quiet struct{ net.Conn }

// Write implements [net.Conn].
func (quiet) Write(b []byte) (int, error) { return len(b), nil }

// Read implements [net.Conn].
func (quiet) Read(b []byte) (int, error) { return len(b), nil }

// commands is a write of so many.
func commands(n int) []byte { return []byte(strings.Repeat("*1\r\n$4\r\nPING\r\n", n)) }

// Where many requests are at it, who is ready to send a command does so before what is there
// is written, so that it can be in the next write. A few do not wait for each other.
func TestOthersGoBeforeAWrite(t *testing.T) {
	const answer = 0
	for _, tt := range []struct {
		name   string
		writes []int // of so many commands, and answers
		want   []int // how often others went first, for each write
	}{
		{"one after the other", []int{1, answer, 1, answer, 1}, []int{0, 0, 0}},
		{"four at once", []int{4, answer, 4, answer, 1, 3}, []int{0, 0, 0, 0}},
		{"many at once", []int{5, answer, 5}, []int{2, 2}},
		{"one by one, without an answer", []int{1, 1, 1, 1, 1, 1}, []int{0, 0, 0, 0, 2, 2}},
		{"one, and then all others", []int{1, 9, answer, 1, 9, answer, answer, 1}, []int{0, 2, 2, 2, 2}},
		{"all others have gone", []int{9, answer, 1, answer, 1, answer, 1}, []int{2, 2, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			yields := 0
			conn := valkeystore.Polite(quiet{}, func() { yields++ }, time.Now)
			var got []int
			for _, n := range tt.writes {
				if n == answer {
					if _, err := conn.Read(nil); err != nil {
						t.Fatal(err)
					}
					continue
				}
				yields = 0
				if sent, err := conn.Write(commands(n)); err != nil || sent != len(commands(n)) {
					t.Fatalf("%d bytes were written (%v), want %d", sent, err, len(commands(n)))
				}
				got = append(got, yields)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("others went first %v times, want %v", got, tt.want)
			}
		})
	}
}

// Where the app computes more than it has processors for, nobody is let go first for a while.
func TestAWriteIsInAHurryWhereOthersCompute(t *testing.T) {
	now, slice, yields := time.Unix(1_000_000, 0), time.Duration(0), 0
	conn := valkeystore.Polite(quiet{}, func() { now, yields = now.Add(slice), yields+1 }, func() time.Time { return now })
	for _, step := range []struct {
		name  string
		slice time.Duration // that others take before they let the write go on
		later time.Duration // after the last step
		want  int
	}{
		{"others take a moment", 5 * time.Millisecond, 0, 2},
		{"they use up a time slice", 11 * time.Millisecond, 0, 1},
		{"at once", 0, 0, 0},
		{"a moment before it is over", 0, 100*time.Millisecond - 1, 0},
		{"when it is over", 0, 1, 2},
		{"two of them share a time slice and more", 6 * time.Millisecond, 0, 2},
		{"at once after that", 0, 0, 0},
	} {
		now, slice, yields = now.Add(step.later), step.slice, 0
		if _, err := conn.Write(commands(5)); err != nil {
			t.Fatal(err)
		}
		if yields != step.want {
			t.Errorf("%s: others went first %d times, want %d", step.name, yields, step.want)
		}
	}
}

func TestOpenDialsPolitely(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if is, err := valkeystore.DialsPolitely(t.Context(), l.Addr().String()); !is || err != nil {
		t.Errorf("a client that Open makes writes without a look at others (%v)", err)
	}
}
