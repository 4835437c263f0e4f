package main

// A fault is one that was there, as it would look in today's code.
type fault struct {
	what  string // what a user would see
	file  string
	edits []edit

	in, test string // what has to fail
}

// An edit puts a text in the place of one that stands in the file once.
type edit struct{ now, then string }

var faults = []fault{
	{
		what: "a logout answers OK though the session was renewed meanwhile, and lives on under its new id",
		file: "core/end.go",
		edits: []edit{{
			"case sealed == nil: // it was about to be deleted\n",
			"case sealed == nil, next != \"\":\n",
		}},
		in: "./core", test: "TestALogoutEndsTheSessionThatWasRenewedMeanwhile",
	},
	{
		what: "a sign-in whose entry in the user's list is refused kills the session that was there",
		file: "core/enter.go",
		edits: []edit{
			{
				"\tif e.next == nil {\n\t\terr = e.store(d)\n",
				"\tif s.standing == state.Live && e.next == nil {\n" +
					"\t\tretired := s.retire(d)\n\t\tif newer, err = m.sessions.Update(e.op, s.base, &retired, s.x.cookie.MaxAge); err != nil {\n" +
					"\t\t\treturn newer, err\n\t\t}\n\t}\n" +
					"\tif e.next == nil {\n\t\terr = e.store(d)\n",
			},
			{
				"\t\tretired := s.retire(d)\n\t\tif newer, err = m.sessions.Update(e.op, s.base, &retired, s.x.cookie.MaxAge); err != nil {\n" +
					"\t\t\treturn newer, err\n\t\t}\n\t}\n\ts.issued(",
				"\t}\n\ts.issued(",
			},
		},
		in: "./core", test: "TestASignInThatTheStoreRefusesCostsNothing",
	},
	{
		what: "after a login whose answer was lost, each further login of that browser is a 409",
		file: "core/internal/state/step.go",
		edits: []edit{{
			"\tcase MovedOn:\n\t\tswitch {\n\t\tcase in.SignIn:\n\t\t\treturn Create\n",
			"\tcase MovedOn:\n\t\tswitch {\n\t\tcase in.SignIn:\n\t\t\treturn FailGone\n",
		}},
		in: "./core", test: "TestEveryLoginAfterALostAnswerSucceeds",
	},
	{
		what: "a logout leaves the session of a second genuine cookie, and the visitor stays signed in",
		file: "core/end.go",
		edits: []edit{{
			"for _, c := range found[:n] {\n\t\tif key :=",
			"for _, c := range found[:min(n, 0)] {\n\t\tif key :=",
		}},
		in: "./core", test: "TestALogoutEndsEverySessionThatCame",
	},
	{
		what: "a request that is longer than the idle timeout loses its session",
		file: "core/flight.go",
		edits: []edit{{
			"if x.r == nil || x.passive || x.jar != nil { //",
			"if x.r == nil || x.passive || x.jar != nil || !now.IsZero() { //",
		}},
		in: "./core", test: "TestALongRequestKeepsItsSession",
	},
	{
		what: "a passive request that changes something gives the session its whole idle time again",
		file: "core/encode.go",
		edits: []edit{{
			"next.Record.TTL = store.KeepTTL\n",
			"next.Record.TTL = left\n",
		}},
		in: "./core", test: "TestWhatIsNoActivityKeepsTheLifeThatIsLeft",
	},
	{
		what: "a late answer of another process puts the old cookie back over that of a login",
		file: "core/commit.go",
		edits: []edit{{
			"case doc.Meta.IsRetired():\n\t\tif err := s.followRotation(op, doc); err != nil {\n\t\t\treturn err\n\t\t}\n\t\treturn s.lost(op, retiredStanding(doc))\n\t}\n\ts.proven = true\n",
			"case doc == nil:\n\t\treturn nil\n\t}\n\ts.proven = true\n",
		}},
		in: "./core", test: "TestALateAnswerDoesNotPutAnOldCookieBack",
	},
	{
		what: "with Cookie.MaxAge an active session ends when its first cookie does",
		file: "core/commit.go",
		edits: []edit{{
			"return expires.Sub(now) < maxAge-maxAge/reissueFraction\n",
			"return expires.Sub(now) < 0\n",
		}},
		in: "./core", test: "TestCookieMaxAgeDoesNotEndAnActiveSession",
	},
	{
		what: "fifty requests of a session at once send fifty extensions",
		file: "core/extend.go",
		edits: []edit{{
			"!last.Within(now, interval) && x.m.extended.Claim(key, now, interval)\n",
			"!last.Within(now, interval)\n",
		}},
		in: "./core", test: "TestFiftyRequestsAtOnceSendOneExtension",
	},
	{
		what: "the answers of a batch share whether the headers are out",
		file: "core/answer.go",
		edits: []edit{{
			"if a := x.nested().answer(h); a != nil {\n\t\treturn &a.answer\n",
			"if a := x.nested().answer(h); a != nil && h == nil {\n\t\treturn &a.answer\n",
		}},
		in: "./core", test: "TestEachAnswerOfABatchBegins",
	},
	{
		what: "a record of another id is taken for the one that was asked for",
		file: "core/internal/vault/vault.go",
		edits: []edit{{
			"return rec.ID != \"\" && rec.ID != key }",
			"return rec.ID != \"\" && key == \"\" }",
		}},
		in: "./core/internal/vault", test: "TestARecordOfAnotherIDIsAFailure",
	},
	{
		what: "a key that is taken out of SealKeys after a leak locks its users out",
		file: "core/internal/vault/vault.go",
		edits: []edit{{
			"case err != nil && seal.IsUnder(v.Retired, rec.Data):\n",
			"case err != nil && seal.IsUnder(nil, rec.Data):\n",
		}},
		in: "./core", test: "TestAKeyIsRotatedAndRetired",
	},
	{
		what: "the lists of users who logged out fill the memory, and nobody gets a session any more",
		file: "stores/memory/users.go",
		edits: []edit{{
			"if list.ties.n > 0 || sh.entries[list.id] != list {\n",
			"if list.ties.n > -1 || sh.entries[list.id] != list {\n",
		}},
		in: "./tests/memory", test: "TestWhoLoggedOutTakesNoRoom",
	},
	{
		what: "Clear removes the lists first, and what it leaves when it fails cannot be revoked",
		file: "core/clear.go",
		edits: []edit{
			{"if err := m.sessions.Call(ctx, \"clear\").End(clearer.Clear(ctx)); err != nil {\n", "if err := m.lists.removeUnchanged(ctx, before); err != nil {\n"},
			{"return m.lists.removeUnchanged(ctx, before)\n", "return m.sessions.Call(ctx, \"clear\").End(clearer.Clear(ctx))\n"},
		},
		in: "./core", test: "TestClearLeavesNothingThatCannotBeRevoked",
	},
	{
		what: "without a limit of the app's, the thousand and first login of a user is refused",
		file: "core/admit.go",
		edits: []edit{{
			"return m.cfg.AtUserLimit == RefuseNew }",
			"return m.cfg.AtUserLimit == RefuseNew || m.cfg.MaxSessionsPerUser == 0 }",
		}},
		in: "./core", test: "TestNoUserHasMoreThanAThousandSessions",
	},
	{
		what: "eight forged cookies in front hide the good one",
		file: "core/internal/ticket/cookies.go",
		edits: []edit{{
			"MaxSignatures = 256\n",
			"MaxSignatures = 8\n",
		}},
		in: "./core", test: "TestCookieHeadersAreParsedAsNodeDoes",
	},
	{
		what: "with a port in X-Forwarded-For the list of devices shows the proxy's network",
		file: "core/proxy.go",
		edits: []edit{{
			"i >= 0 && isPort(node[i:]) {",
			"i >= 0 && isPort(\"\") {",
		}},
		in: "./core", test: "TestTheNetworkIsThatOfTheClient",
	},
	{
		what: "a session that ended by its timeout comes back from a later cookie of the former library",
		file: "core/follow.go",
		edits: []edit{{
			"if err = s.markFollowed(op, old); err == nil {\n",
			"if err == nil {\n",
		}},
		in: "./core", test: "TestASessionThatEndedHereDoesNotComeBackFromALaterCookie",
	},
	{
		what: "whoever logs out while the former library's store is down stays signed in here",
		file: "core/end.go",
		edits: []edit{{
			"\tforgotten := s.forgetPredecessor(op)\n",
			"\tforgotten := s.forgetPredecessor(op)\n\tif forgotten != nil {\n\t\treturn s.endLater(op, forgotten)\n\t}\n",
		}},
		in: "./core", test: "TestALogoutEndsTheSessionHereThoughTheOldStoreFails",
	},
}
