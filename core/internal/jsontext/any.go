package jsontext

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// DecodeAny decodes a value as encoding/json does into an any, but for its numbers: a
// whole one is an int where it fits and a [json.Number] where it does not, so that none
// is rounded, and any other is a float64.
func DecodeAny(raw []byte) (any, error) {
	if len(raw) > 0 && raw[0] != '{' && raw[0] != '[' && raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') { // it holds no number
		var v any
		err := json.Unmarshal(raw, &v)
		return v, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return exact(v), nil
}

// exact puts numbers in the place of how they are written.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		return exactNumber(v)
	case map[string]any:
		for key, member := range v {
			v[key] = exact(member)
		}
	case []any:
		for i, element := range v {
			v[i] = exact(element)
		}
	}
	return v
}

// exactNumber returns what a number is, given how it is written.
func exactNumber(n json.Number) any {
	text := n.String()
	if strings.ContainsAny(text, ".eE") || text == "-0" {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil { // beyond what a float64 can be
			return n
		}
		return f
	}
	i, err := strconv.Atoi(text)
	if err != nil {
		return n
	}
	return i
}
