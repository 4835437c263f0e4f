package adaptertest

import (
	"maps"
	"strings"
	"testing"
)

// RunSealed is [Run] with each session sealed in its cookie, and a store of those that
// ended ([core.SealedCookie]). The scenarios that it does not run are skipped with the
// reason: they are about what takes a store to keep.
func RunSealed(t *testing.T, fw Framework) {
	t.Helper()
	fw.sealed = true
	fw.Except = withUnkept(fw.Except)
	Run(t, fw, nil)
}

// withUnkept returns what is excepted where sessions are sealed.
func withUnkept(except map[string]string) map[string]string {
	all := make(map[string]string)
	for why, names := range unkept {
		for _, name := range names {
			all[name] = why
		}
	}
	for _, sc := range carriers {
		all[sc.name] = noHeader
	}
	for _, sc := range bindings {
		all[sc.name] = noBinding
	}
	for _, sc := range scenarios() {
		if strings.HasPrefix(sc.name, byHeader) {
			continue
		}
		if strings.HasSuffix(sc.name, givesWay) || strings.HasSuffix(sc.name, "every kind of answer gives way when the commit fails") {
			all[sc.name] = noWrite
		}
	}
	maps.Copy(all, except)
	return all
}

// noHeader is why those of another carrier do not.
const noHeader = "a sealed session is the cookie, and nothing that a header could carry"

// noBinding is why those of bound sessions do not.
const noBinding = "a sealed session cannot be bound: the browser binds it by a request that need not have the cookie"

// noWrite is why most of them do not run. That a commit can fail here too is shown by a
// session that is too large.
const noWrite = "a sealed cookie is written without a store, which could fail or take its time"

// unkept are the scenarios of what a sealed cookie does not keep or does not need, by
// the reason.
var unkept = map[string][]string{
	"G1 is not kept by a sealed cookie: the browser keeps what the last answer says": {
		"G1: 64 clients x 50 increments over 3 processes on one session are 3200",
		"G1: requests that set different keys all land",
		"G10: many visitors and many requests of each at once",
		"changes of other requests are seen after Renew",
	},
	"a value cannot be taken once out of a sealed cookie": {
		"Take gives a value to exactly one of many requests",
	},
	"a process learns that another one has ended a session with the next request, and not at the commit": {
		"destroyed in another process under a request that writes: 409, no cookie",
		"destroyed in another process under a request that writes and answers nothing: 409, no cookie",
		"regenerated in another process under a request that writes: 409, no cookie",
		"regenerated in another process under a request that writes and answers nothing: 409, no cookie",
		"renewed in another process under a request that writes: 409, no cookie",
		"renewed in another process under a request that writes and answers nothing: 409, no cookie",
	},
	"what comes after the first byte does not get into a sealed cookie": {
		"a change after the first byte: an existing session is stored when the handler returns",
		"a change after the first byte that cannot be stored is logged",
		"Lazy: a load after the first byte works, and changes are stored",
		"goroutines use the session while the response begins",
		"Hijack: what was changed before is stored",
		"WebSocket upgrade: the cookie reaches the client on its first visit (as gorilla/websocket)",
		"WebSocket upgrade: the cookie reaches the client on its first visit (as coder/websocket)",
		"WebSocket upgrade: what was changed before is stored, what is changed later only by Save (as gorilla/websocket)",
		"WebSocket upgrade: what was changed before is stored, what is changed later only by Save (as coder/websocket)",
		"WebSocket upgrade: Check tells when the session has ended (as gorilla/websocket)",
		"WebSocket upgrade: Check tells when the session has ended (as coder/websocket)",
		"a request under way is activity, however long it takes",
	},
	"the scenario counts or changes what is in the store, where no sealed session is": {
		"G8: an idle session ends without anybody sweeping",
		"Passive requests do not extend the session",
		"a page is told what its session has left, and does not extend it by asking",
		"many requests at once extend the session once, in each process",
		"what is no activity leaves the session the life that it has, in each process",
		"mounted twice: the session is one, and so is the cookie",
		"a record that cannot be decoded is as if gone, is reported once, and stays in the store",
		"with ids hashed and data sealed: every kind of answer comes with the cookie",
	},
	"a sealed cookie is another each time": {
		"Rolling sends the cookie with each response of a session",
		"Cache-Control: public becomes private with the cookie",
	},
	noWrite: {
		"G2: logout does not wait for a write that hangs",
		"G2: logout stays done while writes are at the store",
		"G3: no byte leaves before the session is stored",
		"a timeout outside: handlers that are in time are not touched by it",
		"a client that hangs up during the commit: it is done",
		"a client that hangs up during logout is logged out",
		"Hijack: none when the commit fails",
		"WebSocket upgrade: none when the commit fails (as gorilla/websocket)",
		"WebSocket upgrade: none when the commit fails (as coder/websocket)",
		"login fails: the old session lives, and no other is left",
		"logout fails: the response fails, and the session lives",
		"the store hangs at the commit: 503 within StoreTimeout",
		"the store is down: 503 to all, and no restart is needed",
		"a panic after a failed commit: nothing of the handler's leaves",
		"a panic with recovery inside: its page is an answer like any other",
		"two Managers: when the outer commit fails nothing of the handler's leaves",
		"two Managers: when the inner commit fails nothing of the handler's leaves",
		"the framework's compressor outside of the sessions",
		"the framework's compressor inside of the sessions",
		"the framework's compressor on both sides of the sessions, with recovery",
		"a compressor around the framework",
		"the handler's writes get the error of the commit",
		"Config.ErrorHandler that writes nothing but a status",
		"Config.ErrorHandler writes the error page",
		"Config.ErrorHandler that writes nothing: the client gets an error all the same",
		"mounted twice: Config.ErrorHandler is called once",
		"headers from outside are as they were on the error page",
		"headers that are set after the commit failed do not show",
		"the error page of a redirect leads nowhere",
		"the error page has no header of the handler's",
	},
}
