package browser

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// pictures are what docs/images shows of the app, each on a wide screen and on a
// phone.
var pictures = []struct{ name, path string }{
	{"shop", "/"},
	{"devices", "/devices"},
	{"admin", "/admin"},
	{"show", "/show/lost-updates"},
}

var screens = []struct {
	suffix string
	width  int64
}{
	{"", 1280},
	{"-phone", 375},
}

const images = "../../docs/images"

func picture(name, suffix string) string {
	return filepath.Join(images, "accounts-"+name+suffix+".png")
}

func TestPicturesAreThere(t *testing.T) {
	t.Parallel()
	for _, p := range pictures {
		for _, s := range screens {
			info, err := os.Stat(picture(p.name, s.suffix))
			if err != nil {
				t.Errorf("%v: go test ./browser -run TestPictures -update takes them", err)
			} else if info.Size() > 150<<10 {
				t.Errorf("%s has %d KB", info.Name(), info.Size()>>10)
			}
		}
	}
}

// agents are the devices of the user in the pictures.
var agents = []string{
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0",
	"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
}

func TestPictures(t *testing.T) {
	if !*update {
		t.Skip("without -update no pictures are taken")
	}
	const bars, bar = 60, time.Second // instead of minutes: the charts fill up in one
	a := start(t, "-store", "valkey://"+servers.Start(t).Addr, "-bar", bar.String())
	boss := user{admin, "Ada", "correct horse battery staple"}
	var others []user
	for _, name := range []string{"Grace", "Edsger", "Barbara", "Tony", "Frances"} {
		others = append(others, user{strings.ToLower(name) + "@example.com", name, boss.password})
	}
	for _, u := range others {
		a.enter(t, "/signup", u)
	}
	b := whole.newBrowser(t)
	a.signUp(b.tab, boss)
	for _, agent := range agents {
		a.as(t, agent, boss)
	}

	// Users come and go in waves. Some click twice at the same time.
	var cookies []string
	tick := time.NewTicker(bar / 20)
	defer tick.Stop()
	for n := range bars * 20 {
		<-tick.C
		wave := 1 + math.Sin(float64(n)/90) + 0.6*math.Sin(float64(n)/23)
		if wave < rand.Float64() {
			continue
		}
		if n%max(3, int(14-5*wave)) == 0 || cookies == nil {
			cookies = append(cookies, a.enter(t, "/login", others[n%len(others)]))
		}
		cookie := cookies[max(0, len(cookies)-1-rand.IntN(5))]
		clicks := 1
		if n%11 == 0 {
			clicks = 3
		}
		var wg sync.WaitGroup
		for range clicks {
			wg.Go(func() { a.send(t, http.MethodPost, "/cart", cookie, url.Values{"item": {"hat"}}) })
		}
		wg.Wait()
	}
	b.open(a.URL)
	b.add(1)
	for _, p := range pictures {
		for i, s := range screens {
			do(b.tab, "the size", chromedp.EmulateViewport(s.width, 800))
			switch b.open(a.URL + p.path); p.name {
			case "shop":
				b.add(2 + i) // the product says so
				eval[bool](b.tab, "scrollTo(0, 0), true")
			case "show":
				b.click("main form button")
			}
			b.untilShown("#countdown")
			if err := os.MkdirAll(images, 0o755); err != nil {
				t.Fatal(err)
			}
			file := picture(p.name, s.suffix)
			if err := os.WriteFile(file, do(b.tab, "the picture", chromedp.CaptureScreenshot()), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Log("wrote ", file)
		}
	}
}

// as is a login with a browser of that kind.
func (a *app) as(t *testing.T, agent string, u user) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), servers.Patience)
	defer cancel()
	form := url.Values{"email": {u.email}, "password": {u.password}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.URL+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", agent)
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}
