package core

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What a user is shown of a device.

const (
	maxDevice  = 200 // bytes
	maxProxies = 32  // proxies of ours that a request may come through
)

// deviceOf returns what the browser says that it is, cut to a bearable length.
func deviceOf(r *http.Request) string {
	var agent strings.Builder
	for _, c := range said(r.Header, "User-Agent") {
		if c == utf8.RuneError || !unicode.IsPrint(c) {
			continue
		}
		if agent.Len()+utf8.RuneLen(c) > maxDevice {
			break
		}
		agent.WriteRune(c)
	}
	return agent.String()
}

// networkOf returns the network that the client is in: its address without the
// part that would point out a person. Of the addresses that our proxies tell, the last
// one counts that is not of one of them. It is empty where a proxy tells no address:
// its own would not be the client's.
func (m *Manager) networkOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = "" // the peer is a Unix socket
	}
	ip, _ := netip.ParseAddr(host)
	if m.trusts(r.RemoteAddr) {
		ip = m.clientBehind(r.Header, ip)
	}
	if ip = ip.Unmap().WithZone(""); !ip.IsValid() {
		return ""
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// clientBehind returns the address of the client that a proxy of ours speaks for, whose
// own address is the one that is given. It is not valid where the proxy does not tell.
func (m *Manager) clientBehind(h http.Header, proxy netip.Addr) netip.Addr {
	client, hops := proxy, 0
	for hop := range forwardedFor(h) {
		client = hop
		if hops++; hops == maxProxies || !hop.IsValid() || !m.trustsAddr(hop) {
			break
		}
	}
	return client
}
