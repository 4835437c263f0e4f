package jsontext

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
)

// Messages of encoding/json can contain pieces of the value, such as the keys of a map,
// and so can those of a type's own methods. Errors and logs of sessions must not, so
// they are told anew: by types, which are part of the program and no secret. Which error
// there is differs from one version of Go to the next; the type that was set or asked
// for is always named.

// EncodingError returns an error that says why v cannot be encoded, as err of
// encoding/json does, without what err may quote.
func EncodingError(v any, err error) error {
	var (
		kind   *json.UnsupportedTypeError
		value  *json.UnsupportedValueError
		reason = fmt.Sprintf("%T", err) // helps to find it where it is one of MarshalJSON
	)
	switch {
	case errors.Is(err, errTooDeep):
		reason = errTooDeep.Error()
	case errors.As(err, &kind) && kind.Type != nil && kind.Type != reflect.TypeOf(v):
		reason = fmt.Sprintf("%v in it", kind.Type)
	case errors.As(err, &kind):
		reason = ""
	case errors.As(err, &value):
		reason = ""
		if value.Value.IsValid() && value.Value.CanFloat() && (math.IsNaN(value.Value.Float()) || math.IsInf(value.Value.Float(), 0)) {
			reason = "NaN or an infinity"
		} else if strings.HasPrefix(value.Str, "encountered a cycle") {
			reason = "a cycle"
		}
	}
	if reason != "" {
		reason = " (" + reason + ")"
	}
	return fmt.Errorf("value of type %T cannot be encoded as JSON%s", v, reason)
}

// DecodingError returns an error that says why a value cannot be decoded as a T, as err
// of encoding/json does, without what err may quote.
func DecodingError[T any](err error) error {
	var mismatch *json.UnmarshalTypeError
	if errors.As(err, &mismatch) {
		return fmt.Errorf("value is not a %v", reflect.TypeFor[T]())
	}
	// A syntax error quotes a character, and an error of UnmarshalJSON may say anything.
	return fmt.Errorf("value cannot be decoded as a %v (%T)", reflect.TypeFor[T](), err)
}
