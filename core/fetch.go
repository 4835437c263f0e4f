package core

import (
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core/internal/state"
)

// What browsers say of where a request comes from (Fetch Metadata Request Headers,
// W3C), as far as it concerns sessions.

// said returns what Header.Get does, for a name that is written as net/http writes it, which
// is then not looked through letter by letter.
func said(h http.Header, name string) string {
	if lines := h[name]; len(lines) > 0 {
		return lines[0]
	}
	return ""
}

// isFetchedAhead reports whether the browser fetches a page that nobody has opened yet.
func (x *Exchange) isFetchedAhead() bool {
	return x.r != nil && strings.HasPrefix(said(x.r.Header, "Sec-Purpose"), "prefetch")
}

// mayBeWithheld reports whether the browser may have a cookie of ours that it did not
// send, because another site led it here. A new cookie would take its place, and log
// out whoever is logged in: a customer, when the payment provider leads back with a
// POST. What SameSite forbids says when that can be (RFC 6265bis, section 5.8.3).
func (x *Exchange) mayBeWithheld() bool {
	if x.r == nil || x.carrier != CarrierCookie || said(x.r.Header, "Sec-Fetch-Site") != "cross-site" || said(x.r.Header, "Sec-Fetch-Mode") != "navigate" {
		return false
	}
	if s := x.session.Load(); s != nil && s.ticket != state.NoTicket {
		return false
	}
	switch x.attributes().SameSite {
	case http.SameSiteNoneMode:
		return false
	case http.SameSiteStrictMode:
		return true
	}
	return x.r.Method != http.MethodGet && x.r.Method != http.MethodHead
}

// isForeign reports whether another site made the browser send the request, so that it
// may have withheld our cookie, or drops one that the response sets.
func (x *Exchange) isForeign() bool {
	h := x.r.Header
	return x.mayBeWithheld() || said(h, "Sec-Fetch-Site") == "cross-site" && x.attributes().SameSite != http.SameSiteNoneMode &&
		(said(h, "Sec-Fetch-Mode") != "navigate" || said(h, "Sec-Fetch-Dest") != "document")
}
