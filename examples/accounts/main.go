// Command accounts is a small shop with accounts: sign up, log in, a cart, a list
// of the devices that are logged in, and a page for who runs it. It shows what
// Cloakroom does for an app, on Gin or Echo and on any of the stores:
//
//	go run ./accounts -framework echo -store valkey://127.0.0.1:6379
//
// Read it in this order: app.go sets the sessions up, gin.go and echo.go mount
// them, pages.go uses them. show.go and stolen.go show what they are worth when
// requests race, and when a cookie is stolen. api.go is for programs, which have a
// bearer token in place of a cookie; cli is one. The mails that it would send, with
// the link that ends a sign-up, are printed.
//
// With -tls it is at https://localhost, and locks sessions to browsers that can do
// that:
//
//	go run ./accounts -tls
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// frameworks are the routers that the same app can be mounted on.
var frameworks = map[string]func(*app) http.Handler{
	"gin":  newGin,
	"echo": newEcho,
}

func main() {
	log.SetFlags(log.Ltime)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("accounts: ", err)
	}
}

func run(ctx context.Context) error {
	var (
		addr      = flag.String("addr", "127.0.0.1:8080", "where to listen; port 0 takes any that is free")
		framework = flag.String("framework", "gin", "gin or echo")
		storeURL  = flag.String("store", "", "memory, sqlite:file, valkey://host:port, valkeys:// (TLS), redis://, rediss://, mongodb://host:port/database, postgres://user@host:port/database or mysql://user@host:port/database; without it, a file in -data, or memory")
		data      = flag.String("data", "", "a folder that keeps the accounts and the secret over a restart and, unless -store says otherwise, the sessions")
		cert      = flag.String("cert", "", "certificate for HTTPS, a PEM file")
		key       = flag.String("key", "", "its private key, a PEM file")
		ownTLS    = flag.Bool("tls", false, "HTTPS on localhost with a certificate of its own, which -data keeps; browsers that can do it lock their sessions to the device")
		mails     = flag.String("mail", "", "a file to which the mails are added that the app would send; without it they are printed")
		s         settings
	)
	flag.DurationVar(&s.idle, "idle", 24*time.Hour, "a session ends after so long without activity")
	flag.DurationVar(&s.fresh, "fresh", 10*time.Minute, "how recent a log-in has to be to change the password or to log out devices")
	flag.DurationVar(&s.bar, "bar", time.Minute, "what a bar of the operator's charts stands for")
	flag.StringVar(&s.url, "url", "", "where the app is reached, for the links in its mails; without it, where it listens")
	flag.StringVar(&s.admin, "admin", "", "email of the user who sees /admin, once they have shown that it is theirs; without it, whoever signs up first")
	flag.Parse()

	mount, ok := frameworks[*framework]
	if !ok {
		return fmt.Errorf("-framework is %q: use gin or echo", *framework)
	}
	if *data != "" {
		var err error
		if s.secret, err = secretIn(*data); err != nil {
			return err
		}
		if s.users, err = openUsers(*data, normalEmail(s.admin)); err != nil {
			return err
		}
		*storeURL = cmp.Or(*storeURL, "sqlite:"+filepath.Join(*data, keptSessions))
		kept := "accounts"
		if strings.HasPrefix(*storeURL, "sqlite:"+*data) {
			kept += " and sessions"
		}
		log.Printf("%s are kept in %s", kept, *data)
	}
	*storeURL = cmp.Or(*storeURL, "memory")
	store, closeStore, err := openStore(ctx, *storeURL)
	if err != nil {
		return err
	}
	defer func() {
		if err := closeStore(); err != nil {
			log.Print(err)
		}
	}()

	// A random secret ends all sessions with the process. An app that is deployed
	// has one of its own, the same on every instance.
	s.secret = cmp.Or(os.Getenv("SESSION_SECRET"), s.secret, rand.Text()+rand.Text())
	certificate, err := certificateFor(*cert, *key, *ownTLS, *data, time.Now())
	if err != nil {
		return err
	}
	s.https = certificate != nil
	post, closePost, err := openPost(*mails)
	if err != nil {
		return err
	}
	defer closePost()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	here := addressOf(listener, s.https, *ownTLS)
	s.mail, s.url = post, cmp.Or(s.url, here)
	a, err := newApp(store, s)
	if err != nil {
		return errors.Join(err, listener.Close())
	}

	log.Printf("%s, sessions in %s; Ctrl-C ends it", *framework, nameOf(*storeURL))
	fmt.Println(here)
	if *ownTLS {
		fmt.Println("See a session that is locked to its browser, in Chromium 156 or newer:\n  chromium", strings.Join(append(browserFlags(certificate), here), " \\\n    "))
	}
	server := newServer(a.protect(mount(a)))
	server.RegisterOnShutdown(a.endStreams)
	if certificate != nil {
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	}
	return serve(ctx, server, listener)
}

// serve serves until ctx is done.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	ended := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			ended <- server.ServeTLS(listener, "", "") // with the certificate that it has
		} else {
			ended <- server.Serve(listener)
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	// Requests that are under way get the time to store their sessions.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := server.Shutdown(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

// newServer has a limit for everything that a client can take its time for. Pages of
// this app are small; one that streams, or takes large files, sets its own for those by
// http.ResponseController.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,
		IdleTimeout:       2 * time.Minute,
	}
}

// openPost returns where the mails go.
func openPost(file string) (w io.Writer, done func(), err error) {
	if file == "" {
		return os.Stdout, func() {}, nil
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	return f, func() { _ = f.Close() }, nil
}
