package takeover

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // it is what Keygrip signs with
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
)

// CookieSession is the sessions of npm's cookie-session, version 2, which are signed by
// Keygrip: the data is in one cookie, and its signature in another, with ".sig" behind
// the name. Nothing in them says when they were made, so that none is too old; the
// date on which taking over ends is the only limit.
type CookieSession struct {
	// Name is the name of the cookie. The default is "session", as there.
	Name string

	// Keys are the option keys, or the option secret alone. Sessions that are not
	// signed are not taken over.
	Keys []string

	// Path and Domain are those of the cookies, by which a browser deletes them. The
	// default of Path is "/".
	Path, Domain string

	// User is as in [Gorilla]. A number is a [json.Number].
	User func(values map[string]any) string
}

var _ predecessor.Warner = CookieSession{}

// CookieNames implements [predecessor.Source].
func (c CookieSession) CookieNames() []string { return []string{c.name(), c.name() + ".sig"} }

// Warnings implements [predecessor.Warner].
func (c CookieSession) Warnings() []string {
	if len(c.Keys) == 0 {
		return []string{"Keys is empty, so that no session is taken over: set the keys, or the secret, that cookie-session was given"}
	}
	for _, key := range c.Keys {
		if len(key) < shortKey {
			return []string{shortKeyWarning}
		}
	}
	return nil
}

// Find implements [predecessor.Source].
func (c CookieSession) Find(_ context.Context, r *http.Request) (predecessor.Session, error) {
	name := c.name()
	signatures := r.CookiesNamed(name + ".sig")
	return first(r, name, func(text string) (predecessor.Session, error) {
		mac := c.verify(name+"="+text, signatures)
		if mac == nil {
			return predecessor.Session{}, predecessor.ErrNone
		}
		data, err := decodeBase64(text)
		if err != nil {
			return predecessor.Session{}, predecessor.ErrUnreadable
		}
		v, ok := fromJSON(data)
		if !ok {
			return predecessor.Session{}, predecessor.ErrUnreadable
		}
		f := found{predecessor.Session{Key: mac, Version: mac}, v}
		return f.finish(c.User, clock(nil))
	})
}

// Forget implements [predecessor.Source]. The browser is told to delete both cookies.
func (c CookieSession) Forget(_ context.Context, r *http.Request) ([]*http.Cookie, error) {
	return deletion(r, c.Path, c.Domain, c.name(), c.name()+".sig"), nil
}

func (c CookieSession) name() string { return cmp.Or(c.Name, "session") }

// verify returns the signature of a cookie among those that came, or nil.
func (c CookieSession) verify(signed string, signatures []*http.Cookie) []byte {
	for _, key := range c.Keys {
		if key == "" {
			continue
		}
		h := hmac.New(sha1.New, []byte(key))
		h.Write([]byte(signed))
		mac := h.Sum(nil)
		want := base64.RawURLEncoding.EncodeToString(mac)
		for i, sig := range signatures {
			if i == maxCookies {
				break
			}
			if hmac.Equal([]byte(sig.Value), []byte(want)) {
				return mac
			}
		}
	}
	return nil
}

// decodeBase64 decodes text as Node.js does: in either alphabet, with or without
// padding.
func decodeBase64(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "=")))
}
