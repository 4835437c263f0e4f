package jsontext_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// The law: a member that is read the short way is read as encoding/json does.
func FuzzDecodeValue(f *testing.F) {
	for _, seed := range []string{`1`, `-1`, `0`, `-0`, `01`, `1.0`, `1e3`, `9223372036854775807`, `9223372036854775808`, `"x"`, `"\u0041"`, `"ü"`, `null`, ` 1`, `-`, `""`, `"`, `true`, `[]`, `["a"]`, `["a","b"]`, `["a",]`, `["a" ]`, `[1]`, `["\\""]`, `["a""b"]`, `[,]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var wantN int
		n, err := unmarshal[int](raw)
		wantErr := json.Unmarshal(raw, &wantN)
		if (err == nil) != (wantErr == nil) || n != wantN {
			t.Errorf("%q as int: %d, %v; want %d, %v", raw, n, err, wantN, wantErr)
		}
		var wantS string
		s, err := unmarshal[string](raw)
		wantErr = json.Unmarshal(raw, &wantS)
		if (err == nil) != (wantErr == nil) || s != wantS {
			t.Errorf("%q as string: %q, %v; want %q, %v", raw, s, err, wantS, wantErr)
		}
		var wantB bool
		b, err := unmarshal[bool](raw)
		if want := json.Unmarshal(raw, &wantB); (err == nil) != (want == nil) || b != wantB {
			t.Errorf("%q as bool: %v, %v; want %v, %v", raw, b, err, wantB, want)
		}
		var wantA []string
		a, err := unmarshal[[]string](raw)
		if want := json.Unmarshal(raw, &wantA); (err == nil) != (want == nil) || want == nil && !reflect.DeepEqual(a, wantA) {
			t.Errorf("%q as strings: %v, %v; want %v, %v", raw, a, err, wantA, want)
		}
		if wantErr == nil {
			encoded, err := jsontext.Encode(wantS)
			var back string
			if err != nil || json.Unmarshal(encoded, &back) != nil || back != wantS {
				t.Errorf("%q is encoded as %q, %v", wantS, encoded, err)
			}
		}
	})
}

// Node.js 20 has written the same.
func TestEncodeWritesWhatJSONStringifyDoes(t *testing.T) {
	for _, tt := range []struct {
		v    any
		want string
	}{
		{"x\u2028y\u2029z", "\"x\u2028y\u2029z\""},
		{"a\uFFFDb", "\"a\uFFFDb\""},
		{"a\xffb", "\"a\uFFFDb\""}, // no UTF-8
		{"<a href=\"x\">&amp;</a>", `"<a href=\"x\">&amp;</a>"`},
		{`a\u2028`, `"a\\u2028"`}, // a backslash and a word
		{`\` + "\u2028", `"\\` + "\u2028\""},
		{"\b\f\n\r\t\x00\x1f\x7f", `"\b\f\n\r\t\u0000\u001f` + "\x7f\""},
		{map[string]string{"k\u2028": "v\xff\\"}, "{\"k\u2028\":\"v\uFFFD\\\\\"}"},
		{json.RawMessage(`{"a": "\u2028\ud800"}`), "{\"a\":\"\u2028\\ud800\"}"},
		{"ü 😀", `"ü 😀"`},
	} {
		if got, err := jsontext.Encode(tt.v); err != nil || string(got) != tt.want {
			t.Errorf("%q is encoded as %q, %v; want %q", tt.v, got, err, tt.want)
		}
	}
}

func TestWhatIsTooDeepToBeReadIsNotWritten(t *testing.T) {
	nested := func(n int) (v any) {
		for range n {
			v = []any{v, "]]]"}
		}
		return v
	}
	raw, err := jsontext.Encode(nested(10_000))
	var back any
	if err != nil || json.Unmarshal(raw, &back) != nil {
		t.Errorf("as deep as can be read: %v", err)
	}
	if _, err := jsontext.Encode(nested(10_001)); err == nil {
		t.Error("what nobody can read is written")
	}
}

type self struct{ Self *self }

type stubborn struct{}

func (stubborn) MarshalJSON() ([]byte, error) { return nil, errors.New("ada@example.com") }

// Which errors encoding/json has, and what they quote, differs from one version of Go to
// the next. The type is always named, and nothing of the value is.
func TestErrorsNameTheTypeAndNothingOfTheValue(t *testing.T) {
	const data = "ada@example.com"
	cycle := new(self)
	cycle.Self = cycle
	for _, tt := range []struct {
		v          any
		kind, also string
	}{
		{map[bool]int{true: 1}, "map[bool]int", ""},
		{map[string]any{data: make(chan int)}, "map[string]interface {}", ""},
		{map[string]any{data: map[bool]string{true: data}}, "map[string]interface {}", ""},
		{map[string]float64{data: math.NaN()}, "map[string]float64", "NaN or an infinity"},
		{math.Inf(1), "float64", "NaN or an infinity"},
		{map[string]any{data: func() {}}, "map[string]interface {}", ""},
		{map[string]any{data: json.Number(data)}, "map[string]interface {}", ""},
		{json.Number(data), "json.Number", ""},
		{map[string]stubborn{data: {}}, "map[string]jsontext_test.stubborn", ""},
		{cycle, "*jsontext_test.self", ""},
		{json.RawMessage(`{"` + data), fmt.Sprintf("%T", json.RawMessage(nil)), ""},
	} {
		_, err := jsontext.Encode(tt.v)
		if err == nil {
			t.Errorf("%s can be encoded", tt.kind)
			continue
		}
		said := jsontext.EncodingError(tt.v, err).Error()
		if !strings.HasPrefix(said, "value of type "+tt.kind+" cannot be encoded as JSON") || !strings.Contains(said, tt.also) || strings.Contains(said, "example.com") {
			t.Errorf("%s: %s", tt.kind, said)
		}
		if isFloat := strings.Contains(tt.kind, "float64"); strings.Contains(said, "NaN") != isFloat {
			t.Errorf("%s: %s", tt.kind, said)
		}
	}
	for _, raw := range []string{`"` + data + `"`, `{"` + data + `":"x"}`, `{"` + data + `":{"y":1}}`, `[` + data} {
		_, err := unmarshal[map[string]int]([]byte(raw))
		if err == nil {
			t.Errorf("%s can be decoded", raw)
			continue
		}
		if said := jsontext.DecodingError[map[string]int](err).Error(); !strings.Contains(said, "map[string]int") || strings.Contains(said, "example.com") {
			t.Errorf("%s: %s", raw, said)
		}
	}
}

// unmarshal decodes raw as core does: the short way where there is one.
func unmarshal[T any](raw []byte) (v T, err error) {
	if !jsontext.DecodePlain(raw, &v) {
		err = json.Unmarshal(raw, &v)
	}
	return v, err
}

// Who ports v.(int) meets an int, and no number is rounded.
func TestNumbersOfAnyAreExact(t *testing.T) {
	for raw, want := range map[string]any{
		`1`: 1, `-7`: -7, `0`: 0, `-0`: math.Copysign(0, -1), `1.0`: 1.0, `1e3`: 1000.0, `0.1`: 0.1,
		`9007199254740993`: 9007199254740993, `9223372036854775807`: 9223372036854775807,
		`9223372036854775808`: json.Number("9223372036854775808"), `1E400`: json.Number("1E400"),
		`"1"`: "1", `true`: true, `null`: nil,
		`[1,{"a":2,"b":[3.5]}]`: []any{1, map[string]any{"a": 2, "b": []any{3.5}}},
	} {
		if got, err := jsontext.DecodeAny([]byte(raw)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v (%T), %v; want %v (%T)", raw, got, got, err, want, want)
		}
	}
	for _, raw := range []string{``, `{`, `[1,]`, `tru`, `"`} {
		if got, err := jsontext.DecodeAny([]byte(raw)); err == nil {
			t.Errorf("%q is %v, want an error", raw, got)
		}
	}
}
