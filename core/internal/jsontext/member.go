package jsontext

import "encoding/json"

// NewMember returns the member of the text in data whose name stands, between its quotes,
// at [name:nameEnd] and whose value at [value:valueEnd]. The text is at most MaxText long.
func NewMember(data []byte, name, nameEnd, value, valueEnd int) Member {
	m := Member{Name: int32(name), nameEnd: int32(nameEnd), Value: int32(value), ValueEnd: int32(valueEnd)} //nolint:gosec // The text is at most MaxText long.
	if !IsPlain(data[name:nameEnd]) {
		m.nameEnd = -m.nameEnd
	}
	return m
}

// Moved returns m in a text where it stands that many bytes further behind.
func (m Member) Moved(by int) Member {
	d := int32(by) //nolint:gosec // Texts are at most MaxText long.
	if m.isPlain() {
		m.nameEnd += d
	} else {
		m.nameEnd -= d
	}
	m.Name, m.Value, m.ValueEnd = m.Name+d, m.Value+d, m.ValueEnd+d
	return m
}

// Name returns the name of m, unescaped, where data is the text that m was found
// in. A name that encoding/json refuses is returned as it stands.
func Name(data []byte, m Member) string {
	if m.isPlain() {
		return string(data[m.Name:m.NameEnd()])
	}
	// The quotes stand next to the positions of the name.
	var name string
	if json.Unmarshal(data[m.Name-1:m.NameEnd()+1], &name) != nil {
		return string(data[m.Name:m.NameEnd()])
	}
	return name
}

// mayBe reports whether the name of m is as long as name, or escaped.
func (m Member) mayBe(name string) bool { return int(m.nameEnd-m.Name) == len(name) || !m.isPlain() }

// Is reports whether the name of m, unescaped, is name. It does not allocate for a
// plain name.
func Is(data []byte, m Member, name string) bool {
	return m.mayBe(name) && is(data, m, name) // most names differ in length, which needs no look at the text
}

// is is Is where the name is as long, or escaped.
func is(data []byte, m Member, name string) bool {
	if m.isPlain() {
		return string(data[m.Name:m.nameEnd]) == name
	}
	return Name(data, m) == name
}

// Find returns the value of the member called name, or nil where there is none. Of
// several members of that name the last one wins, as in JSON.parse and
// encoding/json.
func Find(data []byte, members []Member, name string) []byte {
	if i := Last(data, members, name); i >= 0 {
		return data[members[i].Value:members[i].ValueEnd]
	}
	return nil
}

// First returns the value of the first member called name of the object in data, or nil
// where there is none, and looks no further than that. It is for objects of which we
// wrote each member once: [Find] goes by what a decoder would make of any other.
func First(data []byte, name string) []byte {
	if len(data) == 0 || data[0] != '{' {
		return nil
	}
	for i := 1; i < len(data) && data[i] == '"'; i++ { // past the comma
		end, _, ok := skipName(data, i)
		if !ok || end == len(data) || data[end] != ':' {
			return nil
		}
		found := string(data[i+1:end-1]) == name
		start := end + 1
		if i, ok = skipValue(data, start); !ok || i == len(data) {
			return nil
		}
		if found {
			return data[start:i]
		}
		if data[i] != ',' {
			return nil
		}
	}
	return nil
}

// Last returns the index in members of the last member called name, or -1 where
// there is none.
func Last(data []byte, members []Member, name string) int {
	for i := len(members) - 1; i >= 0; i-- {
		if Is(data, members[i], name) {
			return i
		}
	}
	return -1
}

// IsObject reports whether raw is the text of an object, as far as [Scan] looks. The
// members of small ones need no allocation.
func IsObject(raw []byte) bool {
	var buf [12]Member
	_, ok := Scan(raw, buf[:0])
	return ok
}
