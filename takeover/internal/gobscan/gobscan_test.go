package gobscan_test

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/takeover/internal/gobscan"
)

type tree struct {
	Name string
	Kids []*tree
	More map[string]any
	At   time.Time
	Arr  [3]uint16
	Num  *big.Int
}

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAStreamIsReadWithoutItsTypes(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)
	v := tree{
		Name: "root", Kids: []*tree{{Name: "leaf"}, {Name: "other", At: at}},
		More: map[string]any{"n": int8(-3), "u": uint64(1) << 63, "f": float32(0.5), "none": nil, "bytes": []byte{1}, "deep": map[string]any{"c": 1i}},
		At:   at, Arr: [3]uint16{1, 0, 65535}, Num: big.NewInt(7),
	}
	gob.Register(map[string]any{})
	got, err := gobscan.Scan(encoded(t, v))
	if err != nil {
		t.Fatal(err)
	}
	root := got.(map[string]any)
	kids := root["Kids"].([]any)
	if len(kids) != 2 || kids[0].(map[string]any)["Name"] != "leaf" || !kids[1].(map[string]any)["At"].(time.Time).Equal(at) {
		t.Errorf("the kids are %v", kids)
	}
	if !reflect.DeepEqual(root["Arr"], []any{uint64(1), uint64(0), uint64(65535)}) {
		t.Errorf("the array is %v", root["Arr"])
	}
	if _, isBytes := root["Num"].([]byte); !isBytes {
		t.Errorf("what encodes itself is a %T", root["Num"])
	}
	plain, ok := gobscan.Plain(root["More"])
	if !ok {
		t.Fatal("the map has no plain form")
	}
	more := plain.(map[string]any)
	want := map[string]any{"n": int8(-3), "u": uint64(1) << 63, "f": float32(0.5), "bytes": []byte{1}, "deep": map[string]any{"c": "(0+1i)"}}
	if _, ok := more["none"]; ok {
		want["none"] = nil
	}
	if !reflect.DeepEqual(more, want) {
		t.Errorf("the map is %v, want %v", more, want)
	}
}

func TestAMapByNumbersIsAnObject(t *testing.T) {
	got, err := gobscan.Scan(encoded(t, map[int]string{-1: "a", 2: "b"}))
	if err != nil {
		t.Fatal(err)
	}
	plain, ok := gobscan.Plain(got)
	if text, _ := json.Marshal(plain); !ok || string(text) != `{"-1":"a","2":"b"}` {
		t.Errorf("%s, %v", text, ok)
	}
	got, err = gobscan.Scan(encoded(t, map[float64]string{1.5: "a"}))
	if _, ok := gobscan.Plain(got); err != nil || ok {
		t.Errorf("a map by fractions has a plain form: %v", err)
	}
}

// nested returns a gob of interfaces that hold each other.
func nested(t *testing.T, depth int) []byte {
	t.Helper()
	gob.Register([]any{})
	v := []any{}
	for range depth {
		v = []any{v}
	}
	return encoded(t, v)
}

func TestTheLimitsHold(t *testing.T) {
	if _, err := gobscan.Scan(nested(t, gobscan.MaxDepth/2-2)); err != nil {
		t.Errorf("within the depth: %v", err)
	}
	if _, err := gobscan.Scan(nested(t, gobscan.MaxDepth)); err == nil {
		t.Error("what is too deep was read")
	}
	if _, err := gobscan.Scan(encoded(t, make([]bool, gobscan.MaxValues-1))); err != nil {
		t.Errorf("within the number of values: %v", err)
	}
	if _, err := gobscan.Scan(encoded(t, make([]bool, gobscan.MaxValues))); err == nil {
		t.Error("too many values were read")
	}
	gob.Register(time.Time{})
	whole := encoded(t, map[string]any{"a": []any{1, "b"}, "c": time.Now()})
	for n := range whole {
		if _, err := gobscan.Scan(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes were read", n, len(whole))
		}
	}
}

// decoded returns what encoding/gob reads, which panics where a key has no hash.
func decoded(data []byte) (own map[any]any, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	err := gob.NewDecoder(bytes.NewReader(data)).Decode(&own)
	return own, err == nil
}

// The law: bytes cost memory in proportion to their number, and what encoding/gob reads
// into a map this package reads too, and finds as many values.
func FuzzScan(f *testing.F) {
	gob.Register(time.Time{})
	gob.Register([]any{})
	gob.Register(map[string]any{})
	f.Add(encoded(f, map[any]any{"a": 1, "b": []any{"c", 2.5, nil}, 7: time.Unix(1, 0)}))
	f.Add(encoded(f, map[any]any{"u": []string{"x"}, "m": map[string]any{"y": []byte{1}}}))
	f.Add(encoded(f, tree{Name: "a", Kids: []*tree{{}}}))
	f.Add(encoded(f, "text"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var (
			got any
			err error
		)
		cost := suite.Allocated(func() {
			if got, err = gobscan.Scan(data); err == nil {
				gobscan.Plain(got)
			}
		})
		if limit := suite.Roughly + 1000*len(data); cost > limit {
			t.Errorf("%d bytes cost %d bytes of memory, want at most %d", len(data), cost, limit)
		}
		if err != nil {
			return // encoding/gob, which never gets to see it, may accept more
		}
		own, ok := decoded(data)
		if !ok {
			return
		}
		entries, ok := got.(gobscan.Map)
		if !ok {
			t.Fatalf("a map was read as a %T", got)
		}
		seen := 0
		for _, e := range entries {
			if name, ok := e.Key.(string); ok {
				if _, ok := own[name]; ok {
					seen++
				}
			}
		}
		for key := range own {
			if _, ok := key.(string); ok {
				seen--
			}
		}
		if seen < 0 {
			t.Errorf("%d names were not found", -seen)
		}
	})
}
