package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// A OneTime keeps values each of which may be used once, by its name and within a time:
// what began a login at another site, by its state; what a link in a mail stands for. It
// works where a browser has begun several of them, in as many tabs. Declare it once:
//
//	var logins = core.OneTime[string]{Key: "logins"}
//
// The values are one key of the session, a JSON array with the oldest first:
//
//	"logins":[{"name":"9f8a","until":1763715600000,"value":"/orders"}]
//
// Those that nobody comes back for go by themselves: when their time is over, and the
// oldest first where there would be more than Most.
type OneTime[T any] struct {
	// Key is the key of the session that has the values. It has no other use.
	Key string

	// Life is how long a value may be taken, by the clock of the server. The default is
	// 10 minutes; less than a second is refused with [ErrMaxAgeTooShort].
	Life time.Duration

	// Most is how many values a session keeps. The default is 10.
	Most int
}

const (
	defaultOneTimeLife = 10 * time.Minute
	defaultOneTimeMost = 10
	maxOneTimeName     = 255 // bytes
)

// A oneTimeValue is one value as it is stored.
type oneTimeValue struct {
	Name  string          `json:"name"`
	Until int64           `json:"until"` // Unix ms
	Value json.RawMessage `json:"value"`
}

// Add adds a value at the commit, and takes out what has the same name. No value that
// another request adds is lost. name is what the value is asked for by: 1 to 255 bytes of
// UTF-8, which nobody can guess where that matters.
//
// The commit fails with a [*KeyError] where the value cannot be encoded, or where the name
// or Life is not as it has to be.
func (o OneTime[T]) Add(s *Session, name string, v T) {
	life, most := cmp.Or(o.Life, defaultOneTimeLife), cmp.Or(max(o.Most, 0), defaultOneTimeMost)
	raw, err := jsontext.Encode(v)
	switch {
	case err != nil:
		err = jsontext.EncodingError(v, err)
	case life < time.Second:
		err = ErrMaxAgeTooShort
	case name == "" || len(name) > maxOneTimeName || !utf8.ValidString(name):
		err = errOneTimeName
	}
	if err != nil {
		s.failKey(o.Key, "set", err)
		return
	}
	now := s.x.m.cfg.Now()
	added := oneTimeValue{name, now.Add(life).UnixMilli(), raw}
	Key[[]oneTimeValue](o.Key).Update(s, func(all []oneTimeValue) []oneTimeValue {
		all = slices.DeleteFunc(all, func(v oneTimeValue) bool { return v.Name == name || v.isOver(now) })
		all = append(all, added)
		return all[max(0, len(all)-most):]
	})
}

// errOneTimeName says that a name cannot be one.
var errOneTimeName = errors.New("name of a one-time value is empty, longer than 255 bytes or not UTF-8")

// isOver reports whether the time of a value has passed.
func (v oneTimeValue) isOver(now time.Time) bool { return now.UnixMilli() >= v.Until }

// Take removes the value of that name in the store, at once, and returns it. Of all
// requests in the world exactly one gets it. Other values, and other changes of the
// request, are left alone by it.
//
// The error is [ErrAbsent] where there is no such value: it was never added, was taken, its
// time is over, or too many came after it. It is a [*KeyError] where the value cannot be
// decoded as a T, and [ErrSessionGone] when the session has ended.
func (o OneTime[T]) Take(ctx context.Context, s *Session, name string) (T, error) {
	raw, err := s.take(ctx, o.Key, func(stored json.RawMessage) (taken, left json.RawMessage) {
		return cutOneTime(stored, name, s.x.m.cfg.Now())
	})
	if err != nil {
		var zero T
		return zero, err
	}
	return decodeKey[T](o.Key, "get", raw)
}

// cutOneTime takes the value of that name out of what is stored, unless its time is over.
func cutOneTime(stored json.RawMessage, name string, now time.Time) (taken, left json.RawMessage) {
	var all []oneTimeValue
	if stored == nil || json.Unmarshal(stored, &all) != nil { // somebody else's
		return nil, stored
	}
	i := slices.IndexFunc(all, func(v oneTimeValue) bool { return v.Name == name })
	if i < 0 || all[i].isOver(now) {
		return nil, stored
	}
	taken = all[i].Value
	if all = slices.Delete(all, i, i+1); len(all) == 0 {
		return taken, nil
	}
	left, err := jsontext.Encode(all)
	if err != nil { // it was JSON when it was read
		return nil, stored
	}
	return taken, left
}
