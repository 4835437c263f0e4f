package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// overHTTP are the workloads that are measured over HTTP.
var overHTTP = []string{"W3", "W4"}

// served lists the subjects that are measured over HTTP with sessions in Valkey, or in
// PostgreSQL, and beside Valkey for comparison some that wait for nothing.
func served(store string) (list []subject) {
	for _, sub := range subjects() {
		switch {
		case sub.store == store:
			if sub.library == lazyName || strings.HasPrefix(sub.library, scsIdleName) {
				continue // does here as its neighbour does
			}
		case store == valkeyS && (sub.store == noStore || sub.store == memory || sub.store == opened || sub.store == cached):
			if sub.on != onGin || sub.library == lazyName || sub.library == ginLibrary {
				continue
			}
		default:
			continue
		}
		list = append(list, sub)
	}
	if _, err := os.Stat(expressInstalled); err == nil {
		list = append(list, subject{library: expressLibraries[store], on: onExpress, store: store})
	}
	return list
}

const onExpress = "Express"

// expressLibraries are what a subject on Express is called, by its store.
var expressLibraries = map[string]string{
	valkeyS:   "express-session with connect-redis",
	postgresS: "express-session with connect-pg-simple",
}

// expressInstalled is of the package that package.json had last.
const expressInstalled = "express/node_modules/connect-pg-simple/package.json"

// installExpress installs what package-lock.json lists, unless that is there.
func installExpress(ctx context.Context) error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("there is no node")
	}
	if _, err := os.Stat(expressInstalled); err == nil {
		return nil
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--silent")
	cmd.Dir = "express"
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("npm ci fails: %w", err)
	}
	return nil
}

// A server is a subject in a process of its own.
type server struct {
	subject subject
	app     *app
	process *exec.Cmd
	measure map[string]*load // by workload
}

// A load is what clients saw of a server with one workload, by round.
type load struct {
	perSecond []float64
	p50, p99  []time.Duration
	cpu       []time.Duration // of the server, for a request
	visitors  []*regular
}

// overNetwork measures the subjects with that store behind real connections. Server,
// clients and database share the machine.
func overNetwork(ctx context.Context, s *servers, o options, store string) (all []*server, err error) {
	defer func() {
		for _, srv := range all {
			srv.app.close()
		}
	}()
	for _, sub := range served(store) {
		srv, err := startServer(ctx, s, sub)
		if err != nil {
			return all, fmt.Errorf("%s: %w", sub.where(), err)
		}
		all = append(all, srv)
		if err := srv.prepare(); err != nil {
			return all, fmt.Errorf("%s: %w", sub.where(), err)
		}
	}
	for round := range o.httpRounds {
		o.progress("over HTTP, %s: round %d of %d", store, round+1, o.httpRounds)
		for _, w := range overHTTP {
			for _, srv := range all {
				if err := srv.round(ctx, w, o.httpSlice); err != nil {
					return all, fmt.Errorf("%s, %s: %w", srv.subject.where(), w, err)
				}
			}
		}
	}
	for _, srv := range all {
		if srv.subject.store == noStore {
			continue
		}
		for _, r := range srv.measure["W4"].visitors {
			if err := r.counts(); err != nil {
				return all, fmt.Errorf("%s: %w", srv.subject.where(), err)
			}
		}
	}
	return all, nil
}

// startServer starts the process and waits until it listens.
func startServer(ctx context.Context, s *servers, sub subject) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, serveCommand, sub.id())
	cmd.Env = append(os.Environ(), "VALKEY_ADDR="+s.valkey, "POSTGRESQL_URL="+s.postgresql)
	if sub.on == onExpress {
		cmd = exec.CommandContext(ctx, "node", "server.js")
		cmd.Dir = "express"
		url := "" // nothing: sessions are in Valkey
		if sub.store == postgresS {
			url = s.postgresql
		}
		cmd.Env = append(os.Environ(), "VALKEY_ADDR="+s.valkey, "POSTGRESQL_URL="+url, "POOL_SIZE="+strconv.Itoa(poolSize), "SESSION_SECRET="+secret, "NODE_ENV=production")
	}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // closing it ends the process
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() {
		_ = stdin.Close()
		_ = cmd.Wait() // it was asked to end
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	return &server{
		subject: sub, process: cmd, measure: make(map[string]*load),
		app: &app{remote: strings.TrimSpace(line), close: stop},
	}, nil
}

// prepare checks the server and makes the sessions of its visitors.
func (srv *server) prepare() error {
	for _, w := range workloads {
		if !slices.Contains(overHTTP, w.name) {
			continue
		}
		if srv.subject.store == noStore {
			w = workload{name: w.name, path: pathNothing, anonymous: true}
		}
		if err := check(srv.subject, srv.app, w); err != nil {
			return err
		}
		b, err := newBench(srv.subject, srv.app, w, clients)
		if err != nil {
			return err
		}
		srv.measure[w.name] = &load{visitors: b.visitors}
	}
	return nil
}

// round lets the visitors ask as fast as they can for that long.
func (srv *server) round(ctx context.Context, workload string, length time.Duration) error {
	l := srv.measure[workload]
	if _, _, err := l.ask(ctx, length/8); err != nil { // warms up
		return err
	}
	cpu, known := cpuOf(srv.process.Process.Pid)
	from := time.Now()
	latencies, n, err := l.ask(ctx, length)
	took := time.Since(from)
	if err != nil {
		return err
	}
	if after, ok := cpuOf(srv.process.Process.Pid); ok && known {
		l.cpu = append(l.cpu, (after-cpu)/time.Duration(n))
	}
	l.perSecond = append(l.perSecond, float64(n)/took.Seconds())
	l.p50 = append(l.p50, quantile(latencies, 0.50))
	l.p99 = append(l.p99, quantile(latencies, 0.99))
	return nil
}

func (l *load) ask(ctx context.Context, length time.Duration) (latencies []time.Duration, n int, err error) {
	var (
		until = time.Now().Add(length)
		each  = make([][]time.Duration, len(l.visitors))
		errs  = make([]error, len(l.visitors))
		done  sync.WaitGroup
	)
	for i, r := range l.visitors {
		done.Go(func() {
			last := time.Now()
			for len(each[i]) == 0 || last.Before(until) && ctx.Err() == nil {
				if errs[i] = r.send(1); errs[i] != nil {
					return
				}
				now := time.Now()
				each[i] = append(each[i], now.Sub(last))
				last = now
			}
		})
	}
	done.Wait()
	all := slices.Concat(each...)
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return nil, 0, err
	}
	return all, len(all), nil
}

// cpuOf returns the processor time of a process, where the system tells it.
func cpuOf(pid int) (time.Duration, bool) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, false
	}
	// After the name, which may have anything in it, the 12th and 13th field
	// are user and system time in hundredths of a second.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, err1 == nil && err2 == nil
}

// serveCommand makes this program a server for one subject: it tells its
// address on a line, and ends when its input does.
const serveCommand = "serve"

func serve(ctx context.Context, s *servers, id string) error {
	for _, sub := range subjects() {
		if sub.id() != id {
			continue
		}
		a, err := sub.open(ctx, s)
		if err != nil {
			return err
		}
		defer a.close()
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer l.Close()
		fmt.Println(l.Addr())
		failed := make(chan error, 1)
		go func() { failed <- a.serve(l) }()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = io.Copy(io.Discard, os.Stdin)
		}()
		select {
		case err := <-failed:
			return err
		case <-ended:
			return nil
		}
	}
	return fmt.Errorf("there is no subject %q", id)
}

func (a *app) serve(l net.Listener) error {
	if a.fiber != nil {
		return (&fasthttp.Server{Handler: a.fiber}).Serve(l)
	}
	handler := a.handler
	if a.makes != nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == pathMake {
				a.makes.ServeHTTP(w, r)
			} else {
				a.handler.ServeHTTP(w, r)
			}
		})
	}
	return (&http.Server{Handler: handler}).Serve(l)
}

// A remoteVisitor visits a server, by a connection of its own.
type remoteVisitor struct {
	client *fasthttp.HostClient
	next   fasthttp.Request
	answer fasthttp.Response
	err    error
}

func newRemoteVisitor(addr string) *remoteVisitor {
	return &remoteVisitor{client: &fasthttp.HostClient{Addr: addr, MaxConns: 1, ReadTimeout: 10 * time.Second}}
}

func (v *remoteVisitor) ask(path, cookie string) {
	v.next.SetRequestURI(path)
	v.next.Header.SetHost(v.client.Addr)
	v.next.Header.Del("Cookie")
	if cookie != "" {
		v.next.Header.Set("Cookie", cookie)
	}
}

// send returns 0 where there is no answer.
func (v *remoteVisitor) send() int {
	if v.err = v.client.Do(&v.next, &v.answer); v.err != nil {
		return 0
	}
	return v.answer.StatusCode()
}

func (v *remoteVisitor) body() string {
	if v.err != nil {
		return v.err.Error()
	}
	return string(v.answer.Body())
}

func (v *remoteVisitor) setCookie(to []byte) []byte { return lastCookie(&v.answer, to) }
