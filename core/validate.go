package core

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/internal/roster"
	"github.com/cloakroom-go/cloakroom/core/internal/seal"
	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// validate tells what is wrong with c, before the defaults are filled in.
func (c Config) validate() error {
	if c.Sealed == nil && isNil(c.Store) {
		return &ConfigError{"Store", "is nil: set a store, such as memorystore.New(memorystore.Options{}), or Sealed"}
	}
	if err := validateSecrets(c.Secrets); err != nil {
		return err
	}
	for _, check := range []func() error{c.validateSealed, c.validateTimes, c.validateLimits, c.validateNames, c.validateSharing, c.validatePredecessor} {
		if err := check(); err != nil {
			return err
		}
	}
	c = c.withDefaults()
	if !ticket.ValidName(c.Cookie.Name) {
		return &ConfigError{"Cookie.Name", fmt.Sprintf("%q is no token (RFC 6265): use letters, digits, - and _", c.Cookie.Name)}
	}
	if err := c.validateCookie(c.Cookie); err != nil {
		return err
	}
	if err := c.Header.validate(); err != nil {
		return err
	}
	return c.validateBind()
}

// validateCookie tells what is wrong with the attributes of a cookie. c and they have
// their defaults already.
func (c *Config) validateCookie(attributes Cookie) error {
	err := attributes.validate(c.Cookie.Name)
	if err == nil && c.Bind != nil {
		err = attributes.validateBindable(c.Cookie.Name)
	}
	return err
}

// A rule is one that a setting has to keep. Of several that are broken the first is told,
// so those that others rest upon come first.
type rule struct {
	broken bool
	field  string // of Config
	reason string // what was found, and what to set
}

// firstBroken returns the error for the first rule that is broken, or nil.
func firstBroken(rules []rule) error {
	for _, r := range rules {
		if r.broken {
			return &ConfigError{r.field, r.reason}
		}
	}
	return nil
}

// validateTimes tells which time cannot be.
func (c Config) validateTimes() error {
	for _, d := range []struct {
		field        string
		value, least time.Duration
	}{
		{"IdleTimeout", c.IdleTimeout, time.Second},
		{"AbsoluteTimeout", c.AbsoluteTimeout, time.Second},
		{"StoreTimeout", c.StoreTimeout, time.Millisecond},
		{"TouchInterval", max(c.TouchInterval, 0), time.Millisecond},
		{"PollInterval", c.PollInterval, 10 * time.Millisecond},
	} {
		if d.value < 0 {
			return &ConfigError{d.field, fmt.Sprintf("is negative (%v): leave it 0 for the default", d.value)}
		}
		if reason := tooShort(d.value, d.least); reason != "" {
			return &ConfigError{d.field, reason}
		}
	}
	level, idle := c.level(), c.withDefaults().IdleTimeout
	return firstBroken([]rule{
		{c.TouchInterval < 0 && c.TouchInterval != EveryRequest, "TouchInterval", fmt.Sprintf("is negative (%v): leave it 0 for the default, or use EveryRequest", c.TouchInterval)},
		{c.AAL < 0 || c.AAL >= len(aals), "AAL", fmt.Sprintf("is %d: use 1, 2 or 3, or leave it 0", c.AAL)},
		{c.AAL > 0 && c.AbsoluteTimeout > level.absolute, "AbsoluteTimeout", fmt.Sprintf("(%v) is longer than AAL %d allows (%v): lower it, or leave it 0 for that", c.AbsoluteTimeout, c.AAL, level.absolute)},
		{c.AAL > 0 && c.IdleTimeout > level.idle, "IdleTimeout", fmt.Sprintf("(%v) is longer than AAL %d allows (%v): lower it, or leave it 0 for the default", c.IdleTimeout, c.AAL, level.idle)},
		{c.AbsoluteTimeout > 0 && c.IdleTimeout > c.AbsoluteTimeout, "AbsoluteTimeout", fmt.Sprintf("(%v) is shorter than IdleTimeout (%v): lower one or raise the other", c.AbsoluteTimeout, c.IdleTimeout)},
		{c.TouchInterval >= idle, "TouchInterval", fmt.Sprintf("(%v) is not shorter than the idle timeout (%v), so that active sessions would end: lower it", c.TouchInterval, idle)},
	})
}

// tooShort tells what is wrong with a time that is less than the least, which is most
// likely a number of seconds, or of milliseconds, that became one of nanoseconds. It
// returns an empty string for one that is not, and for 0, which is the default.
func tooShort(d, least time.Duration) string {
	switch {
	case d <= 0 || d >= least:
		return ""
	case d%time.Millisecond == 0: // nobody counts in seconds and comes by such a number
		return fmt.Sprintf("is too short: it is %v, and at least %v is needed", d, least)
	case d < time.Millisecond:
		return fmt.Sprintf("is too short: %d is %v: write %d * time.Second", int64(d), d, int64(d))
	default: // more than 11 days in seconds, or than a quarter of an hour in milliseconds
		return fmt.Sprintf("is too short: %d is %v: write %d * time.Second, or %d * time.Millisecond", int64(d), d, int64(d), int64(d))
	}
}

// validateLimits tells which limit cannot be.
func (c Config) validateLimits() error {
	_, keepsLists := c.Store.(store.UserIndexer)
	return firstBroken([]rule{
		{c.MaxBytes < 0, "MaxBytes", fmt.Sprintf("is negative (%d): leave it 0 for the default", c.MaxBytes)},
		{c.MaxBytes > jsontext.MaxText, "MaxBytes", "is more than 2 GiB"},
		{c.MaxKeys < 0, "MaxKeys", fmt.Sprintf("is negative (%d): leave it 0 for the default", c.MaxKeys)},
		{c.MaxSessionsPerUser < 0 || c.MaxSessionsPerUser > roster.Most, "MaxSessionsPerUser", fmt.Sprintf("is %d: leave it 0 for no limit, or set one of up to %d", c.MaxSessionsPerUser, roster.Most)},
		{c.MaxSessionsPerUser > 0 && !keepsLists, "MaxSessionsPerUser", "is set, but the store does not keep lists of users' sessions: use one that is a UserIndexer"},
		{c.AtUserLimit < DropLeastRecentlyUsed || c.AtUserLimit > RefuseNew, "AtUserLimit", fmt.Sprintf("is %d: use DropLeastRecentlyUsed, DropOldest or RefuseNew", c.AtUserLimit)},
	})
}

// validateNames tells which key, path, network or secret cannot be used.
func (c Config) validateNames() error {
	if c.UserKey != "" {
		path := strings.Split(c.UserKey, ".")
		if slices.Contains(path, "") || record.IsReserved(path[0]) || path[0] == "__proto__" || !utf8.ValidString(c.UserKey) {
			return &ConfigError{"UserKey", fmt.Sprintf("%q is no key of a session: use one such as \"userId\" or \"passport.user\"", c.UserKey)}
		}
	}
	if p := c.StrippedPrefix; p != "" && (p[0] != '/' || p[len(p)-1] == '/') {
		return &ConfigError{"StrippedPrefix", fmt.Sprintf("%q must begin with a slash and end with none, such as \"/app\"", p)}
	}
	for i, p := range c.TrustedProxies {
		if !p.IsValid() {
			return &ConfigError{"TrustedProxies", fmt.Sprintf("[%d] is no network, so it trusts nobody: use one such as netip.MustParsePrefix(\"10.0.0.0/8\")", i)}
		}
		if p.Addr().Is4In6() && p.Bits() < mappedBits {
			return &ConfigError{"TrustedProxies", fmt.Sprintf("[%d] is %v, which is more than all of IPv4: use a network of IPv4, such as 10.0.0.0/8", i, p)}
		}
	}
	return c.validateKeys()
}

// validateKeys tells which key of the data cannot be used.
func (c Config) validateKeys() error {
	for _, keys := range []struct {
		field string
		keys  []string
	}{{"SealKeys", c.SealKeys}, {"RetiredSealKeys", c.RetiredSealKeys}} {
		for i, key := range keys.keys {
			if len(key) < seal.MinSecret {
				return &ConfigError{keys.field, fmt.Sprintf("[%d] has %d bytes: use at least %d", i, len(key), seal.MinSecret)}
			}
		}
	}
	for i, key := range c.RetiredSealKeys {
		if slices.Contains(c.SealKeys, key) {
			return &ConfigError{"RetiredSealKeys", fmt.Sprintf("[%d] is one of SealKeys as well: drop one of the two", i)}
		}
	}
	return nil
}

// validateSharing tells what Express could not read.
func (c Config) validateSharing() error {
	if !c.ShareWithExpress {
		return nil
	}
	return firstBroken([]rule{
		{c.HashIDs, "HashIDs", "is set together with ShareWithExpress, but express-session looks for a session under its id, not under a hash of it: drop one of the two"},
		{len(c.SealKeys) > 0, "SealKeys", "is set together with ShareWithExpress, but express-session cannot read what is sealed: drop one of the two"},
	})
}

// validatePredecessor tells what of the predecessor's settings cannot be.
func (c Config) validatePredecessor() error {
	p := c.Predecessor
	switch {
	case isNil(p.Source) && (p.Source != nil || p.Linked || !p.Until.IsZero()):
		return &ConfigError{"Predecessor.Source", "is nil, but the rest of Predecessor is set: set a source, such as takeover.Gorilla"}
	case isNil(p.Source):
		return nil
	case p.Until.IsZero():
		return &ConfigError{"Predecessor.Until", "is not set: set the date after which no session is taken over any more"}
	case p.Linked && slices.Contains(p.Source.CookieNames(), c.withDefaults().Cookie.Name):
		return &ConfigError{"Predecessor.Linked", "is set, but the cookies of both have the same name, and would take each other's place while both run: set another Cookie.Name"}
	}
	return nil
}

// validateSecrets is for Config.Secrets and Manager.SetSecrets.
func validateSecrets(secrets []string) error {
	if len(secrets) == 0 {
		return &ConfigError{"Secrets", "is empty: set at least one secret of 32 random bytes or more"}
	}
	for i, s := range secrets {
		if strings.TrimSpace(s) == "" {
			return &ConfigError{"Secrets", fmt.Sprintf("[%d] is empty or blank: is the environment variable set?", i)}
		}
	}
	return nil
}

// isNil also finds a nil pointer in an interface.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	rv := reflect.ValueOf(v)
	return rv.Kind() == reflect.Pointer && rv.IsNil()
}
