// Package ticket knows what browsers and servers tell each other about a session
// over HTTP, apart from any session: the id and its signature, the Cookie header,
// the Set-Cookie header and its attributes, which paths a cookie belongs to, and
// what caches have to be told.
//
// The cookie is that of express-session and its modules cookie and
// cookie-signature, byte for byte. The headers are those of RFC 6265, of its
// successor RFC 6265bis where browsers follow that, and of RFC 9110 and RFC 9111.
package ticket
