// Package core is server-side sessions for Go web apps: the data stays in a
// [store.Store] on the server, the browser holds a signed ticket to it, a cookie.
//
// Gin and Echo apps import an adapter in place of this package: ginsession,
// echosession or echov5session, which have all an app needs. With net/http it
// is this one:
//
//	const views core.Key[int] = "views"
//
//	m, err := core.New(core.Config{
//		Store:   memorystore.New(memorystore.Options{}),
//		Secrets: []string{os.Getenv("SESSION_SECRET")},
//	})
//	...
//	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
//		n := views.Update(core.FromContext(r.Context()), func(n int) int { return n + 1 })
//		fmt.Fprintf(w, "Number of views: %d\n", n)
//	})
//	http.ListenAndServe(addr, m.Handler(mux))
//
// # What a handler does with a session
//
// A [Key] reads and changes one value; its Update is never lost, however many
// requests change the session at the same time. [Session.SignIn] belongs into
// every login and [Session.SignOut] into every logout; who is signed in is
// [Session.User]. Changes are stored just
// before the first byte of the response leaves; where that fails, the client
// gets an error page and not the handler's answer. Anonymous visitors whose
// session is only read cost nothing and leave nothing.
//
// # What a user wants to know
//
// Where the store is a [store.UserIndexer], as those of Cloakroom are,
// [Manager.Sessions] lists the devices of a user, [Manager.Revoke],
// [Manager.RevokeOthers] and [Manager.RevokeUser] end them, and
// Config.MaxSessionsPerUser limits them. [Session.RequireRecentSignIn] asks for another
// login before what is sensitive.
//
// # What an operator sets
//
// A [Config] needs a store and a secret. Everything else has the recommended
// setting as its zero value. Behind a proxy that ends TLS set
// Config.TrustedProxies, or the cookie lacks the Secure attribute. An [Observer]
// is told what happens: [LogObserver] writes an audit log, and package otelsession
// metrics and spans. A [Predecessor] takes over the sessions that the app had before.
//
// # Clients without cookies
//
// With a [Header] in the Config a client carries its session as a bearer token: apps on
// phones, command lines, other services. [Session.CarriedBy] tells how a request did,
// because only cookies need protection against cross-site request forgery, and
// docs/api-clients.md is the guide.
//
// # What it is made of
//
//   - [Manager] finds, stores and ends sessions by its Config.
//   - [Exchange] is what happens to the session during one request; an adapter
//     for a framework on top of net/http is some lines around it. A framework
//     that has no net/http uses [Manager.Load] and [Manager.Commit].
//   - [store.Store] is what a kind of storage implements: five verbs, each atomic.
//
// Cookie and record are those of express-session, so that an Express app and a
// Go app can use the same sessions at the same time: set
// Config.ShareWithExpress, and see docs/express.md.
package core
