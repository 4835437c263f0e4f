package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"strings"
	"time"
)

// String lists the settings, one a line, as an auditor wants to read them.
func (s Settings) String() string {
	var b strings.Builder
	for name, value := range fields(s) {
		text := fmt.Sprint(value)
		switch value := value.(type) {
		case Cookie:
			text = value.describe()
		case time.Duration:
			if value == 0 {
				text = "none"
			}
		}
		switch {
		case name == "AAL" && s.AAL == 0, name == "UserKey" && s.UserKey == "":
			text = "none"
		case name == "MaxSessionsPerUser" && s.MaxSessionsPerUser == 0:
			text = fmt.Sprintf("none but %d", maxListed)
		case name == "TouchInterval" && s.TouchInterval == 0:
			text = "every request"
		case name == "IdleTimeout" && s.TouchInterval > 0:
			text += fmt.Sprintf(" (ends up to %v early, never late)", s.TouchInterval)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, text)
	}
	return b.String()
}

// MarshalJSON names the settings as String does.
func (s Settings) MarshalJSON() ([]byte, error) { return marshalFields(s) }

// describe returns c as a Set-Cookie header would have it, as far as that does
// not depend on the request.
func (c Cookie) describe() string {
	var maxAge, secure string
	if c.MaxAge > 0 {
		maxAge = "; Max-Age=" + c.MaxAge.String()
	}
	switch c.Secure {
	case SecureAuto:
		secure = "; Secure where the request is"
	case SecureAlways:
		secure = "; Secure"
	}
	a := attributes{Cookie: c, sameSite: c.SameSite}
	text := strings.TrimPrefix(a.setCookie("", "", 0, time.Time{}), "=; ") + maxAge + secure
	if c.SameSite == SameSiteAuto {
		text += "; SameSite=None where the request is secure, else Lax"
	}
	return text
}

// fields yields the names and values of the fields of a struct, in order.
func fields(v any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		rv := reflect.ValueOf(v)
		for i := range rv.NumField() {
			if !yield(rv.Type().Field(i).Name, rv.Field(i).Interface()) {
				return
			}
		}
	}
}

// marshalFields encodes a struct as encoding/json does, but for numbers that
// stand for something.
func marshalFields(v any) ([]byte, error) {
	var b bytes.Buffer
	separator := byte('{')
	for name, value := range fields(v) {
		var (
			raw []byte
			err error
		)
		switch value := value.(type) {
		case Cookie:
			raw, err = marshalFields(value)
		case time.Duration:
			raw, err = json.Marshal(value.String())
		case http.SameSite:
			raw, err = json.Marshal(sameSitePolicy(value))
		case fmt.Stringer:
			raw, err = json.Marshal(value.String())
		default:
			raw, err = json.Marshal(value)
		}
		if err != nil {
			return nil, err
		}
		b.WriteByte(separator)
		fmt.Fprintf(&b, "%q:%s", name, raw)
		separator = ','
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func sameSitePolicy(s http.SameSite) string {
	switch s {
	case SameSiteAuto:
		return "auto"
	case http.SameSiteDefaultMode:
		return "left out"
	}
	return sameSiteName(s)
}
