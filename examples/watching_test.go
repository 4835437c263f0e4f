package examples

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// What the session layer did is in the metrics, and in the traces.
func TestOpenTelemetry(t *testing.T) {
	t.Parallel()
	operators := freePort(t)
	traces, written, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer traces.Close()
	said := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(traces)
		said <- string(all)
	}()
	ended := t.Run("serves", func(t *testing.T) {
		v := newVisitor(t, startWriting(t, "opentelemetry", written, "METRICS_PORT="+operators))
		listens(t, operators)
		v.do("GET", "/", nil)
		if got, _ := v.do("GET", "/", nil); got != "200 Number of views: 2" {
			t.Errorf("got %q", got)
		}
		if got, _ := v.do("POST", "/login", url.Values{"user": {"bob-of-the-users"}}); got != "200 Hello, bob-of-the-users!" {
			t.Errorf("got %q", got)
		}
		operator := newVisitor(t, "http://127.0.0.1:"+operators)
		for _, path := range []string{"/livez", "/readyz"} {
			if got, _ := operator.do("GET", path, nil); got != "200 ok" {
				t.Errorf("%s: %q", path, got)
			}
		}
		poll(t, "the sessions are counted", func() bool {
			got, _ := operator.do("GET", "/metrics", nil)
			return hasSample(got, "cloakroom_session_live", "", " 2") // the one with its former id, too
		})
		metrics, _ := operator.do("GET", "/metrics", nil)
		for name, label := range map[string]string{
			"cloakroom_session_events_total":                     `cloakroom_event="signed-in"`,
			"cloakroom_session_operation_duration_seconds_count": `cloakroom_operation="commit"`,
			"cloakroom_session_store_call_duration_seconds_sum":  `cloakroom_verb="update"`,
		} {
			if !hasSample(metrics, name, label, "") {
				t.Errorf("%s{%s} is not in the metrics", name, label)
			}
		}
		if strings.Contains(metrics, "bob-of-the-users") {
			t.Error("a user is in the metrics")
		}
	})
	_ = written.Close() // the program has ended
	got := <-said
	for _, name := range []string{`"Name": "session load"`, `"Name": "session commit"`, `"Name": "session signed-in"`, `"Name": "POST"`} {
		if ended && !strings.Contains(got, name) {
			t.Errorf("%s is not in the traces", name)
		}
	}
	if strings.Contains(got, "bob-of-the-users") {
		t.Error("a user is in the traces")
	}
}

// startWriting is start for a program whose standard output is read.
func startWriting(t *testing.T, program string, stdout *os.File, env ...string) string {
	t.Helper()
	port := freePort(t)
	cmd := exec.Command(build(t, program))
	cmd.Env = append(append(os.Environ(), "PORT="+port, "SESSION_SECRET="+rand.Text()+rand.Text()), env...)
	cmd.Stdout = stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	listens(t, port)
	return "http://127.0.0.1:" + port
}

// hasSample reports whether a page of metrics has a line of that name that holds label
// and ends in value.
func hasSample(metrics, name, label, value string) bool {
	for line := range strings.Lines(metrics) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, name+"{") && strings.Contains(line, label) && strings.HasSuffix(line, value) {
			return true
		}
	}
	return false
}

// poll waits until something is so.
func poll(t *testing.T, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("after a minute it is not so that %s", what)
		}
	}
}

// What was under way when the program was told to end is finished, and stored; and
// whoever balances the load is told before anybody is turned away.
func TestShutdown(t *testing.T) {
	t.Parallel()
	binary, dir, secret := build(t, "shutdown"), t.TempDir(), rand.Text()+rand.Text()
	run := func() (*exec.Cmd, string) {
		t.Helper()
		port := freePort(t)
		cmd := exec.Command(binary)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "PORT="+port, "SESSION_SECRET="+secret, "DRAIN_TIME=1h")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		listens(t, port)
		return cmd, "http://127.0.0.1:" + port
	}
	cmd, base := run()
	v := newVisitor(t, base)
	expect := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	first, _ := v.do("POST", "/upload", url.Values{"ten": {"bytes_"}})
	expect(first, "200 Uploaded so far: 10 bytes")
	ready, _ := v.do("GET", "/readyz", nil)
	expect(ready, "200 ok")

	// An upload is under way.
	body, upload := io.Pipe()
	reads := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reads) }})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/upload", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Expect", "100-continue") // what answers it is the handler, when it reads
	type answer struct {
		text string
		err  error
	}
	answered := make(chan answer, 1)
	slow := &http.Client{Jar: v.http.Jar, Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	go func() {
		res, err := slow.Do(r)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		answered <- answer{strings.TrimSpace(string(text)), err}
	}()
	<-reads

	signal := func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	signal()
	poll(t, "the load balancer is told", func() bool {
		got, _ := v.do("GET", "/readyz", nil)
		return got == "503 shutting down"
	})
	live, _ := v.do("GET", "/livez", nil)
	expect(live, "200 ok")
	late, _ := newVisitor(t, base).do("POST", "/upload", url.Values{"ten": {"bytes_"}})
	expect(late, "200 Uploaded so far: 10 bytes") // it was sent before all had heard
	v.http.CloseIdleConnections()

	signal() // all have heard
	poll(t, "no connection is accepted", func() bool {
		res, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(base + "/livez") //nolint:noctx // its answer is at once
		if err == nil {
			_ = res.Body.Close()
		}
		return err != nil
	})
	select {
	case a := <-answered:
		t.Fatalf("the upload that is under way ended too early: %+v", a)
	default:
	}
	if _, err := io.WriteString(upload, strings.Repeat("x", 90)); err != nil {
		t.Fatal(err)
	}
	_ = upload.Close()
	a := <-answered
	if a.err != nil {
		t.Fatal(a.err)
	}
	expect(a.text, "Uploaded so far: 100 bytes")
	slow.CloseIdleConnections()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the program ended with %v", err)
	}

	_, v.base = run()
	again, _ := v.do("POST", "/upload", url.Values{})
	expect(again, "200 Uploaded so far: 100 bytes")
}
