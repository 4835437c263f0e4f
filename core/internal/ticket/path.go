package ticket

import (
	"net/http"
	"strings"
)

// PathMatches reports whether browsers send a cookie with that path to a request
// path (RFC 6265, section 5.1.4). cookiePath begins with a slash.
func PathMatches(requestPath, cookiePath string) bool {
	if cookiePath == "/" || requestPath == cookiePath {
		return true
	}
	// "/app" matches "/app/x", and not "/application".
	return strings.HasPrefix(requestPath, cookiePath) &&
		(cookiePath[len(cookiePath)-1] == '/' || requestPath[len(cookiePath)] == '/')
}

// RequestPath returns the path that the client asked for, before any prefix was
// stripped on the way to the handler, because that is what the browser compares
// with the path of a cookie. It is not unescaped, for the same reason.
func RequestPath(r *http.Request) string {
	// RequestURI is what the request line had, which http.StripPrefix and its like
	// leave alone.
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok && path[0] != '/' { // The absolute form, as to a proxy.
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "/"
		}
		return rest[slash:]
	}
	if !strings.HasPrefix(path, "/") { // A request made in a test, or "*".
		return r.URL.EscapedPath()
	}
	return path
}
