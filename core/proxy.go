package core

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// isSecure tells whether r came over HTTPS. A TLS connection is secure. On any
// other, X-Forwarded-Proto counts when the peer is a proxy that Config trusts;
// of several values the last, which is the one set by the nearest hop, because
// everything before it may come from the client.
func (m *Manager) isSecure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	values := r.Header["X-Forwarded-Proto"]
	if len(values) == 0 {
		return false
	}
	last := values[len(values)-1]
	if i := strings.LastIndexByte(last, ','); i >= 0 {
		last = last[i+1:]
	}
	https := strings.EqualFold(strings.TrimSpace(last), "https")
	if !https {
		return false
	}
	if !m.trusts(r.RemoteAddr) {
		m.hints.untrustedProxy.Do(func() {
			m.cfg.Logger.Warn("cloakroom: a peer that is not in Config.TrustedProxies sent X-Forwarded-Proto: https; " +
				"it was not believed, so cookies are set as for plain HTTP; if it is your proxy, add its address to Config.TrustedProxies")
		})
		return false
	}
	return true
}

// trusts tells whether the peer at addr is a proxy whose word counts.
func (m *Manager) trusts(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		// net/http calls the other side of a Unix socket "@" or nothing.
		return m.cfg.TrustUnixSocket && (addr == "@" || addr == "")
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	ip = ip.Unmap().WithZone("")
	for _, prefix := range m.cfg.TrustedProxies {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}
