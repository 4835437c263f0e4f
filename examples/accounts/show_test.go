package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

var (
	laneMark = regexp.MustCompile(`<rect class="after"`)
	again    = regexp.MustCompile(`<strong>(\d+)</strong> times`)
)

func TestTheShow(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		ann := s.browser(t).signUp("ann")
		ann.post("/cart", "item", "coat")
		ann.get("/show").at(200, "/show").says("Nothing is lost", "Logged out is logged out", "Stolen cookies end", `action="/show/late-request#result"`)
		ann.get("/show/late-request").at(200, "/show/late-request").saysNot(`id="result"`)
		ann.get("/show/nothing").isProblem(404)
		ann.post("/show/nothing").isProblem(404)

		page := ann.post("/show/lost-updates").at(200, "/show/lost-updates")
		page.says("40 of 40 hats are in the cart.", "<strong>40 of 40</strong>", "<strong>1 of 40</strong>", "Tab 1", "Tab 2", "20 requests at once", "all have read the cart").saysNot("broken")
		if n := len(laneMark.FindAllString(page.body, -1)); n != 40 {
			t.Errorf("the picture shows %d requests", n)
		}
		m := again.FindStringSubmatch(page.body)
		if m == nil {
			t.Fatalf("the page does not say how often a change was made again:\n%s", page.body)
		}
		if n, err := strconv.Atoi(m[1]); err != nil || n < 39 { // by each but the first
			t.Errorf("%s changes were made again", m[1])
		}
		page = ann.post("/show/late-request").at(200, "/show/late-request")
		page.says("stays logged out", "answered 409: its session has ended", "answered 200: the session is gone", "answered 401: it belongs to nobody", "<strong>0 of 1</strong>").saysNot("broken")
		if n := len(laneMark.FindAllString(page.body, -1)); n != 3 {
			t.Errorf("the picture shows %d requests", n)
		}

		page = ann.post("/show/stolen-cookies").at(200, "/show/stolen-cookies")
		page.says("worth nothing any more", "<strong>2 of 2</strong>", "<strong>1 of 3</strong>", "twelve minutes pass",
			"locks the session to it", "until the second cookie ends", "it shows that it has the key").saysNot("broken")
		if n := len(laneMark.FindAllString(page.body, -1)); n != 5 {
			t.Errorf("the picture shows %d requests", n)
		}

		// Whoever looks on has what they had, and what was made up is gone.
		ann.get("/cart").at(200, "/cart").says(`<span id="cart-count" class="count">1<`, `id="user"`)
		s.later.Add(int64(2 * time.Minute)) // ids that were given up count for a minute
		ann.get("/admin?event=signed-in").says("The show", "Logged in (session ")
		ann.get("/admin?event=refused").says("The show", "Was refused, being locked to its browser: a cookie came without the proof")
		if devices, _ := ann.devices(); len(devices) != 0 {
			t.Errorf("the show left %d devices", len(devices))
		}
	})
}

func TestManyShowsAtOnceComeOneAfterTheOther(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		var all sync.WaitGroup
		for i := range 9 {
			all.Go(func() {
				name := []string{"lost-updates", "late-request", "stolen-cookies"}[i%3]
				b := s.browser(t)
				r := b.post("/show/" + name)
				for r.status == errStage.Status && strings.Contains(r.body, errStage.Title) { // the machine is slow
					r = b.post("/show/" + name)
				}
				r.at(200, "/show/"+name).saysNot("broken")
			})
		}
		all.Wait()
	})
}

func TestNobodyWaitsForTheStageForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &app{stage: make(chan struct{}, 1)}
		leave, err := a.takeStage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := a.takeStage(t.Context()); !errors.Is(err, errStage) || time.Since(began) != longestWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		gone, hangUp := context.WithCancel(t.Context())
		hangUp()
		if _, err := a.takeStage(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("whoever hung up: %v", err)
		}
		leave()
		if _, err := a.takeStage(t.Context()); err != nil {
			t.Errorf("an empty stage: %v", err)
		}
	})
}

func TestTheShowDuringAnOutageIsAnOutage(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		_ = s.store.Close()
		for _, d := range s.app.demonstrations() {
			s.browser(t).post("/show/" + d.Name).isProblem(503).says("We cannot reach our storage")
		}
	})
}

func TestABrowserIsLedToTheLoginAndBack(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		s.browser(t).signUp("ann")
		b := s.browser(t)
		const page = "/devices?from=mail&x=1"
		r := b.do("GET", page, nil, "Accept", "text/html")
		if r.status != 200 || r.path != "/login?return_to=%2Fdevices%3Ffrom%3Dmail%26x%3D1" {
			t.Fatalf("led to %s: %d", r.path, r.status)
		}
		r.says(`name="return_to" value="` + page + `"`)
		b.post("/login", "email", "ann@example.com", "password", secret, "return_to", page).at(200, page)
		for _, elsewhere := range []string{"https://example.org/", "//example.org", `/\example.org`, "javascript:alert(1)"} {
			b.post("/login", "email", "ann@example.com", "password", secret, "return_to", elsewhere).at(200, "/")
		}
	})
}

func TestTheOperatorFindsAndEndsOneSession(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		boss := s.browser(t).signUp("boss")
		laptop, phone := s.browser(t).signUp("ann"), s.browser(t).logIn("ann", secret)
		s.browser(t).signUp("bob")
		_, onPhone := phone.devices()

		boss.get("/admin?q=ANN").at(200, "/admin?q=ANN").says("ann@example.com", "Logged in on 2 devices", `value="ANN"`).saysNot("bob@example.com", "<td>bob</td>")
		boss.get("/admin?q=ann&event=signed-in").says("<td>ann</td>").saysNot(`class="event created"`)
		boss.get("/admin?q=nobody").says("Nobody is called that.", "Nothing of that kind.")
		phone.post("/admin/end-session", "email", "bob@example.com", "handle", onPhone).isProblem(403)

		boss.post("/admin/end-session", "email", "bob@example.com", "handle", onPhone).at(200, "/admin").says("had ended already") // it is not bob's
		phone.get("/devices").at(200, "/devices")
		boss.post("/admin/end-session", "email", "nobody@example.com", "handle", onPhone).at(200, "/admin").says("Nobody has that email")
		boss.post("/admin/end-session", "email", "ann@example.com", "handle", onPhone).at(200, "/admin").says("That session of ann is ended", "Was logged out by boss")
		phone.get("/devices").isProblem(401)
		laptop.get("/devices").at(200, "/devices")

		s.later.Add(int64(11 * time.Minute))
		_, onLaptop := laptop.devices()
		boss.post("/admin/end-session", "email", "ann@example.com", "handle", onLaptop).isProblem(401)
		boss.logIn("boss", secret)
		_, own := boss.devices()
		boss.post("/admin/end-session", "email", "boss@example.com", "handle", own).at(200, "/").says("You are logged out")
	})
}

func TestTheOperatorSeesAFewOfManyAccounts(t *testing.T) {
	onEach(t, func(t *testing.T, s *site) {
		boss := s.browser(t).signUp("boss")
		for i := range shownAccounts {
			if _, err := s.app.users.Add(t.Context(), user{Email: fmt.Sprintf("user%d@example.com", i), Name: fmt.Sprint("user", i)}); err != nil {
				t.Fatal(err)
			}
		}
		page := boss.get("/admin").says("1 more: filter by a name")
		if n := strings.Count(page.body, `action="/admin/end-user"`); n != shownAccounts {
			t.Errorf("%d accounts are shown", n)
		}
		boss.get("/admin?q=boss@").says("boss@example.com").saysNot(" more: filter")
	})
}

func TestALoginThatIsNeverRecentIsRefusedAtTheStart(t *testing.T) {
	for fresh, want := range map[time.Duration]bool{0: true, time.Second: true, time.Millisecond: false, -1: false} {
		_, err := newApp(memorystore.New(memorystore.Options{}), settings{idle: time.Hour, fresh: fresh, secret: strings.Repeat("s", 32)})
		if (err == nil) != want {
			t.Errorf("-fresh %v: %v", fresh, err)
		}
	}
}
