package sessiontest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Cookies as a browser keeps them (RFC 6265bis), as far as sessions need: net/http's jar
// knows no SameSite.

// A keptCookie is one that the browser has.
type keptCookie struct {
	http.Cookie
	host    string // that it belongs to
	expires time.Time
}

// now returns what time it is.
func (b *Browser) now() time.Time {
	if b.Now != nil {
		return b.Now()
	}
	return time.Now()
}

// keep takes in the cookies of an answer.
func (b *Browser) keep(from *url.URL, h http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range h["Set-Cookie"] {
		c, err := http.ParseSetCookie(line)
		if err != nil || !mayKeep(c, from) {
			continue
		}
		k := &keptCookie{Cookie: *c, host: strings.TrimPrefix(c.Domain, ".")}
		if k.host == "" {
			k.host = from.Hostname()
		}
		if k.Path == "" {
			k.Path = "/" //nolint:gosec // it is kept as it came
		}
		now := b.now()
		switch {
		case c.MaxAge < 0:
			k.expires = now
		case c.MaxAge > 0:
			k.expires = now.Add(time.Duration(c.MaxAge) * time.Second)
		default:
			k.expires = c.Expires
		}
		b.cookies = slices.DeleteFunc(b.cookies, func(old *keptCookie) bool {
			return old.Name == k.Name && old.host == k.host && old.Path == k.Path && (old.Domain == "") == (k.Domain == "")
		})
		if k.expires.IsZero() || k.expires.After(now) {
			b.cookies = append(b.cookies, k)
		}
	}
}

// mayKeep reports whether a browser takes a cookie from a URL.
func mayKeep(c *http.Cookie, from *url.URL) bool {
	secure := from.Scheme == "https"
	switch {
	case c.Secure && !secure, c.SameSite == http.SameSiteNoneMode && !c.Secure:
		return false
	case c.Domain != "" && !within(from.Hostname(), c.Domain):
		return false
	case strings.HasPrefix(c.Name, "__") && !c.Secure:
		return !slices.ContainsFunc([]string{"__Secure-", "__Host-", "__Http-"}, func(p string) bool { return strings.HasPrefix(c.Name, p) })
	case strings.HasPrefix(c.Name, "__Host-"):
		return c.Domain == "" && c.Path == "/"
	case strings.HasPrefix(c.Name, "__Http-"):
		return c.HttpOnly
	}
	return true
}

// within reports whether a host is a domain or below it.
func within(host, domain string) bool {
	domain = strings.TrimPrefix(domain, ".")
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// belongs reports whether a cookie is for a URL.
func (k *keptCookie) belongs(to *url.URL, now time.Time) bool {
	path := to.Path
	if path == "" {
		path = "/"
	}
	return (k.host == to.Hostname() || k.Domain != "" && within(to.Hostname(), k.host)) &&
		(!k.Secure || to.Scheme == "https") && (k.expires.IsZero() || k.expires.After(now)) &&
		(path == k.Path || strings.HasPrefix(path, strings.TrimSuffix(k.Path, "/")+"/"))
}

// cookiesFor returns the Cookie header of a request. To one that another site has caused
// a browser adds no Strict cookie, and Lax ones where it opens a page with a safe method.
func (b *Browser) cookiesFor(req *http.Request, foreign bool) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	opens := req.Header.Get("Sec-Fetch-Mode") == "navigate" && (req.Method == http.MethodGet || req.Method == http.MethodHead)
	now := b.now()
	var pairs []string
	for _, c := range b.cookies {
		withheld := foreign && c.SameSite != http.SameSiteNoneMode && (c.SameSite == http.SameSiteStrictMode || !opens)
		if c.belongs(req.URL, now) && !withheld {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

// Cookies returns the cookies that the browser has for a URL, with their attributes.
func (b *Browser) Cookies(target string) (all []*http.Cookie) {
	u, err := url.Parse(target)
	if err != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.cookies {
		if c.belongs(u, b.now()) {
			copied := c.Cookie
			all = append(all, &copied)
		}
	}
	return all
}

// boundCookie reports whether all cookies of a binding are there that a URL needs, and
// when the first of them ends. A cookie that does not have the attributes that the server
// said it would have is none.
func (b *Browser) boundCookie(bound *binding, target *url.URL) (ends time.Time, there bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	for _, credential := range bound.told.Credentials {
		want, err := http.ParseSetCookie(credential.Name + "=x; " + credential.Attributes)
		if err != nil {
			return now, false
		}
		needs := &keptCookie{Cookie: *want, host: want.Domain}
		if needs.host == "" {
			needs.host = bound.origin.Hostname()
		}
		if !needs.belongs(target, now) {
			continue // a browser would not send it there
		}
		i := slices.IndexFunc(b.cookies, func(c *keptCookie) bool {
			return c.Name == want.Name && c.Path == want.Path && strings.TrimPrefix(c.Domain, ".") == strings.TrimPrefix(want.Domain, ".") &&
				c.SameSite == want.SameSite && c.HttpOnly == want.HttpOnly && c.Secure == want.Secure && c.belongs(target, now)
		})
		if i < 0 {
			return now, false
		}
		if at := b.cookies[i].expires; ends.IsZero() || !at.IsZero() && at.Before(ends) {
			ends = at
		}
	}
	if ends.IsZero() {
		ends = now.Add(24 * time.Hour) // for as long as the browser runs
	}
	return ends, true
}

// drop drops the cookies of a binding. The caller holds the lock.
func (b *Browser) drop(bound *binding) {
	b.cookies = slices.DeleteFunc(b.cookies, func(c *keptCookie) bool {
		return slices.ContainsFunc(bound.told.Credentials, func(told struct{ Type, Name, Attributes string }) bool { return told.Name == c.Name })
	})
}

// clearSite drops what an answer says is to be dropped (Clear-Site-Data).
func (b *Browser) clearSite(h http.Header) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range h["Clear-Site-Data"] {
		for kind := range strings.SplitSeq(line, ",") {
			switch strings.TrimSpace(kind) {
			case `"cookies"`, `"*"`:
				b.cookies, b.bindings = nil, nil
			case `"storage"`:
				b.bindings = nil
			}
		}
	}
}
