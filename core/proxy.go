package core

import (
	"iter"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// AlwaysHTTPS is a Config.IsHTTPS for a server that is reached over HTTPS alone, by way
// of proxies that do not say so.
func AlwaysHTTPS(*http.Request) bool { return true }

// forwardedHTTPS reports whether the headers of proxies say that the client uses HTTPS,
// which counts when the peer is a proxy that Config trusts. The first of these that is
// there decides: X-Forwarded-Proto, Forwarded (RFC 7239), and what single products send
// in their place: CloudFront-Forwarded-Proto, X-Forwarded-Ssl and Front-End-Https (on).
// Of several values it is the last, which is the one set by the nearest hop, because
// everything before it may come from the client.
func forwardedHTTPS(h http.Header) bool {
	for i := range httpsHeaders {
		says := &httpsHeaders[i]
		lines := h[says.header]
		if len(lines) == 0 {
			continue
		}
		_, last, _ := cutLast(lines[len(lines)-1], ',')
		if value, ok := says.value(last); ok {
			return strings.EqualFold(trimOWS(value), says.https)
		}
	}
	return false
}

// httpsHeaders are the headers by which proxies say that the client uses HTTPS, in the order
// in which forwardedHTTPS looks at them.
var httpsHeaders = [...]struct {
	header string
	https  string
	value  func(hop string) (value string, ok bool) // of what the nearest hop wrote; not ok where that says nothing of HTTPS
}{
	{"X-Forwarded-Proto", "https", wholeElement},
	{"Forwarded", "https", protoParameter},
	{"Cloudfront-Forwarded-Proto", "https", wholeElement},
	{"X-Forwarded-Ssl", "on", wholeElement},
	{"Front-End-Https", "on", wholeElement},
}

// wholeElement is the value of a header that has nothing but one for each hop.
func wholeElement(hop string) (string, bool) { return hop, true }

// protoParameter is the value of the parameter "proto" of an element of Forwarded.
func protoParameter(element string) (string, bool) {
	value := unquoted(parameter(element, "proto"))
	return value, value != ""
}

// peerAddress returns the address of a peer without its port, or what net/http calls
// the other side of a Unix socket.
func peerAddress(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// trusts reports whether the peer at addr is a proxy whose word counts.
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
	return m.trustsAddr(ip)
}

// trustsAddr reports whether an address is that of a proxy whose word counts.
func (m *Manager) trustsAddr(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	for _, prefix := range m.cfg.TrustedProxies {
		if prefix.Contains(ip) {
			return true
		}
	}
	return false
}

// forwardedFor yields the addresses that a request was forwarded for, the one that the
// nearest proxy wrote first, and one that is not valid for a hop without a readable
// address. They are those of X-Forwarded-For and, where there is none, of Forwarded
// (RFC 7239). It never goes by both: a proxy writes one of them, and the other may be
// the client's.
func forwardedFor(h http.Header) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		lines, node := h["X-Forwarded-For"], func(hop string) string { return hop }
		if len(lines) == 0 {
			lines, node = h["Forwarded"], forParameter
		}
		for _, line := range slices.Backward(lines) {
			for more := true; more; {
				var hop string
				line, hop, more = cutLast(line, ',')
				if !yield(nodeAddr(node(hop))) {
					return
				}
			}
		}
	}
}

// cutLast cuts the last element off a list, and reports whether there are others.
// Separators in quotes do not count. It reads from the end, which our proxies wrote:
// a quote that a client left open does not hide what follows.
func cutLast(list string, separator byte) (before, last string, found bool) {
	quoted := false
	for i := len(list) - 1; i >= 0; i-- {
		switch c := list[i]; {
		case c == '"':
			quoted = !quoted
		case c == separator && !quoted:
			return list[:i], list[i+1:], true
		}
	}
	return "", list, false
}

// forParameter is the value of the parameter "for" of an element of Forwarded.
func forParameter(element string) string { return parameter(element, "for") }

// parameter returns the value of a parameter of an element of Forwarded.
func parameter(element, wanted string) string {
	for more := true; more; {
		var pair string
		element, pair, more = cutLast(element, ';')
		if name, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(trimOWS(name), wanted) {
			return value
		}
	}
	return ""
}

// trimOWS returns s without the optional whitespace that RFC 9110, section 5.6.3, allows
// around an element: spaces and tabs, and nothing else that Unicode calls a space.
func trimOWS(s string) string { return strings.Trim(s, " \t") }

// unquoted returns a value without the quotes that a whole one may have about it, and
// without whitespace around it.
func unquoted(value string) string {
	value = trimOWS(value)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = trimOWS(value[1 : n-1])
	}
	return value
}

// nodeAddr returns the address of a node as RFC 7239, section 6, and proxies write it:
// in quotes or not, with a port or not, IPv6 in brackets or not. It is not valid for
// "unknown", a made-up name, and whatever else is no address.
func nodeAddr(node string) netip.Addr {
	node = unquoted(node)
	const longest = 80 // an IPv6 address with a zone, brackets and a port
	if len(node) > longest {
		return netip.Addr{}
	}
	if host, rest, ok := strings.Cut(strings.TrimPrefix(node, "["), "]"); ok && node[0] == '[' {
		if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && (rest == "" || isPort(rest)) {
			return ip
		}
		return netip.Addr{}
	}
	if i := strings.IndexByte(node, ':'); i >= 0 && isPort(node[i:]) { // else it may be IPv6
		node = node[:i]
	}
	ip, err := netip.ParseAddr(node)
	if err != nil {
		return netip.Addr{}
	}
	return ip
}

// isPort reports whether s is a colon and a port, which may be a made-up one.
func isPort(s string) bool {
	return len(s) > 1 && s[0] == ':' && !strings.ContainsAny(s[1:], ":. ")
}
