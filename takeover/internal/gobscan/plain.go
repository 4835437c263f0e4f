package gobscan

import (
	"fmt"
	"math"
	"strconv"
)

// Plain returns what [Scan] has read as encoding/json can write it: maps with names
// for keys, and complex numbers as text. It reports false where JSON has no way to say
// it: a number that is none, or a map by anything but texts and whole numbers.
func Plain(v any) (any, bool) {
	switch v := v.(type) {
	case Named:
		return Plain(v.Value)
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case float32:
		return v, !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0)
	case complex128, complex64:
		return fmt.Sprint(v), true
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			plain, ok := Plain(e)
			if !ok {
				return nil, false
			}
			all[i] = plain
		}
		return all, true
	case map[string]any:
		all := make(map[string]any, len(v))
		for name, e := range v {
			plain, ok := Plain(e)
			if !ok {
				return nil, false
			}
			all[name] = plain
		}
		return all, true
	case Map:
		all := make(map[string]any, len(v))
		for _, e := range v {
			name, ok := nameOf(e.Key)
			plain, fits := Plain(e.Value)
			if !ok || !fits {
				return nil, false
			}
			all[name] = plain
		}
		return all, true
	}
	return v, true
}

// nameOf returns the key of a map as encoding/json writes it.
func nameOf(key any) (string, bool) {
	switch key := key.(type) {
	case string:
		return key, true
	case int64:
		return strconv.FormatInt(key, 10), true
	case int:
		return strconv.Itoa(key), true
	case uint64:
		return strconv.FormatUint(key, 10), true
	}
	return "", false
}
