package interop

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"time"
)

var yes, no = true, false

// The names of tests that show much at once.
const (
	pairs     = "TestEveryPair"
	decided   = "TestTheTableOfDecisions"
	decidedGo = "TestWhatIsSavedAndWhenTheCookieIsSetIsExpressSessionsTable"
	headers   = "TestCookieHeadersMeanTheSame"
	lines     = "TestCookiesOfAllAttributes"
	refusals  = "TestNewRefusesWhatCannotWorkAndNamesTheField"
)

var behaviours = []behaviour{
	// Options

	{
		id: "CFG-1", says: "The module exports the middleware and the classes Store, Cookie, Session, MemoryStore.", verdict: notInGo,
		why: "Go has types: an adapter exports them, a store is whatever implements `store.Store`.",
	},
	{id: "CFG-2", says: "`name` is the cookie's name, `connect.sid` by default (`key` is an older word for it).", verdict: same, shows: func(c *check) {
		v := newVisitor(c)
		is(c, "cookies by the default name", v.steps(c.app(settings{}), modify).cookies(), 1)
		r := v.steps(c.app(settings{Name: "other.sid"}), modify)
		is(c, "a cookie by the name that was set", strings.HasPrefix(r.header.Get("Set-Cookie"), "other.sid=s%3A"), true)
	}},
	{
		id: "CFG-3", says: "Without `store` the sessions are in memory.", verdict: different,
		why: "`Store` has to be set: that sessions end with the process is for the app to decide.", tests: []string{refusals},
	},
	{id: "CFG-4", says: "`genid` must be a function.", verdict: notInGo, why: "The compiler sees to it."},
	{id: "CFG-5", says: "`genid` gets the request, and what it returns is the id.", verdict: same, tests: []string{"TestIDsOfAllKinds"}},
	{id: "CFG-6", says: "An id is 24 random bytes as 32 characters of base64url.", verdict: same, shows: func(c *check) {
		_, _, id := c.loggedIn(settings{})
		is(c, "id", defaultID.MatchString(id), true)
	}},
	{
		id: "CFG-7", says: "`resave` is true unless it is set.", verdict: different,
		why: "False, as it will be in express-session 2: a request that changes nothing has nothing to write.", tests: []string{decidedGo, "TestConfigTellsTheDefaultsInForce"},
	},
	{
		id: "CFG-8", says: "`saveUninitialized` is true unless it is set.", verdict: different,
		why: "False, as it will be in express-session 2: a visitor who is passing through leaves nothing.", tests: []string{"G9: anonymous traffic writes nothing"},
	},
	{id: "CFG-9", says: "`rolling` is false unless it is set.", verdict: same, shows: func(c *check) {
		for rolling, cookies := range map[bool]int{false: 0, true: 1} {
			app, v, _ := c.loggedIn(settings{Rolling: rolling})
			is(c, "cookies of a visit", v.do(app, "GET", "/dump", "").cookies(), cookies)
		}
	}},
	{
		id: "CFG-10", says: "`unset` is `keep` or `destroy`, and tells what `req.session = null` does.", verdict: different,
		why: "Two verbs in place of an option: `Discard` keeps, `Destroy` destroys.", tests: []string{decidedGo, pairs}, shows: func(c *check) {
			if c.express {
				c.refused(settings{Unset: "forget"})
			}
		},
	},
	{id: "CFG-11", says: "`secret` is one or several; an empty list is refused.", verdict: same, shows: func(c *check) {
		c.refused(settings{Secrets: []string{}})
	}},
	{id: "CFG-12", says: "A secret is anything that HMAC takes as a key.", verdict: same, tests: []string{"TestCookiesAreExpressSessionsByteForByte"}},
	{id: "CFG-13", says: "The first secret signs, all verify.", verdict: same, tests: []string{"TestSecretsRotateOnAMixedFleet"}},
	{
		id: "CFG-14", says: "Without a secret, `req.secret` is used, and requests fail where there is none.", verdict: different,
		why: "A missing, empty or blank secret is refused at construction.", tests: []string{refusals},
	},
	{
		id: "CFG-15", says: "A cookie that an older secret signed is accepted, and left as it is.", verdict: different,
		why: "It is signed again by the first secret, for no longer than before: a rotation has to end some day.", shows: func(c *check) {
			_, v, _ := c.loggedIn(settings{Secrets: []string{oldSecret}})
			r := v.do(c.app(settings{Secrets: []string{newSecret, oldSecret}}), "GET", "/get/user", "")
			is(c, "user", r.body, `"bob"`)
			is(c, "number of cookies", r.cookies(), either(c, 0, 1))
		},
	},
	{id: "CFG-16", says: "`cookie` is an object, or a function of the request.", verdict: same, tests: []string{lines}},
	{
		id: "CFG-17", says: "The function is called once or twice for a request.", verdict: different,
		why: "Once.", tests: []string{"TestCookieForChoosesTheAttributesForEachRequest"},
	},
	{
		id: "CFG-18", says: "`proxy` is true, false or unset, which leaves it to Express.", verdict: different,
		why: "`TrustedProxies` are addresses: who may say that a request was secure is not for the client to choose.", tests: []string{"TestSecureFollowsTheRequest", "TestTrustedPeersAreComparedAsAddresses"},
	},
	{
		id: "CFG-19", says: "Two middlewares with one store share the cookie options of the last.", verdict: different,
		why: "A store knows no options: each Manager has its own.", tests: []string{"two Managers: each has its cookie and its session"},
	},
	{
		id: "CFG-20", says: "With NODE_ENV=production a warning tells that MemoryStore leaks.", verdict: notInGo,
		why: "Go has no such variable, and `memorystore` is bounded by number and by bytes.",
	},
	{
		id: "CFG-21", says: "The events `connect` and `disconnect` of a store switch sessions on and off.", verdict: different,
		why: "Every request finds out by itself; an outage is 503, or what `ServeAnonymously` says.", tests: []string{"TestAnOutageIsNeverAnEmptySession"},
	},

	// Which requests have a session

	{id: "ENT-1", says: "Where `req.session` exists already, nothing is done.", verdict: same, tests: []string{"mounted twice: the session is one, and so is the cookie"}},
	{
		id: "ENT-2", says: "While the store is disconnected, requests go on without a session.", verdict: different,
		why: "They are answered by 503: an empty session would be a wrong answer. `ServeAnonymously` may let some go on as anonymous.", tests: []string{"TestAnOutageIsNeverAnEmptySession", "ServeAnonymously: reads go on without a session"},
	},
	{id: "ENT-3", says: "After a reconnection sessions work again.", verdict: same, tests: []string{"TestOutage", "TestCrash"}},
	{
		id: "ENT-4", says: "Requests outside of `cookie.path` have no session; what counts is the path that the client asked for, before prefixes are stripped.", verdict: same,
		tests: []string{"a path that does not match Cookie.Path is left alone", "TestAStrippedPrefixOfARequestInAbsoluteFormStillCounts"},
	},
	{id: "ENT-5", says: "The host does not count.", verdict: same, tests: []string{"TestAStrippedPrefixOfARequestInAbsoluteFormStillCounts"}},
	{id: "ENT-6", says: "An empty URL is `/`.", verdict: notInGo, why: "net/http answers such a request by 400."},
	{
		id: "ENT-7", says: "The path is compared as a string: `/admin` covers `/administrator`.", verdict: different,
		why: "As browsers do it (RFC 6265), and as express-session is about to.", tests: []string{"TestTheCookiesPathIsMatchedAsBrowsersDo"},
	},
	{
		id: "ENT-8", says: "The secret is looked for after that, and `req.sessionStore` is set.", verdict: different,
		why: "Secrets are checked once, at construction; the way to the store is the Manager.", tests: []string{refusals},
	},
	{id: "ENT-9", says: "Without a valid cookie the store is not asked.", verdict: same, tests: []string{"a forged cookie never reaches the store", "G9: anonymous traffic writes nothing"}, shows: func(c *check) {
		app, v := c.app(settings{}), newVisitor(c)
		v.header.Set("Cookie", "connect.sid="+sign("a forger's secret", "id"))
		v.must(app, "GET", "/dump", "")
		if c.express {
			is(c, "calls", newVisitor(c).must(app, "GET", "/-/calls", ""), "[]")
		}
	}},

	// Reading the cookie

	{id: "RD-1", says: "Only the Cookie header counts.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		other := newVisitor(c)
		other.header.Set("X-Session", v.cookie())
		other.header.Set("Authorization", "Bearer "+v.cookie())
		is(c, "user", other.get(app, "user"), "")
	}},
	{id: "RD-2", says: "It is parsed as the npm module cookie does: quotes are stripped, values percent-decoded, names compared by case, and `+` is no space.", verdict: same, tests: []string{headers, "TestCookieHeadersAreParsedAsNodeDoes"}},
	{id: "RD-3", says: "The value must begin with `s:`.", verdict: same, tests: []string{headers}},
	{id: "RD-4", says: "The signature begins after the last dot, so that ids may have dots.", verdict: same, tests: []string{"TestIDsOfAllKinds"}},
	{id: "RD-5", says: "It is the HMAC-SHA256 of the id in base64, without padding; with padding it is not accepted.", verdict: same, tests: []string{headers}},
	{id: "RD-6", says: "It is compared in constant time.", verdict: same, shows: func(c *check) {
		source, err := os.ReadFile(either(c, "express/node_modules/express-session/node_modules/cookie-signature/index.js", "../core/internal/ticket/sign.go"))
		if err != nil {
			c.Fatal(err)
		}
		compares := regexp.MustCompile(either(c, `sha1\(mac\) == sha1\(val\)`, `subtle\.ConstantTimeCompare\(mac\.signature\(`))
		is(c, "constant time", compares.Match(source), true)
	}},
	{id: "RD-7", says: "A cookie with a bad signature is none.", verdict: same, tests: []string{pairs, "a changed character in the cookie makes a new visitor"}},
	{id: "RD-8", says: "An empty id is none, however well it is signed.", verdict: same, shows: func(c *check) {
		app, v := c.app(settings{}), newVisitor(c)
		v.header.Set("Cookie", "connect.sid="+sign(settings{}.on(c.db).Secrets[0], ""))
		is(c, "number of cookies", v.steps(app, modify).cookies(), 1)
	}},
	{id: "RD-9", says: "What cookie-parser left in `req.signedCookies` and `req.cookies` is a fallback (deprecated).", verdict: notInGo, why: "There is no such middleware, and express-session 2 drops it."},
	{id: "RD-10", says: "A value that is not percent-encoded is accepted too.", verdict: same, tests: []string{headers}},
	{
		id: "RD-11", says: "Of two cookies with the name only the first is looked at.", verdict: different,
		why: "All are, within limits: one that is stale or forged must not hide a good one.", tests: []string{"a dead cookie with a good signature does not hide a live one"}, shows: func(c *check) {
			app, v, _ := c.loggedIn(settings{})
			for _, bad := range []string{"x", sign("a forger's secret", "id"), sign(settings{}.on(c.db).Secrets[0], "gone")} {
				other := newVisitor(c)
				other.header.Set("Cookie", "connect.sid="+bad+"; connect.sid="+v.cookie())
				is(c, "user", other.get(app, "user"), either(c, "", `"bob"`))
			}
		},
	},

	// Loading and making a session

	{id: "LD-1", says: "A session that is found keeps its id.", verdict: same, tests: []string{pairs}},
	{id: "LD-2", says: "One that is not found gets a new id: no id is taken over from a client.", verdict: same, tests: []string{pairs}},
	{id: "LD-3", says: "An expired one is not found.", verdict: same, tests: []string{pairs}},
	{id: "LD-4", says: "The error `ENOENT` of a store means not found.", verdict: notInGo, why: "A Store returns `store.ErrNotFound`."},
	{id: "LD-5", says: "Any other error of the store is the response, and the handler does not run.", verdict: same, tests: []string{"TestAnOutageIsNeverAnEmptySession"}},
	{
		id: "LD-6", says: "A record without `cookie` fails every request with it.", verdict: different,
		why: "It is a session, and gets a cookie at its first write.", tests: []string{"TestARecordWithoutACookieGetsOneBeforeEverythingElse"}, shows: func(c *check) {
			app, v, _ := c.holding(settings{}, `{"user":"bob"}`)
			is(c, "status", v.do(app, "GET", "/get/user", "").status, either(c, 500, 200))
		},
	},
	{id: "LD-7", says: "`cookie.expires` in the record is not looked at: the store decides what has expired.", verdict: same, shows: func(c *check) {
		app, v, _ := c.holding(settings{}, `{"cookie":{"originalMaxAge":60000,"expires":"2020-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"user":"bob"}`)
		v.expect(app, "user", `"bob"`)
	}},
	{id: "LD-8", says: "The cookie is made from the record: its original max age stays, its expiry is brought up to date.", verdict: same, shows: func(c *check) {
		app, v, id := c.holding(settings{}, `{"cookie":{"originalMaxAge":60000,"expires":"2020-01-01T00:00:00.000Z","httpOnly":true,"path":"/"},"user":"bob"}`)
		_, cookie := v.do(app, "PUT", "/set/a", "1").sets()
		is(c, "the record keeps its original max age", keepsMaxAge(c, c.db, id, time.Minute), true)
		is(c, "a minute left", cookie != nil && time.Until(cookie.Expires).Round(10*time.Second) == time.Minute, true)
	}},
	{
		id: "LD-9", says: "The other attributes of the cookie come from the record too, whatever the options say by now.", verdict: different,
		why: "They come from the Config: a setting that was hardened has to reach the sessions that live.", shows: func(c *check) {
			app, v, _ := c.holding(settings{Cookie: &cookieOptions{SameSite: "strict"}},
				`{"cookie":{"originalMaxAge":60000,"expires":"2020-01-01T00:00:00.000Z","httpOnly":true,"path":"/","sameSite":"lax"},"user":"bob"}`)
			_, cookie := v.do(app, "PUT", "/set/a", "1").sets()
			is(c, "SameSite", cookie.SameSite, either(c, http.SameSiteLaxMode, http.SameSiteStrictMode))
		},
	},
	{
		id: "LD-10", says: "Keys with the names of its own members (`id`, `save`, `toString`, ...) are dropped, and the session is written again with every request.", verdict: different,
		why: "They are kept byte for byte. To set one is an error while the store is shared, as Express would lose it.", tests: []string{"TestSharingWithExpressRefusesKeysThatItDrops"}, shows: func(c *check) {
			app, v, _ := c.holding(settings{}, `{`+plainCookie+`,"id":1,"toString":2,"user":"bob"}`)
			is(c, "the session", v.must(app, "GET", "/dump", ""), either(c, `{"user":"bob"}`, `{"id":1,"toString":2,"user":"bob"}`))
		},
	},
	{id: "LD-11", says: "Two requests without a cookie make two sessions.", verdict: same, shows: func(c *check) {
		app, _, first := c.loggedIn(settings{})
		v := newVisitor(c)
		v.set(app, "user", `"eve"`)
		is(c, "the same id", v.id(app) == first, false)
	}},
	{
		id: "LD-12", says: "`auto` is resolved when a session is made, and stays so in the record.", verdict: different,
		why: "It is resolved for each response, or a session that began on HTTP would never get a secure cookie.", shows: func(c *check) {
			app, v, _ := c.loggedIn(settings{Proxy: &yes, Cookie: &cookieOptions{MaxAge: 60_000, Secure: "auto"}})
			v.header.Set("X-Forwarded-Proto", "https")
			_, cookie := v.do(app, "PUT", "/set/a", "1").sets()
			is(c, "Secure", cookie.Secure, either(c, false, true))
		},
	},

	// The session object

	{id: "SES-1", says: "`req.session.id` is the id, and cannot be changed.", verdict: same, tests: []string{pairs}},
	{
		id: "SES-2", says: "Its enumerable members are the app's keys and `cookie`.", verdict: different,
		why: "`Keys` has the app's keys: the cookie is none of them.", tests: []string{"TestUntypedAccess"},
	},
	{id: "SES-3", says: "Data persists from request to request.", verdict: same, tests: []string{pairs}},
	{id: "SES-4", says: "With `req.sessionID` replaced by something that is no string, nothing is saved.", verdict: notInGo, why: "The id cannot be replaced."},
	{id: "SES-5", says: "With `req.session` replaced by a plain object, the response throws.", verdict: notInGo, why: "The session cannot be replaced."},
	{
		id: "SES-6", says: "`req.session = null` is told by the option `unset`.", verdict: different,
		why: "`Discard` and `Destroy` say what is meant.", tests: []string{decidedGo},
	},

	// Its methods

	{
		id: "MET-1", says: "`save()` stores at once, with the expiry that was loaded.", verdict: different,
		why: "With the expiry as of now: there, a session that is kept alive for longer than its max age is deleted by a `save()`.", shows: func(c *check) {
			app, v, id := c.holding(settings{}, `{"cookie":{"originalMaxAge":3600000,"expires":"`+in(time.Minute)+`","httpOnly":true,"path":"/"},"user":"bob"}`)
			v.steps(app, modifySave)
			at, err := time.Parse(`"2006-01-02T15:04:05.000Z"`, cookieMember(c, c.db, id, "expires"))
			is(c, "the expiry is of now", err == nil && time.Until(at) > hour/2, either(c, false, true))
		},
	},
	{id: "MET-2", says: "After `save()` the end of the request does not save again, unless something changed.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "MET-3", says: "The session is touched all the same.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "MET-4", says: "A change after `save()` is saved at the end.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "MET-5", says: "`reload()` drops the changes and reads the session again.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		is(c, "the answer", v.steps(app, `[["set","user","eve"],["reload"],["get","user"]]`).body, `[null,null,"bob"]`)
	}},
	{id: "MET-6", says: "It fails where the session is gone, and leaves everything as it is.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		is(c, "the answer", meanwhile(v, app, `[["reload"],["get","user"]]`, func() {
			v.again().must(app, "POST", "/logout", "")
		}).body, `[null,"failed","bob"]`)
	}},
	{id: "MET-7", says: "`reload()` that fails again and again does not pile up.", verdict: notInGo, why: "Nothing is wrapped that could."},
	{
		id: "MET-8", says: "After `reload()` a session that others changed counts as changed, and is saved.", verdict: different,
		why: "What was just read is not a change.", shows: func(c *check) {
			app, v, id := c.loggedIn(settings{})
			var before string
			meanwhile(v, app, `[["reload"]]`, func() {
				v.again().set(app, "a", "1")
				if c.express {
					newVisitor(c).must(app, "GET", "/-/calls", "")
				}
				before = c.stored(id)
			})
			if c.express { // what it saves is what is there, so it is told by the calls
				is(c, "calls", newVisitor(c).must(app, "GET", "/-/calls", ""), `["get","set"]`)
			}
			is(c, "the record", c.stored(id), before)
		},
	},
	{
		id: "MET-9", says: "`destroy()` deletes the session; the cookie stays in the browser.", verdict: different,
		why: "The cookie is deleted too, with the same Path, Domain, Secure and Partitioned.", shows: func(c *check) {
			app, v, id := c.loggedIn(settings{})
			n, cookie := v.do(app, "POST", "/logout", "").sets()
			is(c, "the record", c.stored(id), "")
			is(c, "number of cookies", n, either(c, 0, 1))
			is(c, "deletes the cookie", cookie != nil && cookie.MaxAge < 0, either(c, false, true))
		},
	},
	{id: "MET-10", says: "With `unset: 'destroy'` it is deleted twice.", verdict: notInGo, why: "There is no `unset`.", shows: func(c *check) {
		if !c.express {
			return
		}
		app, v, _ := c.loggedIn(settings{Unset: "destroy"})
		newVisitor(c).must(app, "GET", "/-/calls", "")
		v.must(app, "POST", "/logout", "")
		is(c, "calls", newVisitor(c).must(app, "GET", "/-/calls", ""), `["get","destroy","destroy"]`)
	}},
	{
		id: "MET-11", says: "`regenerate()` deletes the session, then makes an empty one with a new id.", verdict: different,
		why: "The next one is stored first, then the old one is replaced by a mark without data: at no time is there neither, and late requests cannot bring it back.", tests: []string{pairs, "TestRenewKeepsTheDataAndRegenerateDropsIt"},
	},
	{id: "MET-12", says: "The new one is always saved, and its cookie set, empty or not.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		is(c, "number of cookies", v.steps(app, `[["regenerate"]]`).cookies(), 1)
		is(c, "the session is stored", c.stored(v.id(app)) != "", true)
		is(c, "the session", v.must(app, "GET", "/dump", ""), "{}")
	}},
	{
		id: "MET-13", says: "After `regenerate()` and `save()` it is saved a second time.", verdict: different,
		why: "Nothing changed since the first time.", tests: []string{decided, decidedGo},
	},
	{
		id: "MET-14", says: "`touch()` brings the expiry up to date, in memory only; the store is touched at the end of the request anyway.", verdict: different,
		why: "`Touch` extends the session in the store, also where that was done a moment ago.", tests: []string{"TestTouchExtendsAlsoWhenItWasDoneAMomentAgo", pairs},
	},
	{id: "MET-15", says: "`store.load()` gives a session outside of a request.", verdict: same, tests: []string{"TestEditChangesASessionFromOutside"}},
	{id: "MET-16", says: "All methods take callbacks.", verdict: notInGo, why: "They take a context where they wait, and return an error."},

	// Its cookie

	{
		id: "CK-1", says: "By default it has the path `/` and HttpOnly, and nothing else.", verdict: different,
		why: "And SameSite=Lax, and Secure where the request is.", tests: []string{"TestConfigTellsTheDefaultsInForce", "TestTheSetCookieLine"},
	},
	{id: "CK-2", says: "Options that are no object are refused.", verdict: notInGo, why: "The compiler sees to it."},
	{id: "CK-3", says: "An option `data` is ignored.", verdict: notInGo, why: "There is no such field."},
	{id: "CK-4", says: "To set `maxAge` sets the expiry and the original max age.", verdict: same, tests: []string{pairs}},
	{id: "CK-5", says: "So does to set `expires` to a date.", verdict: different, why: "A life is told by `SetMaxAge` alone: a date would stay where it is while the session goes on.", tests: []string{"TestWhoseMaxAgeCounts"}},
	{id: "CK-6", says: "`expires = null` makes it one for the browser's session.", verdict: same, tests: []string{pairs}},
	{id: "CK-7", says: "To read `maxAge` gives what is left of it.", verdict: notInGo, why: "Nothing reads the cookie back."},
	{id: "CK-8", says: "`maxAge` may be a date (deprecated); what is no number is refused.", verdict: notInGo, why: "It is a `time.Duration`."},
	{id: "CK-9", says: "Of `expires` and `maxAge` the later option counts.", verdict: notInGo, why: "There is one of them."},
	{id: "CK-10", says: "The original max age survives any number of requests.", verdict: same, tests: []string{pairs, "TestRandomOperations"}},
	{id: "CK-11", says: "A max age that a handler sets is that session's own from then on.", verdict: same, tests: []string{pairs, "TestWhoseMaxAgeCounts"}},
	{
		id: "CK-12", says: "To change only the max age is no change: it is lost.", verdict: different,
		why: "It counts as one.", shows: func(c *check) {
			app, v, id := c.loggedIn(settings{})
			v.steps(app, `[["maxAge",3600000]]`)
			is(c, "the original max age", originalMaxAge(c, c.db, id), either(c, "null", "3600000"))
		},
	},
	{id: "CK-13", says: "In the record its members have a fixed order, and those without a value are left out.", verdict: same, shows: func(c *check) {
		id := "the only session of " + c.side
		newVisitor(c).set(c.app(settings{
			IDs:    []string{id},
			Cookie: &cookieOptions{MaxAge: 3_600_000, Domain: ".example.com", HTTPOnly: &no, Secure: "auto", SameSite: "lax", Priority: "high"},
		}), "user", `"bob"`)
		stored := regexp.MustCompile(`"20[^"]+Z"`).ReplaceAllString(c.stored(id), "*")
		stored = regexp.MustCompile(`:3599\d{3},`).ReplaceAllString(stored, ":3600000,") // Express takes what is left of it a moment later
		is(c, "the cookie", strings.Contains(stored,
			`{"cookie":{"originalMaxAge":3600000,"priority":"high","expires":*,"secure":false,"httpOnly":false,"domain":"`+either(c, ".", "")+`example.com","path":"/","sameSite":"lax"},"user":"bob"`), true)
		_, _, id = c.loggedIn(settings{})
		is(c, "the plain cookie", strings.HasPrefix(c.stored(id), `{`+plainCookie+`,"user":"bob"`), true)
	}},
	{id: "CK-14", says: "`sameSite` is true (strict), lax, strict, none, or left out.", verdict: same, tests: []string{lines, refusals}},
	{id: "CK-15", says: "`priority` is low, medium or high.", verdict: same, tests: []string{lines, refusals}},
	{id: "CK-16", says: "`partitioned` sets Partitioned.", verdict: same, tests: []string{lines}},
	{id: "CK-17", says: "`secure: 'auto'` sets Secure where the request is.", verdict: same, shows: func(c *check) {
		app := c.app(settings{Proxy: &yes, Cookie: &cookieOptions{Secure: "auto"}})
		for proto, secure := range map[string]bool{"http": false, "https": true} {
			v := newVisitor(c)
			v.header.Set("X-Forwarded-Proto", proto)
			_, cookie := v.steps(app, modify).sets()
			is(c, "Secure over "+proto, cookie.Secure, secure)
		}
	}},
	{id: "CK-18", says: "`sameSite: 'auto'` is none where the request is secure, else lax.", verdict: same, shows: func(c *check) {
		app := c.app(settings{Proxy: &yes, Cookie: &cookieOptions{Secure: "auto", SameSite: "auto"}})
		for proto, sameSite := range map[string]http.SameSite{"http": http.SameSiteLaxMode, "https": http.SameSiteNoneMode} {
			v := newVisitor(c)
			v.header.Set("X-Forwarded-Proto", proto)
			_, cookie := v.steps(app, modify).sets()
			is(c, "SameSite over "+proto, cookie.SameSite, sameSite)
		}
	}},
	{
		id: "CK-19", says: "The two are independent: with `secure: false` an auto SameSite is none without Secure.", verdict: different,
		why: "Browsers drop that. It is lax.", shows: func(c *check) {
			for secure, sameSite := range map[bool]http.SameSite{
				false: either(c, http.SameSiteNoneMode, http.SameSiteLaxMode), true: http.SameSiteNoneMode,
			} {
				v := newVisitor(c)
				v.header.Set("X-Forwarded-Proto", "https")
				_, cookie := v.steps(c.app(settings{Proxy: &yes, Cookie: &cookieOptions{SameSite: "auto", Secure: secure}}), modify).sets()
				is(c, fmt.Sprintf("SameSite with secure %v", secure), cookie.SameSite, sameSite)
				is(c, "Secure", cookie.Secure, secure)
			}
		},
	},
	{
		id: "CK-20", says: "`auto` from a cookie function is not resolved: there is no cookie over HTTP.", verdict: different,
		why: "It is resolved.", shows: func(c *check) {
			v := newVisitor(c)
			v.header.Set("X-Cookie", `{"secure":"auto"}`)
			is(c, "number of cookies", v.steps(c.app(settings{CookieFromHeader: true}), modify).cookies(), either(c, 0, 1))
		},
	},

	// What counts as a change

	{
		id: "HSH-1", says: "A session has changed where the hash of its JSON has, but for `cookie`.", verdict: different,
		why: "What was set is compared with what was loaded, key by key: nothing is hashed, and what nobody touched is not even decoded.", tests: []string{decidedGo},
	},
	{id: "HSH-2", says: "A key `cookie` further inside counts.", verdict: same, shows: func(c *check) {
		app, v, id := c.loggedIn(settings{})
		v.set(app, "a", `{"cookie":1}`)
		v.set(app, "a", `{"cookie":2}`)
		is(c, "stored", strings.Contains(c.stored(id), `"a":{"cookie":2}`), true)
	}},
	{
		id: "HSH-3", says: "The order counts: a key that is deleted and set again is a change.", verdict: different,
		why: "The same value is no change.", shows: func(c *check) {
			app, v, id := c.loggedIn(settings{})
			v.set(app, "a", "1")
			before := c.stored(id)
			v.steps(app, `[["delete","user"],["set","user","bob"]]`)
			is(c, "the record is as it was", c.stored(id) == before, either(c, false, true))
		},
	},
	{id: "HSH-4", says: "What is changed and changed back is no change.", verdict: same, tests: []string{decided, decidedGo}},
	{
		id: "HSH-5", says: "Changes deep inside of a value are found.", verdict: different,
		why: "A value that was read is a copy. `Set` or `Update` stores it.", tests: []string{"TestAValueThatIsSetIsACopy"},
	},
	{id: "HSH-6", says: "A new id is a change; what was saved is compared with the last save.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "HSH-7", says: "With `resave` a session that did not change is saved.", verdict: same, tests: []string{decided, decidedGo}},
	{
		id: "HSH-8", says: "What cannot be made JSON makes the response hang.", verdict: different,
		why: "The response fails with an error that names the key.", tests: []string{"TestAValueThatCannotBeEncodedFailsTheResponseAndNamesTheKey"},
	},

	// What is saved, and when the cookie is set

	{
		id: "DEC-1", says: "With `unset: 'destroy'`, `req.session = null` deletes the session.", verdict: different,
		why: "`Destroy` does.", tests: []string{decidedGo}, shows: func(c *check) {
			app, v, id := c.loggedIn(settings{Unset: "destroy"})
			r := v.steps(app, `[["discard"]]`)
			is(c, "number of cookies", r.cookies(), 0)
			is(c, "the session is stored", c.stored(id) != "", either(c, false, true))
		},
	},
	{id: "DEC-2", says: "With `unset: 'keep'` it leaves everything as it was.", verdict: same, shows: func(c *check) {
		app, v, id := c.loggedIn(settings{})
		before := c.stored(id)
		is(c, "number of cookies", v.steps(app, `[["set","n",1],["discard"]]`).cookies(), 0)
		is(c, "the record", c.stored(id), before)
	}},
	{
		id: "DEC-3", says: "Every request touches the session.", verdict: different,
		why: "Once per `TouchInterval` and process: reads stay reads.", tests: []string{"TestHowOftenAReaderExtendsTheSession", "reads stay reads: a session is extended once per interval"},
	},
	{id: "DEC-4", says: "A new session is saved if it was changed, an existing one if it differs from what was last saved.", verdict: same, tests: []string{decided, decidedGo}},
	{
		id: "DEC-5", says: "A session that is saved is not touched as well.", verdict: different,
		why: "An extension that is due goes out beside the handler, before it is known whether the request saves.", tests: []string{decidedGo},
	},
	{id: "DEC-6", says: "The cookie of a new session is set if it was changed, of an existing one with `rolling`, or if it was changed and expires.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "DEC-7", says: "With `resave` every existing session is saved.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "DEC-8", says: "With `saveUninitialized` every new session is saved, and its cookie set.", verdict: same, tests: []string{decided, decidedGo}},
	{
		id: "DEC-14", says: "So is one for a cookie whose session was regenerated a moment ago.", verdict: different,
		why: "Within that minute there is none, and no cookie: it would take the place of the new one, which the browser may have by then.", tests: []string{"TestSaveUninitializedMakesNoSessionInPlaceOfOneThatMovedOn"},
	},
	{id: "DEC-9", says: "With `rolling` every response of an existing session sets the cookie.", verdict: same, tests: []string{decided, decidedGo}},
	{id: "DEC-10", says: "A cookie for the browser's session is set once.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		is(c, "number of cookies", v.steps(app, modify).cookies(), 0)
	}},
	{id: "DEC-11", says: "One that expires is set again with every change, and not otherwise.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{Cookie: &cookieOptions{MaxAge: 60_000}})
		is(c, "number of cookies without a change", v.do(app, "GET", "/dump", "").cookies(), 0)
		is(c, "number of cookies with one", v.steps(app, modify).cookies(), 1)
	}},
	{
		id: "DEC-12", says: "A new session that is saved by `save()` and not changed has no cookie.", verdict: different,
		why: "Cookie and record go together: nobody could use that record.", shows: func(c *check) {
			is(c, "number of cookies", newVisitor(c).steps(c.app(settings{}), save).cookies(), either(c, 0, 1))
		},
	},
	{
		id: "DEC-13", says: "Neither has one that is changed after the first byte.", verdict: different,
		why: "It is not stored, and the log says so.", tests: []string{"TestAChangeOfANewSessionAfterTheFirstByteIsDroppedAndLogged"}, shows: func(c *check) {
			id := fmt.Sprintf("an id of %s that nobody will know", c.side)
			r := newVisitor(c).steps(c.app(settings{IDs: []string{id}}), bodyModify)
			is(c, "number of cookies", r.cookies(), 0)
			is(c, "stored", c.stored(id) != "", either(c, true, false))
		},
	},

	// The Set-Cookie line

	{id: "SC-1", says: "The value is the percent-encoded `s:`, id, dot and signature.", verdict: same, tests: []string{"TestCookiesAreExpressSessionsByteForByte", "TestIDsOfAllKinds"}},
	{id: "SC-2", says: "The first secret signs it.", verdict: same, tests: []string{"TestSecretsRotateOnAMixedFleet"}},
	{
		id: "SC-3", says: "The attributes are Domain, Path, Expires, HttpOnly, Secure, Partitioned, Priority, SameSite, in this order, and never Max-Age.", verdict: different,
		why: "Max-Age is there too, after Expires: it does not depend on the browser's clock.", tests: []string{lines},
	},
	{
		id: "SC-4", says: "Expires is the expiry in the record, to the second.", verdict: different,
		why: "It counts from when the response begins, that in the record from when it was written, a moment before.", shows: func(c *check) {
			app := c.app(settings{Cookie: &cookieOptions{MaxAge: 3_600_000}})
			v := newVisitor(c)
			_, cookie := v.steps(app, modify).sets()
			at, err := time.Parse(`"2006-01-02T15:04:05.000Z"`, cookieMember(c, c.db, v.id(app), "expires"))
			apart := cookie.Expires.Sub(at.Truncate(time.Second))
			is(c, "the two are as one", err == nil && apart >= 0 && apart <= either(c, 0, patience), true)
		},
	},
	{id: "SC-5", says: "It is added to the cookies of the handler.", verdict: same, shows: func(c *check) {
		r := newVisitor(c).steps(c.app(settings{}), `[["cookie","other"],["set","n",1]]`)
		is(c, "number of cookies", len(r.header.Values("Set-Cookie")), 2)
		is(c, "of the session", r.cookies(), 1)
	}},
	{
		id: "SC-6", says: "With `secure: true` a request over HTTP gets no cookie, without a word, and its session is stored.", verdict: different,
		why: "The response fails and the log says what to set: nobody could use that session.", tests: []string{"SecureAlways over plain HTTP: an error, and nothing is stored"}, shows: func(c *check) {
			r := newVisitor(c).do(c.app(settings{Cookie: &cookieOptions{Secure: true}}), "PUT", "/set/a", "1")
			is(c, "number of cookies", r.cookies(), 0)
			is(c, "status", r.status, either(c, 204, 500))
		},
	},
	{
		id: "SC-7", says: "What a handler changes in `req.session.cookie` counts for the response.", verdict: different,
		why: "Of the attributes only the max age is a session's own.", tests: []string{"TestWhoseMaxAgeCounts", "SetMaxAge makes the cookie outlive the browser"},
	},
	{id: "SC-8", says: "There is no Expires unless a max age is set.", verdict: same, shows: func(c *check) {
		r := newVisitor(c).steps(c.app(settings{}), modify)
		is(c, "Expires", strings.Contains(r.header.Get("Set-Cookie"), "Expires"), false)
	}},
	{
		id: "SC-9", says: "An attribute that cannot be sent is an error after the response.", verdict: different,
		why: "It is refused at construction.", tests: []string{refusals},
	},
	{id: "SC-10", says: "The cookie is decided when the headers go out; the status and headers of the handler stay.", verdict: same, tests: []string{"Vary of the handler is kept", "Cache-Control: no-store stays with the cookie"}, shows: func(c *check) {
		is(c, "status", newVisitor(c).do(c.app(settings{}), "PUT", "/set/a", "1").status, http.StatusNoContent)
	}},
	{id: "SC-11", says: "Its expiry counts from then, not from the beginning of the request.", verdict: same, shows: func(c *check) {
		app := c.app(settings{Cookie: &cookieOptions{MaxAge: 10_000}})
		began := time.Now()
		_, cookie := meanwhile(newVisitor(c), app, `[["set","n",1]]`, func() {
			<-time.After(1500 * time.Millisecond) // the expiry has whole seconds, of the clock of Express
		}).sets()
		is(c, "it counts from the end", cookie.Expires.After(began.Add(10*time.Second)), true)
	}},
	{id: "SC-12", says: "A domain may begin with a dot; a name must be a token, a path without `;`.", verdict: same, tests: []string{lines, refusals}},
	{
		id: "SC-13", says: "Nothing ever deletes the cookie in the browser.", verdict: different,
		why: "`Destroy` does.", tests: []string{"TestDestroyDeletesTheSessionAndItsCookie"},
	},

	// Whether a request is secure

	{id: "SEC-1", says: "A connection by TLS is.", verdict: same, tests: []string{"HTTP/2 and TLS: the cookie is Secure"}},
	{id: "SEC-2", says: "With `proxy: false` no other is, whatever its headers say.", verdict: same, shows: func(c *check) {
		v := newVisitor(c)
		v.header.Set("X-Forwarded-Proto", "https")
		_, cookie := v.steps(c.app(settings{Proxy: &no, Cookie: &cookieOptions{Secure: "auto"}}), modify).sets()
		is(c, "Secure", cookie.Secure, false)
	}},
	{
		id: "SEC-3", says: "With `proxy` unset, Express's `trust proxy` decides.", verdict: different,
		why: "The frameworks' settings differ, and some trust everybody. There is one: `TrustedProxies`.", tests: []string{"TestSecureFollowsTheRequest"},
	},
	{
		id: "SEC-4", says: "With `proxy: true` the first value of X-Forwarded-Proto decides.", verdict: different,
		why: "The last value counts, which the nearest proxy wrote, and only from an address in `TrustedProxies`: the first is the client's to choose.", shows: func(c *check) {
			app := c.app(settings{Proxy: &yes, Cookie: &cookieOptions{Secure: "auto"}})
			for proto, want := range map[string]bool{
				"https": true, "HTTPS": true, " https ": true, "http": false, "wss": false, "https;x": false,
				"https, http": either(c, true, false), "http, https": either(c, false, true),
			} {
				v := newVisitor(c)
				v.header.Set("X-Forwarded-Proto", proto)
				_, cookie := v.steps(app, modify).sets()
				is(c, fmt.Sprintf("Secure by %q", proto), cookie.Secure, want)
			}
		},
	},

	// The end of the response

	{
		id: "END-1", says: "A response ends when its session is saved, whether or not that failed.", verdict: different,
		why: "It begins when the session is saved, and is an error where that failed.", tests: []string{"G3: no byte leaves before the session is stored"},
	},
	{
		id: "END-2", says: "Without Content-Length all of the body leaves before the session is saved.", verdict: different,
		why: "Save, then first byte.", tests: []string{"G3: no byte leaves before the session is stored"},
	},
	{
		id: "END-3", says: "With Content-Length all of it but the last byte does.", verdict: different,
		why: "Save, then first byte.", tests: []string{"G3: no byte leaves before the session is stored"},
	},
	{id: "END-4", says: "Without a body nothing leaves before.", verdict: same, tests: []string{"G3: no byte leaves before the session is stored"}},
	{
		id: "END-5", says: "So a client can be told of success, and follow a redirect, before its session is saved.", verdict: different,
		why: "It cannot.", tests: []string{"G3: no byte leaves before the session is stored"},
	},
	{id: "END-6", says: "A second `end()` does nothing.", verdict: notInGo, why: "A handler returns once."},
	{id: "END-7", says: "`end(null)` works, `end(callback)` does not.", verdict: notInGo, why: "There is no such call."},
	{id: "END-8", says: "Others may patch `write` and `end` before or after.", verdict: same, tests: []string{"a compressor around the framework", "the framework's compressor inside of the sessions"}},
	{id: "END-9", says: "Stores that answer at once work too.", verdict: notInGo, why: "All do: a call returns when it is done."},
	{id: "END-10", says: "What is changed after the first byte is saved at the end, but can set no cookie.", verdict: same, shows: func(c *check) {
		app, v, _ := c.loggedIn(settings{})
		is(c, "number of cookies", v.steps(app, `[["body"],["set","n",1]]`).cookies(), 0)
		v.expect(app, "n", "1")
	}},
	{
		id: "END-11", says: "Nothing is saved where the connection ends before the response does, as with event streams.", verdict: different,
		why: "What was changed before the first byte is saved then; a client that hangs up cannot keep its logout from being done.", tests: []string{"a client that hangs up during logout is logged out", "an event stream: the cookie comes with the headers, long before the end", "Hijack: what was changed before is stored"},
	},

	// Errors

	{id: "ERR-1", says: "A save that fails is an error after a response that said 200.", verdict: different, why: "The response is the error.", tests: []string{"TestAnOutcomeThatCannotBeSettledFailsTheResponse"}},
	{id: "ERR-2", says: "So is a touch that fails.", verdict: different, why: "The response is the error, or not, as `ServeAnonymously` says.", tests: []string{"TestAFailedExtensionFollowsServeAnonymously"}},
	{id: "ERR-3", says: "So is a deletion that fails.", verdict: different, why: "`Destroy` returns it, the commit tries again, and fails the response if it must.", tests: []string{"TestAFailedDestroyIsTriedAgainAtTheCommit"}},
	{id: "ERR-4", says: "A load that fails is the response, before the handler runs.", verdict: same, tests: []string{"TestAnOutageIsNeverAnEmptySession"}},
	{id: "ERR-5", says: "What `genid` throws leaves the middleware, or is the response.", verdict: different, why: "An error of `GenerateID` fails the commit.", tests: []string{"TestAnUnusableIDFailsTheCommit"}},
	{id: "ERR-6", says: "An original max age that is a string ends the process.", verdict: different, why: "It counts as none, and is mended.", tests: []string{"TestNoOddRecordFailsARequestAndNoneIsWrittenThatHurtsExpress"}},
	{
		id: "ERR-8", says: "What a handler changed before it threw is saved, together with the error page.", verdict: different,
		why: "A panic drops it: a handler that did not come to its end has done half of something. What has to stay is for `Save`.", tests: []string{"a panic with recovery outside: nothing is stored", "a panic after the first byte: what was stored before stays, the rest is dropped"},
	},
	{id: "ERR-7", says: "With a store that does not answer, requests hang.", verdict: different, why: "For `StoreTimeout` at most.", tests: []string{"TestAHangingStoreIsGivenUpAfterStoreTimeout"}},

	// The store in memory

	{id: "MEM-1", says: "It keeps JSON, and every read gives a fresh copy.", verdict: same, tests: []string{"TestStore", "LoadedBytesSurviveUpdate", "CreateKeepsNoSlice"}},
	{id: "MEM-2", says: "Expired sessions are removed when they are read, and never else.", verdict: different, why: "They are swept too, and their number and bytes are limited.", tests: []string{"TestSweep", "TestMaxSessions"}},
	{id: "MEM-3", says: "A touch never brings a session back.", verdict: same, tests: []string{"TouchUnknown", "TouchDeleted", "ExpiredTouch"}},
	{id: "MEM-4", says: "There are `all`, `length` and `clear`.", verdict: same, tests: []string{"TestAllWalksTheLiveSessionsAndNothingElse", "TestCount", "TestClearEndsAllSessions"}},
	{id: "MEM-5", says: "Callbacks are never called at once.", verdict: notInGo, why: "There are none."},
}

// in returns a moment as JavaScript writes it.
func in(d time.Duration) string {
	return time.Now().Add(d).UTC().Format("2006-01-02T15:04:05.000Z")
}

// meanwhile does something while a request of another tab of the visitor has its
// session already. The request takes its steps after that.
func meanwhile(v *visitor, s side, steps string, do func()) reply {
	v.t.Helper()
	asked, done := make(chan struct{}), make(chan struct{})
	here := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-done
	}))
	defer here.Close()
	answered := make(chan reply, 1)
	tab := v.again()
	go func() {
		defer close(answered)
		answered <- tab.steps(s, `[["ask",`+quote(here.URL)+`],`+strings.TrimPrefix(steps, "["))
	}()
	func() {
		defer close(done)
		select {
		case <-asked:
			do()
		case r := <-answered:
			v.t.Fatalf("%s answers %d without having asked: %s", s.name, r.status, r.body)
		}
	}()
	return <-answered
}
