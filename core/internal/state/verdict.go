package state

// VerdictInputs are what the headers of a response depend on, as far as the
// session is concerned.
type VerdictInputs struct {
	Standing Standing
	Deed     Deed
	Ticket   Ticket

	Accessed   bool // the handler asked for the session
	Persistent bool // the cookie has a max age, which a write of this request has begun anew
	Rolling    bool // Config.Rolling, and the request is activity
	Discarded  bool // Discard was called
	Expired    bool // the absolute timeout has passed
	Carried    bool // the cookie holds the session, and the browser does not have it as it is now
	Superseded bool // this process knows of a newer id
	Proven     bool // the commit found the session under this id, by a write or a read
	Users      bool // the session is that of a user, and Config leaves it to us what caches are told
	Insecure   bool // the cookie is for HTTPS alone, and this request is plain HTTP
	ByHeader   bool // a header carries the session, and not a cookie
}

// A Cookie is what Set-Cookie does, or the header that takes its place where a header
// carries the session: it sets the token, or says by an empty one that there is none.
type Cookie uint8

const (
	// NoCookie sends none.
	NoCookie Cookie = iota

	// SetCookie sends the cookie, with its whole max age.
	SetCookie

	// ResignCookie sends the cookie anew, under the first secret and with what it holds
	// now, for no longer than the browser has it already.
	ResignCookie

	// DeleteCookie makes the browser drop the cookie.
	DeleteCookie
)

// String returns the name that docs/design.md uses.
func (c Cookie) String() string { return [...]string{"none", "set", "re-sign", "delete"}[c] }

// Sets reports whether the browser is given a ticket.
func (c Cookie) Sets() bool { return c == SetCookie || c == ResignCookie }

// Headers are what a response says about the session. A response with a cookie
// is private to this visitor (RFC 9111, section 5.2.2.7), one with a token is kept nowhere,
// because caches of clients keep all headers but Set-Cookie, one that depends on the
// session says so by Vary, and one that depends on the session of a user is kept
// nowhere (section 5.2.2.5), unless the handler says otherwise: the browser would show
// it when the user has logged out and somebody else goes back.
type Headers struct {
	Cookie  Cookie
	Vary    bool // Vary: Cookie, or the header that carries the session
	Private bool // Cache-Control: private
	NoStore bool // Cache-Control: no-store, where the handler says nothing
}

// Verdict returns the headers of a response.
func Verdict(in VerdictInputs) Headers {
	cookie := cookieFor(in)
	return Headers{
		Cookie:  cookie,
		Vary:    cookie != NoCookie || in.Accessed,
		Private: cookie != NoCookie,
		NoStore: in.Users && in.Accessed || in.ByHeader && cookie != NoCookie,
	}
}

// cookieFor decides as express-session does, but for what the standing forbids: a
// session that ended under the request sets and deletes nothing, because the
// browser may have a newer cookie by now.
func cookieFor(in VerdictInputs) Cookie {
	switch in.Standing {
	case Ended, SignedOut:
		if in.Ticket == NoTicket {
			return NoCookie
		}
		return DeleteCookie
	case Ending:
		if in.Deed == Created && !in.Insecure {
			return SetCookie // it may live on, and then the browser has to be able to end it
		}
		return NoCookie
	case Live:
		return cookieForLive(in)
	}
	return NoCookie
}

// cookieForLive is cookieFor for a session that is stored.
func cookieForLive(in VerdictInputs) Cookie {
	switch {
	case in.Expired, in.Insecure:
		return NoCookie
	case in.Deed == Created:
		return SetCookie
	case in.Superseded:
		return NoCookie
	case in.Carried && in.Persistent:
		return SetCookie
	case in.Carried:
		return ResignCookie
	case !in.Proven, in.Discarded && in.Deed == NotWritten:
		return NoCookie
	case !in.ByHeader && (in.Rolling || in.Deed == Changed && in.Persistent):
		return SetCookie
	case in.Ticket == Outdated:
		return ResignCookie
	}
	return NoCookie
}

// Possible reports whether these inputs can occur together. Package core asserts
// it under test.
func (in VerdictInputs) Possible() bool {
	switch {
	case in.Standing != Live && (in.Expired || in.Carried || in.Superseded || in.Proven || in.Persistent || in.Users),
		in.Deed != NotWritten && (in.Standing == Fresh || in.Standing == SignedOut || in.Standing == Unavailable || in.Standing == Locked),
		in.Ticket == Outdated && in.Standing == Fresh:
		return false
	}
	return true
}
