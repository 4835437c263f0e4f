// Command express-migration moves an app from Express to Gin, one route at a
// time, with no one logged out: it starts the Express app, the same app in Gin on
// the same sessions, and a proxy in front of both. A path that is typed moves to
// Gin or, typed again, back to Express; arguments are paths that moved before.
//
// It needs Node.js 20 or newer with npm, and Valkey or Redis: at VALKEY_URL, at
// VALKEY_ADDR, or at 127.0.0.1:6379. It listens on PORT, or on 8080.
package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, moved []string) error {
	if err := needNode(); err != nil {
		return err
	}
	valkey := cmp.Or(os.Getenv("VALKEY_URL"), "valkey://"+cmp.Or(os.Getenv("VALKEY_ADDR"), "127.0.0.1:6379"))
	store, err := openStore(ctx, valkey)
	if err != nil {
		return err
	}
	defer store.Close()

	// Both apps have the same secret. Yours has one already: what Express signs
	// with. Here a random one will do for as long as this runs.
	secret := cmp.Or(os.Getenv("SESSION_SECRET"), rand.Text()+rand.Text())

	toExpress, stopExpress, err := startExpress(ctx, valkey, secret)
	if err != nil {
		return err
	}
	defer stopExpress()
	toGo, err := serve(ctx, "127.0.0.1:0", newGin(store, secret))
	if err != nil {
		return err
	}
	p := newProxy(toExpress, toGo)
	for _, path := range moved {
		p.move(path)
	}
	front, err := serve(ctx, "127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "8080"), p)
	if err != nil {
		return fmt.Errorf("%w: PORT chooses another one", err)
	}
	log.Printf("listening on %s: %s", front, p)

	typed := bufio.NewScanner(os.Stdin)
	go func() {
		for typed.Scan() {
			if path := strings.TrimSpace(typed.Text()); strings.HasPrefix(path, "/") {
				p.move(path)
			}
			log.Print(p)
		}
	}()
	<-ctx.Done()
	return nil
}

func openStore(ctx context.Context, valkey string) (*valkeystore.Store, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	store, err := valkeystore.Open(ctx, valkey, valkeystore.Options{})
	if err != nil {
		return nil, fmt.Errorf(`there is no Valkey: %w.
Start one and try again, such as by
    docker run --rm -p 6379:6379 valkey/valkey:9
or, on Debian, let this repository start one for as long as it is needed:
    TESTSERVERS=valkey ../scripts/servers.sh run go run ./express-migration
or say where there is one: VALKEY_URL=valkey://user:password@host:6379`, err)
	}
	return store, nil
}

// serve starts a server, which ends with ctx.
func serve(ctx context.Context, addr string, h http.Handler) (*url.URL, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	return &url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}

// expressDir returns the folder of the Express app.
func expressDir() (string, error) {
	for _, from := range []string{"express-migration", ".", filepath.Join("examples", "express-migration")} {
		if _, err := os.Stat(filepath.Join(from, "express", "app.js")); err == nil {
			return filepath.Join(from, "express"), nil
		}
	}
	return "", errors.New("there is no Express app here: start this in the folder examples of the repository")
}

// startExpress installs what the Express app needs, the first time, and starts
// it.
func startExpress(ctx context.Context, valkey, secret string) (at *url.URL, stop func(), err error) {
	dir, err := expressDir()
	if err != nil {
		return nil, nil, err
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stderr, os.Stderr
		return cmd
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json")); err != nil {
		if err := command("npm", "ci", "--ignore-scripts").Run(); err != nil {
			return nil, nil, fmt.Errorf("npm ci: %w", err)
		}
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, nil, err
	}
	node := command("node", "app.js")
	node.Env = append(os.Environ(), "PORT="+port, "SESSION_SECRET="+secret,
		"REDIS_URL="+redisURL(valkey))
	if err := node.Start(); err != nil {
		return nil, nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = node.Wait() // it has said what was wrong
		close(ended)
	}()
	stop = func() {
		_ = node.Process.Kill() // or it has ended already
		<-ended
	}
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			_ = conn.Close()
			return &url.URL{Scheme: "http", Host: "127.0.0.1:" + port}, stop, nil
		}
		select {
		case <-ended:
			return nil, nil, errors.New("the Express app has ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// needNode says what to install where Node.js 20 or newer, or npm, is missing.
func needNode() error {
	const install = "install Node.js 20 or newer with npm, such as by apt-get install nodejs npm"
	if _, err := exec.LookPath("npm"); err != nil {
		return errors.New("there is no npm: " + install)
	}
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return errors.New("there is no node: " + install)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < 20 {
		return fmt.Errorf("node is %s: %s", version, install)
	}
	return nil
}

// redisURL returns a URL of Valkey as the npm package redis wants it.
func redisURL(valkey string) string {
	if rest, found := strings.CutPrefix(valkey, "valkey"); found { // or valkeys, for TLS
		return "redis" + rest
	}
	return valkey
}

func freePort(ctx context.Context) (string, error) {
	// Not one of those that the system gives to who asks for any: another program
	// might be given it before Express listens.
	first := 20000 + os.Getpid()%10000
	for port := first; ; port++ {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			return strconv.Itoa(port), l.Close()
		}
		if port == first+100 {
			return "", err
		}
	}
}
