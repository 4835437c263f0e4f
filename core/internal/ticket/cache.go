package ticket

import (
	"net/http"
	"strings"
)

// AddVary adds the name of a request's header to Vary in the headers of a response (RFC
// 9110, section 12.5.5), unless that is said already. room is used for the header, where
// there is none yet, so that it costs no allocation; the caller keeps it as long as h, and
// gives the same one for the same name, or a new one.
func AddVary(h http.Header, name string, room *[1]string) {
	lines := h["Vary"]
	if len(lines) == 0 {
		if room[0] == "" { // Else another header has it, which may be on its way to the client.
			room[0] = name
		}
		h["Vary"] = room[:1:1]
		return
	}
	// A star says that the response depends on more than headers can tell.
	for _, line := range lines {
		for field := range strings.SplitSeq(line, ",") {
			if field = strings.TrimSpace(field); field == "*" || strings.EqualFold(field, name) {
				return
			}
		}
	}
	h["Vary"] = append(lines, name)
}

// clearAhead is what makes a browser drop pages that it fetched or rendered ahead. It
// takes both: Chromium keeps a copy for each, and one that is left is shown.
const clearAhead = `"prefetchCache", "prerenderCache"`

// AddClearAhead adds to the headers of a response that what was fetched ahead is to be
// dropped (Clear-Site-Data), beside what the handler wants cleared. room is used as that
// of [AddVary].
func AddClearAhead(h http.Header, room *[1]string) {
	lines := h["Clear-Site-Data"]
	switch {
	case len(lines) == 0:
		room[0] = clearAhead
		h["Clear-Site-Data"] = room[:1:1]
	case lines[len(lines)-1] != clearAhead: // else it was said before
		h["Clear-Site-Data"] = append(lines, clearAhead)
	}
}

// PrivateCache returns the Cache-Control of a response that sets a cookie (RFC 9111,
// section 5.2.2): what the handler's lines say, but not for shared caches, from
// which somebody else would get the cookie. A handler that says nothing gets a
// response that is asked for again each time.
func PrivateCache(lines []string) string {
	// Of what the handler says all is kept but what lets shared caches keep the
	// response. A private that names fields is no private for the whole.
	var kept []string
	for _, line := range lines {
		for _, directive := range splitDirectives(line) {
			name, value, _ := strings.Cut(directive, "=")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "", "public", "s-maxage":
				continue
			case "private":
				if value == "" {
					continue // It comes first anyway.
				}
			}
			kept = append(kept, directive)
		}
	}
	// Caches may keep a response that says nothing by rules of their own (RFC 9111,
	// section 4.2.2).
	if len(kept) == 0 && len(lines) == 0 {
		return "private, no-cache"
	}
	return strings.Join(append([]string{"private"}, kept...), ", ")
}

// splitDirectives splits a line of Cache-Control at the commas that are not inside
// of quotes.
func splitDirectives(line string) []string {
	// A backslash before a quote is not looked at: what is split at a wrong place is
	// still said, and private comes first.
	var parts []string
	quoted, start := false, 0
	for i := range len(line) {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			parts = append(parts, strings.TrimSpace(line[start:i]))
			start = i + 1
		}
	}
	return append(parts, strings.TrimSpace(line[start:]))
}
