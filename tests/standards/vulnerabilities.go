package main

const aboutVulnerabilities = `
## Known vulnerabilities of others

Mistakes for which session libraries, and programs with sessions of their own, have published advisories since 2013;
and the tests that would find them here.

| | the mistake | where it was made | tests here |
|---|---|---|---|
`

// A vulnerability is a mistake that others have made.
type vulnerability struct {
	number, mistake, advisories string
	tests                       []string
	why                         string // where it cannot be made here: why
}

var vulnerabilities = []vulnerability{
	{"T-01", "an id that the client made up becomes a session", "CVE-2024-38513 (Fiber), CVE-2018-1000519 (aiohttp-session)", []string{"adaptertest: an unknown id with a good signature is not adopted", "adaptertest: the id of an ended session is not used again", "FuzzCookieHeader"}, ""},
	{"T-02", "a new session, or a renewed one, overwrites one with the same id", "tower-sessions 0.12.0 and 0.12.1", []string{"TestACollisionOfIDsNeverOverwrites", "storetest: CreateTwice", "storetest: ReplaceExists", "storetest: RaceCreate"}, ""},
	{"T-03", "login does not change the id", "CVE-2022-25896 (passport), CVE-2023-29019 (fastify-passport), CVE-2023-22479 (KubePi)", []string{"TestNoIDIsOfUseAfterAnyChangeOfRights", "adaptertest: login changes the id and keeps the data", "TestSignInGivesANewIDAndKeepsTheDataOfTheVisitor"}, ""},
	{"T-04", "a second login, or more rights for the same user, keeps the id", "CVE-2018-11385 and CVE-2023-46733 (Symfony)", []string{"TestNoIDIsOfUseAfterAnyChangeOfRights", "TestSignInGivesANewIDAndKeepsTheDataOfTheVisitor"}, ""},
	{"T-05", "another host of the site sets the cookie", "CVE-2024-28197 (Zitadel)", []string{"adaptertest: a __Host- cookie", "adaptertest: names that browsers or parsers may take for a __Host- cookie's are others", "TestNewRefusesWhatCannotWorkAndNamesTheField"}, ""},
	{"T-06", "a cookie of one app, or tenant, is good in another", "CVE-2022-46170 (CodeIgniter), CVE-2023-47127 (TYPO3), Discourse #14949", []string{"TestACookieOfOneAppIsWorthNothingInAnother", "storetest: CountOwnRecordsOnly"}, ""},
	{"T-07", "the value of one cookie is good as another cookie", "Laravel, July 2020", []string{"TestACookieOfOneAppIsWorthNothingInAnother", "TestASealedRecordOpensOnlyAsItWasSealed"}, ""},

	{"T-10", "a request under way brings back a session that ended", "CVE-2025-46336 (rack-session), CVE-2025-32441 (rack)", []string{"TestARequestThatWasTooLateDoesNotBringASessionBack", "adaptertest: G2: logout stays done whatever is under way, in any process", "storetest: UpdateDeleted", "storetest: TouchDeleted"}, ""},
	{"T-11", "loading a session moves its expiry", "CVE-2024-35220 (fastify-session)", []string{"TestActivityExtendsTheIdleTimeAndNotTheAbsolute", "TestTheAbsoluteTimeoutIsCheckedWhenASessionIsRead"}, ""},
	{"T-12", "what is encrypted has no time limit that the server checks", "CVE-2018-1000814 (aiohttp-session)", []string{"TestASealedRecordThatIsPutBackIsNoSessionAfterItsTime"}, ""},
	{"T-13", "a session that is all in the cookie cannot be ended", "CVE-2024-31999 (fastify-secure-session)", nil, "The data is never in the cookie."},
	{"T-14", "a short life is rounded to none, which is for ever", "CVE-2021-32923 (Vault)", []string{"storetest: CreateForOneNanosecond", "storetest: UpdateForOneNanosecond", "storetest: TouchForOneNanosecond", "TestMillisecondsAreRoundedUp", "TestNoLifeInTheStoreIsLongerThanWhatWasAsked"}, ""},
	{"T-15", "a stream outlives its session", "CVE-2022-3867 (Nomad)", []string{"adaptertest: an event stream: Check tells when the session has ended", "adaptertest: WebSocket upgrade: Check tells when the session has ended"}, ""},
	{"T-16", "logout deletes the cookie and nothing else", "CVE-2024-21492 (caddy-security), CVE-2025-53826 (filebrowser), CVE-2026-30224 (OliveTin)", []string{"adaptertest: logout deletes the cookie, and the old cookie is worthless"}, ""},
	{"T-17", "sessions survive a change of password, or the account", "CVE-2023-1543 and CVE-2023-4126 (Answer), CVE-2025-1412 (Mattermost), CVE-2026-34828 (listmonk), CVE-2026-27575 (Vikunja), GHSA-7hgr-xvrr-xpw3 (nhost), GHSA-2vg6-77g8-24mp (better-auth)", []string{"TestRevokeUserEndsWhatIsUnderWay", "TestUsersOfThreeProcesses"}, ""},
	{"T-18", "a token that was replaced is used again, and nobody minds", "CVE-2026-56750 (Gitea)", []string{"TestAVisitorWithARetiredIDIsAnonymousAndGetsNoCookie"}, ""},
	{"T-19", "logout and a change in one request leave a session", "CVE-2023-20862 (Spring Security)", []string{"TestAfterDestroyTheSessionTakesNoMoreVerbs", "TestDestroyDeletesTheSessionAndItsCookie"}, ""},
	{"T-20", "a listener that fails stops the logout", "CVE-2021-34428 (Jetty)", []string{"TestALogoutIsDoneWhateverItsHooksDo"}, ""},
	{"T-21", "a revocation that could not be stored is reported as done", "CVE-2020-15223 (fosite)", []string{"TestAFailedDestroyIsTriedAgainAtTheCommit", "TestARevocationThatDiedHalfwayIsFinished", "adaptertest: logout fails: the response fails, and the session lives"}, ""},
	{"T-22", "the cookie is deleted with other attributes than it was set with", "CVE-2026-34454 (oauth2-proxy)", []string{"adaptertest: every attribute of the cookie, and its deletion with the same ones", "adaptertest: the deletion has the same attributes on error pages"}, ""},
	{"T-23", "a cache serves a session that has ended", "better-auth", []string{"TestCaching", "TestTheCacheSparesReadsAndBypassCacheReadsPastIt", "TestRequireRecentSignInAsksTheStorageItself"}, ""},
	{"T-24", "one user ends the sessions of another by their number", "CVE-2017-18878 (Mattermost)", []string{"TestRevokeChecksTheOwner"}, ""},
	{"T-25", "what is listed can be used as a token", "CVE-2016-11072 (Mattermost), CVE-2024-39683 (Zitadel)", []string{"TestHashIDsKeepsTheIDsOutOfTheStore", "TestNoVerbPrintsASecret", "TestTheHandleIsPublicAndStays", "TestSessionsDescribesTheDevicesOfAUser"}, ""},
	{"T-26", "what is good for one use is used twice at the same time", "CVE-2020-15222 (fosite), CVE-2026-45720 (Omni)", []string{"TestTakeGivesAValueToExactlyOne", "adaptertest: Take gives a value to exactly one of many requests", "TestOfManyWhoTakeAOneTimeValueOneGetsIt"}, ""},

	{"T-30", "the id is the key in the store, for who can measure or read it", "CVE-2019-16782 (rack), CVE-2019-25025 (activerecord-session_store), CVE-2026-53603 (nebula-mesh)", []string{"TestHashIDsKeepsTheIDsOutOfTheStore"}, ""},
	{"T-31", "signatures are compared until the first difference", "CVE-2013-0263 (rack), CVE-2016-1000236 (cookie-signature)", []string{"TestVerifyingTakesTheSamePathWhereverASignatureIsWrong"}, ""},
	{"T-32", "where randomness fails, ids are predictable", "CVE-2025-66565 and CVE-2025-66630 (Fiber), CVE-2026-2439 (Concierge::Sessions)", []string{"TestWithoutRandomnessThereIsNoID", "TestAnUnusableIDFailsTheCommit"}, ""},
	{"T-33", "ids come from a counter or the clock", "CVE-2024-52801 (SFTPGo)", []string{"TestIDsAre192RandomBits"}, ""},
	{"T-34", "the id is printed", "CVE-2023-20866 (Spring Session)", []string{"TestNoVerbPrintsASecret", "TestErrorsAndLogsAreBuiltFromHarmlessParts"}, ""},
	{"T-35", "a shared cache is not told that the response depends on the session", "CVE-2023-30861 and CVE-2026-27205 (Flask)", []string{"TestEveryWayToLookAtASessionSetsVary", "TestVaryAndCacheControl"}, ""},
	{"T-36", "after a rotation the oldest key signs", "CVE-2025-47278 (Flask)", []string{"TestSecretsRotateWithoutARestart", "TestSealedSessionsLookLikeAnyOther"}, ""},
	{"T-37", "what cannot be decrypted is taken as plain text", "CVE-2026-39324 (rack-session)", []string{"TestSealedSessionsLookLikeAnyOther", "FuzzOpen"}, ""},
	{"T-38", "a shortened signature is accepted", "CVE-2025-47275 (Auth0-PHP)", []string{"TestASealedRecordOpensOnlyAsItWasSealed", "FuzzVerify"}, ""},
	{"T-39", "there is a secret by default, or any will do", "many apps", []string{"TestNewRefusesWhatCannotWorkAndNamesTheField", "TestAShortSecretIsWarnedAboutOnceAndNotPrinted"}, ""},
	{"T-40", "what is set wrongly lets everybody in", "GHSA-8fpg-xm3f-6cx3 (Auth.js)", []string{"TestNewRefusesWhatCannotWorkAndNamesTheField"}, ""},
	{"T-41", "an option of the cookie has no effect", "CVE-2018-25060 (go-macaron/csrf), CVE-2026-48058 (nebula-mesh)", []string{"TestTheSetCookieLine", "TestSecureFollowsTheRequest"}, ""},
	{"T-42", "names that are escaped, or missing, pass for a prefixed cookie", "CVE-2020-7070 (PHP), CVE-2020-8184 (rack), CVE-2021-41819 (Ruby), CVE-2023-23934 (Werkzeug)", []string{"adaptertest: names that browsers or parsers may take for a __Host- cookie's are others", "TestCookieHeadersAreParsedAsNodeDoes"}, ""},
	{"T-43", "CSRF tokens do not belong to a session, or survive its login", "CVE-2020-8166 (Rails), CVE-2023-45128 and CVE-2023-45141 (Fiber), CVE-2022-24895 (Symfony), CVE-2023-29020 (fastify-passport), CVE-2023-27495 (fastify-csrf-protection)", nil, "Cloakroom has no tokens of that kind: use `http.CrossOriginProtection`. One that an app keeps in a session should be deleted where it calls `Renew`."},
	{"T-44", "a timeout redirects to wherever the request says", "CVE-2026-40295 (devise)", []string{"TestAReturnPathNeverLeadsToAnotherSite", "adaptertest: a sign-in never leads to another site"}, ""},

	{"T-50", "unknown ids make records", "CVE-2015-5143 (Django)", []string{"TestAnonymousRequestsLeaveNothing", "adaptertest: G9: anonymous traffic writes nothing"}, ""},
	{"T-51", "logout of visitors without a session makes records", "CVE-2015-5963 and CVE-2015-5964 (Django)", []string{"TestAnonymousRequestsLeaveNothing"}, ""},
	{"T-52", "the empty id is a session that many share", "CVE-2015-3982 (Django)", []string{"TestAnUnusableIDFailsTheCommit", "TestCookieHeadersAreParsedAsNodeDoes", "FuzzGeneratedID"}, ""},
	{"T-53", "a user may have any number of sessions", "CVE-2024-4183 (Mattermost)", []string{"TestTheLimitIsNeverExceededByAHundredSignIns"}, ""},
	{"T-54", "a length in the input decides how much is allocated; or input crashes", "CVE-2026-25899 (Fiber), CVE-2014-4179 (yar)", []string{"FuzzCookieHeader", "FuzzRecord", "FuzzFlash", "FuzzADocumentOfTheServer", "TestALargeAnythingIsRefusedOrCostsLittle", "TestVerifyingGarbageAllocatesAlmostNothing"}, ""},
	{"T-55", "a cookie in pieces says how many there are", "CVE-2026-40303 (zrok)", nil, "There are no pieces: a cookie of more than 4096 bytes is refused."},
	{"T-56", "who holds the lock of a session stops all others", "CVE-2018-11386 (Symfony)", []string{"TestACommitThatWaitsForItsTurnGivesUpWithErrConflict", "TestDestroyDoesNotWaitForItsTurn"}, ""},
	{"T-57", "headers of the app are lost or reordered", "CVE-2025-7339 (on-headers)", []string{"adaptertest: cookies of the app are kept", "adaptertest: headers from outside are as they were on the error page"}, ""},
	{"T-58", "the id is the name of a file", "CVE-2019-16354, CVE-2019-16355 and CVE-2024-55885 (beego), CVE-2025-61686 (React Router), GO-2024-2730 (gorilla/sessions, withdrawn)", []string{"storetest: IDDots", "storetest: IDSlashes", "storetest: IDNUL"}, ""},
	{"T-59", "objects that are used again show the session of another user", "CVE-2026-24894 (FrankenPHP)", []string{"adaptertest: each visitor has a session of their own", "adaptertest: G10: many visitors and many requests of each at once"}, ""},
	{"T-60", "a page token of the client is used as it comes", "CVE-2026-33503 (Kratos)", nil, "No page token is given to clients: `Manager.All` is an iterator."},
	{"T-61", "the level of a login is computed wrongly", "CVE-2024-45042 (Kratos)", []string{"TestSignInRecordsWhenAndHow", "TestRequireRecentSignIn"}, ""},
	{"T-62", "another user gets the session that is there", "CVE-2014-0482 (Django)", []string{"TestSignInGivesANewIDAndKeepsTheDataOfTheVisitor"}, ""},
}
