package hot_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/hot"
)

// A thing is what these tests remember.
type thing struct {
	key  string
	size int
}

func (v *thing) Hot() (key string, size int) { return v.key, v.size }

func get(t *hot.Table[thing, *thing], key string) *thing {
	v, _ := t.Get(key)
	return v
}

// put has a table remember a value, as whoever misses it twice in a row does.
func put(t *hot.Table[thing, *thing], v *thing) {
	for range 3 { // the first one finds that the table has no room yet
		if _, at := t.Get(v.key); t.Wants(at) {
			t.Put(at, v)
		}
	}
}

func TestWhatComesOnceIsNotRemembered(t *testing.T) {
	table := hot.NewTable[thing](1 << 20)
	put(table, &thing{"a", 1})
	wants := func(key string) bool {
		_, at := table.Get(key)
		return table.Wants(at)
	}
	if wants("b") {
		t.Error("a key is wanted that came for the first time")
	}
	if !wants("b") {
		t.Error("a key is not wanted that came twice")
	}
	for i := range 100_000 {
		if wants(fmt.Sprint(i)) {
			t.Fatal("a key is wanted that came once among many others")
		}
	}
}

func TestAValueIsFoundByItsWholeKey(t *testing.T) {
	table := hot.NewTable[thing](1 << 20)
	a := &thing{"a", 1}
	put(table, a)
	if got := get(table, "a"); got != a {
		t.Errorf("Get returned %v, want %v", got, a)
	}
	// With a million other keys, hundreds share the place of "a".
	for i := range 1_000_000 {
		if got := get(table, fmt.Sprint("a", i)); got != nil {
			t.Fatalf("Get of another key returned %v", got)
		}
	}
}

func TestAValueTakesThePlaceOfTheOneBefore(t *testing.T) {
	table := hot.NewTable[thing](1 << 20)
	first, second := &thing{"a", 1}, &thing{"a", 2}
	put(table, first)
	put(table, second)
	if got := get(table, "a"); got != second {
		t.Errorf("Get returned %v, want %v", got, second)
	}
}

func TestWhatIsDroppedIsGone(t *testing.T) {
	table := hot.NewTable[thing](1 << 20)
	put(table, &thing{"a", 1})
	table.Drop("b")
	if get(table, "a") == nil {
		t.Error("another key was dropped, and this one is gone")
	}
	table.Drop("a")
	if get(table, "a") != nil {
		t.Error("Get returns what was dropped")
	}
	put(table, &thing{"a", 1})
	table.Clear()
	if get(table, "a") != nil {
		t.Error("Get returns what was there before Clear")
	}
}

func TestATableKeepsNoMoreBytesThanItMay(t *testing.T) {
	const most = 1 << 16
	table := hot.NewTable[thing](most)
	for i := range 10_000 {
		put(table, &thing{fmt.Sprint(i), 1000})
	}
	kept := 0
	for i := range 10_000 {
		if v := get(table, fmt.Sprint(i)); v != nil {
			kept += v.size
		}
	}
	if kept > most || kept < most/2 {
		t.Errorf("it keeps %d bytes, want up to %d, and not much less", kept, most)
	}
	large := &thing{"large", most}
	if put(table, large); get(table, "large") != nil {
		t.Error("it keeps a value that would leave no room for others")
	}
}

// A value that is too large does not leave an older one of its key behind.
func TestAValueThatIsTooLargeIsForgotten(t *testing.T) {
	table := hot.NewTable[thing](1 << 16)
	put(table, &thing{"a", 1})
	put(table, &thing{"a", 1 << 16})
	if got := get(table, "a"); got != nil {
		t.Errorf("Get returned %v, want none", got)
	}
}

func TestATableIsForManyGoroutines(t *testing.T) {
	table := hot.NewTable[thing](1 << 12)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 5000 {
				key := fmt.Sprint(i % 50)
				if v := get(table, key); v != nil && v.key != key {
					t.Errorf("Get(%q) returned that of %q", key, v.key)
				}
				switch (i + g) % 8 {
				case 0:
					table.Drop(key)
				case 1:
					if i%1000 == 1 {
						table.Clear()
					}
				default:
					put(table, &thing{key, 100})
				}
			}
		})
	}
	wg.Wait()
}
