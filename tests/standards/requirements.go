package main

const introduction = `# Security requirements

What three standards ask of session management, and how Cloakroom meets it: version 5.0 of OWASP's Application Security
Verification Standard (ASVS), NIST SP 800-63B-4, and the session tests of OWASP's Web Security Testing Guide (WSTG).
The requirements are told in short and in our words; their texts are the standards' own. A last table goes through the
known vulnerabilities of other session libraries.

| how | means |
|---|---|
| default | nothing has to be set or called |
| option | by the setting that is named |
| call | by a call that the app makes where it is due |
| app | the app's own affair: a session library can help at most |

` + "`Manager.Config()`" + ` tells what is in force, with the defaults filled in and without secrets.
[SECURITY.md](../SECURITY.md) has the promises G1 to G10, and how to report a vulnerability.

This page is made by ` + "`make docs`" + ` from the comments in the tests that say which requirement they show.
`

var standards = []standard{
	{
		"OWASP ASVS 5.0, V7: sessions", "All of the chapter.",
		[]requirement{
			{"ASVS-7.1.1", "idle and absolute time limits are documented, with the reasons where they differ from NIST's", byDefault, "`Manager.Config()` tells the limits in force; a session may end early by `TouchInterval`. `Config.AAL` sets NIST's for a level and refuses longer ones. The reasons are yours to write down."},
			{"ASVS-7.1.2", "how many sessions a user may have at once is documented", byOption, "`Config.MaxSessionsPerUser`, with `AtUserLimit` for what happens then; `Manager.Config()` tells both. The limit holds however many sign in at once."},
			{"ASVS-7.1.3", "how sessions go together with single sign-on is documented", byApp, "Keep the provider's session id under a key of your own; `Manager.All` finds a session by it, and `Manager.Revoke` ends it. `RevokeUser` ends all of a user."},
			{"ASVS-7.2.1", "the server decides whether a session is valid", byDefault, "The cookie is a signed id. Life, data and time limits are in the store; nothing else of a request counts."},
			{"ASVS-7.2.2", "tokens are made for each session, none is fixed", byDefault, "There is no way to hand in an id for a new session. An id that the store does not know is never used."},
			{"ASVS-7.2.3", "tokens are unique and from at least 128 random bits", byDefault, "192 bits from crypto/rand. A record is never created over another one. `Config.GenerateID` is for who wants other ids, and answers for them; fewer than 16 characters are refused."},
			{"ASVS-7.2.4", "a new token at each login, also a repeated one; the old one ends", byCall, "`s.SignIn(ctx, user)`: a session cannot become a user's without a new id. What is there is kept, unless it was another user's. The old id is dead at once, in every process. `s.Renew()` and `s.Regenerate()` do it without a user."},
			{"ASVS-7.3.1", "a session ends after some time without activity", byDefault, "24 hours; `Config.IdleTimeout`. To the moment when it is read, whether or not the store removed it. It may end up to `TouchInterval` early, never late."},
			{"ASVS-7.3.2", "a session ends after some time, however active", byOption, "`Config.AbsoluteTimeout`, or `Config.AAL`. Counted from the creation, or from `SignIn`; no request, no new id and no max age moves it."},
			{"ASVS-7.4.1", "after logout or expiry a session is of no use", byCall, "`s.SignOut(ctx)` or `s.Destroy(ctx)` ends it in the store, at once. No request that is under way brings it back, in any process."},
			{"ASVS-7.4.2", "all sessions of a user end with the account", byCall, "`Manager.RevokeUser`: when it returns, no session lives whose sign-in was acknowledged before, in any process; one that is under way fails."},
			{"ASVS-7.4.3", "a user can end all other sessions after a change of credentials", byCall, "`Manager.RevokeOthers`; `s.Renew()` in the same request changes the id of the one that stays. `s.BeginSignIn` in each login keeps out one that has read the former password."},
			{"ASVS-7.4.4", "logout is easy to find on every page", byApp, "A handler that calls `s.SignOut(ctx)`, for POST. It may be called again and again; the browser is told to delete the cookie, on error pages too."},
			{"ASVS-7.4.5", "administrators can end the sessions of one user, or of all", byCall, "`Manager.Clear` ends all sessions, `Manager.RevokeUser` those of one user, `Manager.Revoke` one of them, by a handle that is no secret. The audit log says by whom."},
			{"ASVS-7.5.1", "a full login again before changes to the account", byCall, "`s.RequireRecentSignIn(ctx, maxAge)` in front of them; the repeated login calls `s.SignIn`."},
			{"ASVS-7.5.2", "users see their sessions and can end them, after another login", byCall, "`Manager.Sessions` and `Manager.Revoke`, which checks the owner itself; `s.RequireRecentSignIn` before. Nothing that a page shows leads into a session."},
			{"ASVS-7.5.3", "another proof before what is most sensitive", byCall, "As for 7.5.1; `s.AuthenticatedBy()` tells how the user signed in."},
			{"ASVS-7.6.1", "sessions end with those of the identity provider as agreed", byApp, "`s.SetMaxAge` shortens a session; `Config.AbsoluteTimeout` bounds all."},
			{"ASVS-7.6.2", "no session without an action of the user's", byDefault, "A visit alone stores nothing and sets no cookie. `SaveUninitialized` would change that."},
		},
	},
	{
		"OWASP ASVS 5.0, V3.3: cookies", "All of the section, and the cookie requirements of other chapters.\n\n" +
			"Another host of the site, or plain HTTP, can set cookies of our name for yours. Those that it cannot sign hide no session, as many as\n" +
			"a browser keeps. What remains: it can put genuine cookies in front that it was given itself, three of sessions that have ended, which log the\n" +
			"visitor out, or one of its own session, which the visitor then uses; and it can set so many cookies that the browser drops yours. A name that\n" +
			"begins with `__Host-` ends all of that but the last: browsers take such a cookie from no other host and never over plain HTTP.",
		[]requirement{
			{"ASVS-3.3.1", "`Secure`, and a name that begins with `__Secure-` or `__Host-`", byOption, "`Secure` is set whenever the request came over HTTPS; `SecureAlways` insists. `Cookie.Name` `\"__Host-sid\"` gives the prefix, which the default lacks because it has to work on http://localhost."},
			{"ASVS-3.3.2", "`SameSite` is set, to fit the purpose", byDefault, "Lax. `None` is refused without `SecureAlways`. Against forged requests add `http.CrossOriginProtection`."},
			{"ASVS-3.3.3", "a name that begins with `__Host-`, unless hosts share the cookie", byOption, "`Cookie.Name`; Domain, another Path than / and a cookie without `SecureAlways` are then refused."},
			{"ASVS-3.3.4", "`HttpOnly`, and the value is given to scripts in no other way", byDefault, "`ScriptAccess` would turn it off. The value is in the Set-Cookie header and nowhere else, but in `Header.Response` for clients that send a header in its place: logs, errors, bodies and everything that prints are scanned for it."},
			{"ASVS-3.3.5", "name and value take at most 4096 bytes", byDefault, "32 characters of id and 43 of signature do. An id of your own that does not fit fails before anything is stored."},
			{"ASVS-3.4.1", "HSTS", byApp, "The app, or its proxy, sends Strict-Transport-Security."},
			{"ASVS-3.5.1", "requests from other sites are told apart", byApp, "SameSite=Lax helps; `http.CrossOriginProtection` does it. A token of your own in the session goes with `Regenerate` and `Destroy`, and stays with `Renew`. A session that a header carries (`Session.CarriedBy`) needs none of it: nobody sends it but the client that has it."},
			{"ASVS-3.5.2", "where the preflight of CORS is the protection, nothing gets past it", byApp, "As for 3.5.1. Cloakroom has no routes, and answers no preflight."},
			{"ASVS-3.5.3", "nothing sensitive is done by GET", byApp, "The routes are yours: log in and out by POST."},
			{"ASVS-14.2.1", "no token in a URL", byDefault, "The Cookie header is read and, where `Config.Header` is set, that header. What a page puts into the address of a WebSocket is good once, and for half a minute: [api-clients.md](api-clients.md)."},
			{"ASVS-14.2.7", "what has expired is removed", byDefault, "By the server (Valkey, MongoDB's TTL index), or by the sweep of the store in memory and of those for SQL."},
			{"ASVS-14.3.1", "data is cleared from the client when the session ends", byCall, "`SignOut` and `Destroy` delete the cookie with the attributes that it was set with; where a header carries the session, they answer with an empty one. They and `SignIn` send `Clear-Site-Data: \"prefetchCache\", \"prerenderCache\"`, so that no page which the browser fetched ahead is shown to whoever is next; `\"cookies\"` is not among them, because it deletes the cookie of the same response and those of sibling hosts. What pages keep in storage is the app's to clear."},
			{"ASVS-14.3.2", "sensitive pages are not cached", byDefault, "A response of a handler that asked for the session of a user is `no-store`, unless the handler says otherwise or `Config.LeaveCacheControl` is set: Chromium shows a page that it kept to whoever goes back after a logout, whatever else it is told. A response that sets the cookie is `private` at least, and one that may depend on the session has `Vary: Cookie`."},
		},
	},
	{
		"OWASP ASVS 5.0: randomness and cryptography", "As far as they concern a session: chapters V6, V9, V11 and V13.",
		[]requirement{
			{"ASVS-6.5.2", "stored secrets are hashed, fast where they have 112 bits or more", byOption, "`Config.HashIDs` keeps SHA-256 of the ids in the store."},
			{"ASVS-9.1.1", "a token is verified before anything in it is used", byDefault, "The signature covers the whole value, and comes first; a cookie that does not verify never reaches the store. There is one algorithm and no choice of it in the cookie."},
			{"ASVS-9.1.2", "only listed algorithms make and verify tokens", byDefault, "HMAC-SHA-256. Nothing in a cookie names an algorithm."},
			{"ASVS-9.1.3", "keys come from trusted places", byDefault, "From `Config.Secrets` and `Manager.SetSecrets`. Nothing in a cookie names a key."},
			{"ASVS-9.2.1", "a token is used within its time", byDefault, "The cookie has no time of its own to be trusted; the store's counts."},
			{"ASVS-9.2.2", "a token is of the right kind, and used for its purpose", byOption, "A signed id is a session's. Where the same secret signs something else as well, or a second session cookie of the app, give each a secret of its own. A sealed record opens under its own id alone."},
			{"ASVS-9.2.3", "a service accepts its own tokens alone", byOption, "Secrets of its own for each app; a prefix (Valkey) or a collection (MongoDB) for each that shares a server."},
			{"ASVS-9.2.4", "one key for several services: a token says for which", byOption, "The cookie has Express's form and no place for that: see 9.2.3."},
			{"ASVS-11.1.1", "keys are documented, and rotated", byCall, "`Secrets` sign, `SealKeys` encrypt; of each the first is used and all are accepted. `Manager.SetSecrets` rotates without a restart, and cookies are issued anew. [keys.md](keys.md) has the steps."},
			{"ASVS-11.1.2", "there is an inventory of keys and algorithms", byDefault, "This section. `Manager.Config()` tells how many secrets are accepted, and whether ids are hashed and records sealed."},
			{"ASVS-11.2.2", "keys and algorithms can be replaced", byDefault, "As for 11.1.1; a sealed record names its key."},
			{"ASVS-11.2.3", "at least 128 bits of security", byDefault, "HMAC-SHA-256 and XAES-256-GCM. Short `Secrets` are warned about, short `SealKeys` refused."},
			{"ASVS-11.2.4", "secrets are compared in constant time", byDefault, "The same statements run wherever a signature is wrong; `make timing` measures."},
			{"ASVS-11.2.5", "failures of cryptography tell nothing", byDefault, "Whatever is wrong with a cookie, the visitor is a new one. A sealed record that does not open counts as gone, and so does one under a key that is retired; one under a key that is not configured fails the request. There is no way around the seal."},
			{"ASVS-11.3.2", "approved ciphers and modes", byOption, "`Config.SealKeys`: AES-256-GCM, under a key that XAES-256-GCM derives."},
			{"ASVS-11.3.3", "what is encrypted cannot be changed unseen", byOption, "AES-256-GCM with the id as associated data: no bit can be changed, and no record moved to another id."},
			{"ASVS-11.3.4", "no nonce is used twice with a key", byOption, "XAES-256-GCM derives keys from the first half of a random nonce of 24 bytes. Up to 65,536 writes of a process share one, each with a random second half: [what that means](sealed-cookie.md#nonces)."},
			{"ASVS-11.3.5", "encryption comes before authentication", byOption, "Both are one: see 11.3.3."},
			{"ASVS-11.4.1", "approved hash functions", byDefault, "SHA-256. The Valkey store compares large records by SHA-1, where nobody can choose what is compared, and not in FIPS mode."},
			{"ASVS-11.5.1", "what must not be guessed has 128 bits from a secure generator", byDefault, "crypto/rand alone; the linter refuses math/rand."},
			{"ASVS-11.5.2", "the generator works under load, and fails safely", byDefault, "crypto/rand ends the program rather than return bad bytes, and nothing else is ever asked."},
			{"ASVS-11.7.2", "as little as possible of what is processed is exposed in memory, and no longer than needed", byDefault, "A cookie and what is in its record go with the request, but for what `stores/memory` keeps anyway: with a store in the memory of the process, up to 4096 cookies are remembered whose sessions come again and again, with their ids, and 8 MB of records as they were read. The end of a session and `Manager.Clear` forget its record, `SetSecrets` all cookies. With `Sealed`, up to 4096 cookies and 8 MB of what is in them are, until their session ends. What is sealed in a store is never remembered open. With any other store nothing is."},
			{"ASVS-13.1.4", "it is documented which secrets are critical, and when they are rotated", byApp, "[keys.md](keys.md): `Secrets` and `SealKeys` are. How often is yours to say."},
			{"ASVS-13.3.4", "secrets expire and are rotated", byCall, "As for 11.1.1: `Manager.SetSecrets` with the new one first, and again without the old one when its cookies have been issued anew."},
		},
	},
	{
		"OWASP ASVS 5.0: what else concerns sessions", "Chapters V1, V4, V6, V8, V13, V15 and V16.",
		[]requirement{
			{"ASVS-1.5.2", "what is decoded cannot be of any type or size", byDefault, "Records are JSON, decoded into the types that the handler asks for. Size and number of keys are limited; the fuzz tests bound the memory."},
			{"ASVS-4.4.1", "WebSockets go over TLS", byApp, "Serve nothing over HTTP but a redirect."},
			{"ASVS-4.4.2", "the handshake of a WebSocket checks the origin", byApp, "The library that upgrades the connection does, where it is told to."},
			{"ASVS-4.4.3", "WebSockets have a session behind them", byCall, "The session of the handshake is the handler's. `s.Ended(ctx)` tells a long connection when it has ended, and `s.Check(ctx)` whether it still lives."},
			{"ASVS-4.4.4", "tokens of WebSockets come from the session over HTTPS", byDefault, "There are none: the handshake is a request with a session like any other. A page that has its session in a header gets a key for one handshake from it: [api-clients.md](api-clients.md)."},
			{"ASVS-6.3.1", "guessing is noticed", byOption, "`Config.Observer` is told of forged cookies and unknown ids, for you to count."},
			{"ASVS-8.1.3", "what of a device or place decides is documented", byApp, "Cloakroom decides by nothing of the kind."},
			{"ASVS-8.2.4", "rights may depend on device and place", byApp, "`Manager.Sessions` has the device and the network of each sign-in. Keep what else you need under keys of your own."},
			{"ASVS-8.3.2", "a change of rights takes effect at once", byDefault, "Every request reads the store. Client-side caching of the Valkey store, off by default, has a stated staleness, and `RequireRecentSignIn` reads past it."},
			{"ASVS-8.4.1", "tenants are kept apart", byOption, "A prefix (Valkey) or collection (MongoDB) and secrets for each."},
			{"ASVS-13.1.2", "limits of connections to services are documented", byApp, "The store's client is yours, and so are its connections. docs/mongo.md and docs/valkey.md have what to watch."},
			{"ASVS-13.1.3", "limits and timeouts of services are set", byDefault, "`Config.StoreTimeout`, 5 seconds, for the load and for the whole commit."},
			{"ASVS-13.2.6", "connections to services keep to that", byDefault, "Whatever the client's own settings, `Config.StoreTimeout` ends the load and the commit; what is sent again is what may be."},
			{"ASVS-15.1.3", "what takes much time or memory is documented", byDefault, "The limits of 15.2.2. `Manager.All` and `Clear` walk through all sessions, and say so."},
			{"ASVS-15.2.2", "nobody can exhaust the service", byDefault, "`MaxBytes`, `MaxKeys`, 256 signatures of cookies computed and 3 sessions looked up at most, the rest of a `Cookie` header is only read; anonymous visitors write nothing. The memory store has a limit of its own."},
			{"ASVS-15.3.4", "what a proxy says is believed of trusted ones alone", byDefault, "`Config.TrustedProxies`, none by default; of several values the nearest hop's."},
			{"ASVS-15.4.1", "shared objects are safe for several goroutines", byDefault, "A Session and a Manager are. The tests of core, stores and adapters run with the race detector."},
			{"ASVS-15.4.2", "checking and acting are one step", byDefault, "Each verb of a store is atomic; `Take` gives a value to exactly one request."},
			{"ASVS-15.4.3", "locks are bounded", byDefault, "Commits to one session wait for each other within a process, no longer than `StoreTimeout`; logout does not wait at all."},
			{"ASVS-15.4.4", "nobody starves", byDefault, "Who waits for a session waits no longer than `StoreTimeout`, and nobody waits for another session."},
			{"ASVS-16.2.5", "no token in a log", byDefault, "Nothing that Cloakroom logs, returns as an error or prints holds an id, a secret or data. A `Config` in an unexported field of a struct that the app prints is out of its reach: keep the `Manager` there."},
			{"ASVS-16.3.1", "what happens to sessions can be logged", byOption, "`Config.Observer` is told, without ids and data: created, signed in, renewed, expired, revoked and by whom. `core.LogObserver` writes it down."},
			{"ASVS-16.3.2", "refused access is logged", byApp, "Rights are yours. `Session.User` and `Session.Handle` are for your log."},
			{"ASVS-16.3.3", "attempts to get around security are logged", byOption, "The same Observer is told of forged cookies, unknown ids and limits."},
			{"ASVS-16.3.4", "errors of the system are logged", byDefault, "`Config.Logger`: each store that fails, with verb, store and class."},
			{"ASVS-16.4.1", "what is logged is encoded", byDefault, "All lines are log/slog's, which quotes what is not plain. Nothing that a client sends is in them; the device in `Manager.Sessions` is cut to 200 bytes that can be printed."},
			{"ASVS-16.5.1", "error pages tell nothing", byDefault, "A short text with the status, or yours by `Config.ErrorHandler`."},
			{"ASVS-16.5.2", "a failing service neither lets in nor loses", byDefault, "503 while the store is down, never an empty session; no byte of a success before the changes are stored."},
			{"ASVS-16.5.3", "no error lets anybody in", byDefault, "A load that fails ends the request, a save that fails the response."},
		},
	},
	{
		"NIST SP 800-63B-4, section 5: sessions", "With the time limits of sections 2.1.3, 2.2.3 and 2.3.3.",
		[]requirement{
			{"NIST-5.1-issue", "a new session secret at authentication", byCall, "`s.SignIn`; without a user `s.Renew()` or `s.Regenerate()`."},
			{"NIST-5.1-restart", "the secret does not outlive a restart of the browser", byDefault, "A cookie for the browser's session, unless `Cookie.MaxAge` or `s.SetMaxAge` says otherwise."},
			{"NIST-5.1-remember", "being remembered does not replace authentication", byApp, "`s.SetMaxAge` lengthens the whole session. Where a level is claimed, `Config.AAL` bounds it."},
			{"NIST-5.1-level", "a session is never above the level of its authentication", byCall, "`s.AuthenticatedBy()` has the methods that the last `SignIn` was given; nothing else sets them."},
			{"NIST-5.1-limits", "time limits hold although the secret is known", byDefault, "The server enforces them when a session is read."},
			{"NIST-5.1-random", "at least 64 bits from an approved generator", byDefault, "192 bits from crypto/rand."},
			{"NIST-5.1-logout", "logout invalidates the secret", byCall, "`s.SignOut(ctx)` or `s.Destroy(ctx)`."},
			{"NIST-5.1-channel", "only over an authenticated, protected channel", byOption, "`SecureAlways`: without HTTPS no cookie is set and nothing is stored. Serve nothing over HTTP but a redirect."},
			{"NIST-5.1-erase", "erased at the client when the session ends", byCall, "`Destroy` deletes the cookie. One that expired is left to the browser: a late deletion could throw out the cookie of a new login."},
			{"NIST-5.1-csrf", "forms carry what the server verifies", byApp, "`http.CrossOriginProtection`, or tokens of your own."},
			{"NIST-5.1.1-secure", "Secure, for the fewest hosts and paths", byOption, "No Domain by default; `Cookie.Name` `\"__Host-sid\"` with `SecureAlways` for the rest."},
			{"NIST-5.1.1-attributes", "HttpOnly, SameSite, an opaque value", byDefault, "HttpOnly and SameSite=Lax; the value is random."},
			{"NIST-5.1.1-expiry", "the cookie ends about when the session does, which nobody relies on", byDefault, "Its Max-Age never passes the absolute timeout, and is of no importance to the server."},
			{"NIST-5.1.1-personal", "no personal data in the cookie", byDefault, "An id and a signature."},
			{"NIST-5.2-timeouts", "overall and idle time limits; either ends the session, activity restarts the idle one", byDefault, "`IdleTimeout` and `AbsoluteTimeout`. `Passive` requests are no activity. `SignIn` restarts both, `Renew` keeps the overall one."},
			{"NIST-5.2-aal", "AAL1: 30 days. AAL2: 24 hours, 1 hour idle. AAL3: 12 hours, 15 minutes idle", byOption, "`Config.AAL` 1, 2 or 3."},
			{"NIST-5.2-resume", "at AAL2 one factor may revive an idle session", byApp, "Not offered: an idle session is gone."},
			{"NIST-5.3-monitoring", "sessions may be monitored", byApp, "`Config.Observer` has the events of a session, `Manager.Sessions` the device and network of its sign-in."},
		},
	},
	{
		"OWASP Web Security Testing Guide: WSTG-SESS", "The tests of the chapter on session management.",
		[]requirement{
			{"WSTG-SESS-01", "the scheme: what is in the cookie, and can it be guessed or changed", byDefault, "A random id and its signature."},
			{"WSTG-SESS-02", "the attributes of the cookie", byDefault, "See V3.3 above. Every Set-Cookie of the suites is checked against RFC 6265bis."},
			{"WSTG-SESS-03", "fixation", byCall, "Ids that were not issued here are never used; `SignIn`, or `Renew` at login, makes one that was useless."},
			{"WSTG-SESS-04", "variables that show: in URLs, caches and logs", byDefault, "See 3.3.4, 14.3.2 and 16.2.5."},
			{"WSTG-SESS-05", "cross-site request forgery", byApp, "See 3.5.1."},
			{"WSTG-SESS-06", "logout", byCall, "`s.SignOut(ctx)` or `s.Destroy(ctx)`."},
			{"WSTG-SESS-07", "timeouts", byDefault, "See 7.3.1 and 7.3.2."},
			{"WSTG-SESS-08", "puzzling: one key, written by two parts of an app", byCall, "Declare each `Key` once, with its type. `Regenerate` where a flow has to begin with nothing."},
			{"WSTG-SESS-09", "hijacking: is the cookie of use to who sees it on the way", byOption, "`SecureAlways`, and HTTPS everywhere."},
			{"WSTG-SESS-10", "JSON Web Tokens", byApp, "None are used."},
			{"WSTG-SESS-11", "several sessions of one user", byOption, "See 7.1.2, 7.4.3 and 7.5.2."},
		},
	},
}
