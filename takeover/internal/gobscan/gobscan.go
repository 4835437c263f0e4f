// Package gobscan reads a stream of encoding/gob without the Go types that it was
// made of. A gob describes itself: what it does not tell is how many bits a number
// had, and the tags of a struct's fields.
//
// It is for bytes that may be anybody's: depth, number of values and number of types
// are limited, and no count is believed that the bytes which are left could not hold.
//
// The format is that of the documentation of encoding/gob, "Encoding Details".
package gobscan

import (
	"encoding"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"time"
)

// Limits of what is read.
const (
	MaxDepth  = 64
	MaxValues = 100_000
	maxTypes  = 1000
)

// ErrFormat says that the bytes are no gob, or one beyond the limits.
var ErrFormat = errors.New("no gob, or one that is too large or too deep")

// A Named is a value that an interface held, of a type that is not one of Go's own.
type Named struct {
	Type  string // as encoding/gob registers it: import/path.Name
	Value any
}

// A Map is a map of any type.
type Map []Entry

// An Entry is one of a Map.
type Entry struct{ Key, Value any }

// Scan reads a stream that has one value. It returns
//
//   - bool, int64, uint64, float64, complex128, string and []byte, and in interfaces also
//     the Go type that their name tells, such as int8;
//   - time.Time;
//   - []any for slices and arrays, [Map] for maps;
//   - map[string]any for structs, by the names of their fields; those that were zero are
//     not there;
//   - for types that encode themselves, what they wrote, as []byte;
//   - nil for nil, and [Named] where an interface held a type of the app.
func Scan(data []byte) (any, error) {
	s := scanner{data: data, types: make(map[int64]wireType)}
	value, err := s.stream()
	if err != nil {
		return nil, err
	}
	return value, nil
}

// A wireType describes a type.
type wireType struct {
	kind      kind
	name      string
	key, elem int64
	fields    []field
}

type field struct {
	name string
	id   int64
}

type kind uint8

// The kinds have the numbers of the fields of encoding/gob's own wireType, plus one.
const (
	arrayKind kind = iota + 1
	sliceKind
	structKind
	mapKind
	gobKind
	binaryKind
	textKind
)

// The ids of the types that need no description. Those of an app begin at 64.
const (
	boolID      = 1
	intID       = 2
	uintID      = 3
	floatID     = 4
	bytesID     = 5
	stringID    = 6
	complexID   = 7
	interfaceID = 8
	firstID     = 64
)

// A scanner reads a stream from front to back. What it has read is gone, so every
// step makes data shorter.
type scanner struct {
	data   []byte
	types  map[int64]wireType
	depth  int
	values int
}

// stream reads the message of a value, and those of its types before it.
func (s *scanner) stream() (any, error) {
	if _, err := s.uint(); err != nil { // the length of the first message
		return nil, err
	}
	id, err := s.typeID()
	if err != nil {
		return nil, err
	}
	return s.top(id, "")
}

// typeID reads the id of the type of what follows, and the descriptions of types
// before it. The length of a message, or of the rest of one, follows each.
func (s *scanner) typeID() (int64, error) {
	for {
		id, err := s.int()
		if err != nil || id >= 0 {
			return id, err
		}
		if id == math.MinInt64 {
			return 0, ErrFormat
		}
		if err := s.describe(-id); err != nil {
			return 0, err
		}
		if _, err := s.uint(); err != nil {
			return 0, err
		}
	}
}

// top reads a value as it stands in a message or in an interface: what is no struct
// has a zero before it.
func (s *scanner) top(id int64, name string) (any, error) {
	if t, ok := s.types[id]; !ok || t.kind != structKind {
		if zero, err := s.uint(); err != nil || zero != 0 {
			return nil, ErrFormat
		}
	}
	return s.value(id, name)
}

// value reads a value of a type. name is what an interface calls it.
func (s *scanner) value(id int64, name string) (any, error) {
	if s.values++; s.values > MaxValues || s.depth == MaxDepth {
		return nil, ErrFormat
	}
	s.depth++
	defer func() { s.depth-- }()
	switch id {
	case boolID:
		n, err := s.uint()
		return n != 0, err
	case intID:
		n, err := s.int()
		return sized(n, name), err
	case uintID:
		n, err := s.uint()
		return unsigned(n, name), err
	case floatID:
		f, err := s.float()
		if name == "float32" {
			return float32(f), err
		}
		return f, err
	case complexID:
		re, err := s.float()
		if err != nil {
			return nil, err
		}
		im, err := s.float()
		if name == "complex64" {
			return complex64(complex(re, im)), err
		}
		return complex(re, im), err
	case bytesID:
		b, err := s.bytes()
		return append([]byte{}, b...), err
	case stringID:
		b, err := s.bytes()
		return string(b), err
	case interfaceID:
		return s.inInterface()
	}
	t, ok := s.types[id]
	if !ok {
		return nil, ErrFormat
	}
	switch t.kind {
	case arrayKind, sliceKind:
		return s.slice(t, name)
	case structKind:
		return s.fields(t)
	case mapKind:
		return s.pairs(t)
	}
	return s.encoded(t)
}

// inInterface reads what an interface holds.
func (s *scanner) inInterface() (any, error) {
	b, err := s.bytes()
	if err != nil || len(b) == 0 {
		return nil, err
	}
	name := string(b)
	id, err := s.typeID()
	if err != nil {
		return nil, err
	}
	if _, err := s.uint(); err != nil { // the length of the first piece of the value
		return nil, err
	}
	value, err := s.top(id, name)
	if err != nil || isGos(name) {
		return value, err
	}
	return Named{name, value}, nil
}

// slice reads the elements of a slice or an array.
func (s *scanner) slice(t wireType, name string) (any, error) {
	n, err := s.count()
	if err != nil {
		return nil, err
	}
	elem := ""
	if len(name) > 2 && name[:2] == "[]" {
		elem = name[2:]
	}
	all := make([]any, 0, min(n, 16))
	for range n {
		v, err := s.value(t.elem, elem)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// fields reads a struct.
func (s *scanner) fields(t wireType) (any, error) {
	all := make(map[string]any)
	err := s.deltas(func(n int) error {
		if n >= len(t.fields) {
			return ErrFormat
		}
		v, err := s.value(t.fields[n].id, "")
		all[t.fields[n].name] = v
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// deltas reads a struct: do reads the field with that number.
func (s *scanner) deltas(do func(n int) error) error {
	for n := -1; ; {
		delta, err := s.uint()
		if err != nil || delta == 0 {
			return err
		}
		if delta > math.MaxInt16 || n > math.MaxInt16 {
			return ErrFormat
		}
		n += int(delta)
		if err := do(n); err != nil {
			return err
		}
	}
}

// pairs reads a map.
func (s *scanner) pairs(t wireType) (any, error) {
	n, err := s.count()
	if err != nil {
		return nil, err
	}
	all := make(Map, 0, min(n, 16))
	for range n {
		k, err := s.value(t.key, "")
		if err != nil {
			return nil, err
		}
		v, err := s.value(t.elem, "")
		if err != nil {
			return nil, err
		}
		all = append(all, Entry{k, v})
	}
	return all, nil
}

// encoded reads a value that its type has encoded.
func (s *scanner) encoded(t wireType) (any, error) {
	b, err := s.bytes()
	if err != nil {
		return nil, err
	}
	var at time.Time
	if t.name == "Time" && encoding.BinaryUnmarshaler(&at).UnmarshalBinary(b) == nil {
		return at, nil
	}
	return append([]byte{}, b...), nil
}

// describe reads the description of a type.
func (s *scanner) describe(id int64) error {
	if _, known := s.types[id]; known || id < firstID || len(s.types) == maxTypes {
		return ErrFormat
	}
	var t wireType
	err := s.deltas(func(n int) error {
		if t.kind != 0 || n > int(textKind)-1 {
			return ErrFormat
		}
		t.kind = kind(n) + 1 //nolint:gosec // at most 7
		return s.description(&t)
	})
	if err == nil && t.kind == 0 {
		err = ErrFormat
	}
	s.types[id] = t
	return err
}

// description reads what a description says of a type of its kind.
func (s *scanner) description(t *wireType) error {
	return s.deltas(func(n int) (err error) {
		switch {
		case n == 0: // encoding/gob's CommonType
			t.name, err = s.common()
		case n == 1 && t.kind == structKind:
			t.fields, err = s.fieldTypes()
		case n == 1 && t.kind == mapKind:
			t.key, err = s.int()
		case n == 1 && t.kind <= sliceKind, n == 2 && t.kind == mapKind:
			t.elem, err = s.int()
		case n == 2 && t.kind == arrayKind:
			_, err = s.int() // the length stands in each value too
		default:
			err = ErrFormat
		}
		return err
	})
}

// common reads the name and the id of a type.
func (s *scanner) common() (name string, err error) {
	err = s.deltas(func(n int) error {
		switch n {
		case 0:
			b, err := s.bytes()
			name = string(b)
			return err
		case 1:
			_, err := s.int()
			return err
		}
		return ErrFormat
	})
	return name, err
}

// fieldTypes reads the fields of a struct type.
func (s *scanner) fieldTypes() ([]field, error) {
	n, err := s.count()
	if err != nil {
		return nil, err
	}
	all := make([]field, 0, min(n, 16))
	for range n {
		if s.values++; s.values > MaxValues {
			return nil, ErrFormat
		}
		var f field
		err := s.deltas(func(n int) (err error) {
			switch n {
			case 0:
				var b []byte
				b, err = s.bytes()
				f.name = string(b)
			case 1:
				f.id, err = s.int()
			default:
				err = ErrFormat
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// uint reads a number: below 128 a byte, else how many bytes, negated, and those.
func (s *scanner) uint() (uint64, error) {
	if len(s.data) == 0 {
		return 0, ErrFormat
	}
	first := s.data[0]
	s.data = s.data[1:]
	if first < 0x80 {
		return uint64(first), nil
	}
	n := 0x100 - int(first)
	if n > 8 || n > len(s.data) {
		return 0, ErrFormat
	}
	var whole [8]byte
	copy(whole[8-n:], s.data[:n])
	s.data = s.data[n:]
	return binary.BigEndian.Uint64(whole[:]), nil
}

// int reads a number with a sign, which is its last bit.
func (s *scanner) int() (int64, error) {
	n, err := s.uint()
	if n&1 != 0 {
		return ^int64(n >> 1), err //nolint:gosec // 63 bits
	}
	return int64(n >> 1), err //nolint:gosec // 63 bits
}

// float reads a number whose bytes are in reverse order.
func (s *scanner) float() (float64, error) {
	n, err := s.uint()
	return math.Float64frombits(bits.ReverseBytes64(n)), err
}

// count reads how many elements follow, each of which takes a byte at least.
func (s *scanner) count() (int, error) {
	n, err := s.uint()
	if err != nil || n > uint64(len(s.data)) {
		return 0, ErrFormat
	}
	return int(n), nil //nolint:gosec // at most the length of data
}

// bytes reads a length and as many bytes.
func (s *scanner) bytes() ([]byte, error) {
	n, err := s.count()
	if err != nil {
		return nil, err
	}
	b := s.data[:n]
	s.data = s.data[n:]
	return b, nil
}

// isGos reports whether a type has a name of Go's own, or of package time.
func isGos(name string) bool {
	switch name {
	case "time.Time", "interface {}":
		return true
	}
	for _, c := range []byte(name) {
		if c == '.' || c == '/' || c == '*' {
			return false
		}
	}
	return true
}

// sized returns n as the type that has that name, int64 for others.
func sized(n int64, name string) any {
	switch name { // a value that does not fit is none of that type, and stays what it is
	case "int":
		if int64(int(n)) == n {
			return int(n)
		}
	case "int8":
		if int64(int8(n)) == n { //nolint:gosec // this is the check
			return int8(n) //nolint:gosec // see above
		}
	case "int16":
		if int64(int16(n)) == n { //nolint:gosec // this is the check
			return int16(n) //nolint:gosec // see above
		}
	case "int32":
		if int64(int32(n)) == n { //nolint:gosec // this is the check
			return int32(n) //nolint:gosec // see above
		}
	}
	return n
}

// unsigned is sized for numbers without a sign.
func unsigned(n uint64, name string) any {
	switch name {
	case "uint":
		if uint64(uint(n)) == n {
			return uint(n)
		}
	case "uint8":
		if uint64(uint8(n)) == n { //nolint:gosec // this is the check
			return uint8(n) //nolint:gosec // see above
		}
	case "uint16":
		if uint64(uint16(n)) == n { //nolint:gosec // this is the check
			return uint16(n) //nolint:gosec // see above
		}
	case "uint32":
		if uint64(uint32(n)) == n { //nolint:gosec // this is the check
			return uint32(n) //nolint:gosec // see above
		}
	case "uintptr":
		if uint64(uintptr(n)) == n {
			return uintptr(n)
		}
	}
	return n
}
