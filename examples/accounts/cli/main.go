// Command cli is a client of the accounts app for the command line: it signs in, shows
// who is signed in and where, and signs devices out. It has no cookies, and keeps the
// token of its session in a file.
//
//	go run ./accounts/cli sign-in ann@example.com    # and type the password
//	go run ./accounts/cli me
//	go run ./accounts/cli devices
//	go run ./accounts/cli end 1f3a...
//	go run ./accounts/cli sign-out
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "accounts:", err)
		os.Exit(1)
	}
}

const usage = "use one of: sign-in EMAIL, me, devices, end HANDLE, sign-out"

// run does what the arguments say.
func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	flags := flag.NewFlagSet("cli", flag.ContinueOnError)
	server := flags.String("url", "http://127.0.0.1:8080", "where the accounts app is")
	file := flags.String("token", "", "the file that keeps the token; without it, one in the user's folder for settings")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return err
		}
		*file = filepath.Join(dir, "cloakroom-accounts", "token")
	}
	c, err := newClient(*server, *file)
	if err != nil {
		return err
	}
	switch words := flags.Args(); {
	case len(words) == 2 && words[0] == "sign-in":
		return c.signIn(ctx, words[1], in, out)
	case len(words) == 1 && words[0] == "me":
		return c.me(ctx, out)
	case len(words) == 1 && words[0] == "devices":
		return c.devices(ctx, out)
	case len(words) == 2 && words[0] == "end":
		return c.do(ctx, http.MethodDelete, "/api/devices/"+url.PathEscape(words[1]), nil, nil)
	case len(words) == 1 && words[0] == "sign-out":
		return c.do(ctx, http.MethodDelete, "/api/session", nil, nil)
	}
	return errors.New(usage)
}

// A user is what the API says of one.
type user struct{ Name, Email string }

func (c *client) signIn(ctx context.Context, email string, in io.Reader, out io.Writer) error {
	fmt.Fprint(out, "Password: ")
	password, err := readLine(ctx, in)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var u user
	if err := c.do(ctx, http.MethodPost, "/api/session", map[string]string{"email": email, "password": strings.TrimRight(password, "\r\n")}, &u); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nHello, %s.\n", u.Name)
	return nil
}

// readLine returns what is typed, unless ctx is done before.
func readLine(ctx context.Context, in io.Reader) (string, error) {
	type line struct {
		text string
		err  error
	}
	typed := make(chan line, 1)
	go func() {
		text, err := bufio.NewReader(in).ReadString('\n')
		typed <- line{text, err}
	}()
	select {
	case l := <-typed:
		return l.text, l.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func (c *client) me(ctx context.Context, out io.Writer) error {
	var u user
	if err := c.do(ctx, http.MethodGet, "/api/me", nil, &u); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s <%s>\n", u.Name, u.Email)
	return nil
}

func (c *client) devices(ctx context.Context, out io.Writer) error {
	var all []struct {
		Handle, Device string
		LastSeen       time.Time `json:"last_seen"`
		Current        bool
	}
	if err := c.do(ctx, http.MethodGet, "/api/devices", nil, &all); err != nil {
		return err
	}
	for _, d := range all {
		mark := " "
		if d.Current {
			mark = "*"
		}
		fmt.Fprintf(out, "%s %s  %s  %s\n", mark, d.Handle, d.LastSeen.Local().Format(time.DateTime), d.Device)
	}
	return nil
}

// A client asks the API, with the token that it was given last.
type client struct {
	http http.Client
	file string
	kept kept
}

// kept is what the file holds. The token is for the server that gave it, and no other.
type kept struct{ URL, Token string }

func newClient(server, file string) (*client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("-url is no address: use one such as http://127.0.0.1:8080")
	}
	server = strings.TrimRight(server, "/")
	c := &client{file: file, http: http.Client{
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // a token goes nowhere else
	}}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &c.kept)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if c.kept.URL != server {
		c.kept = kept{URL: server}
	}
	return c, nil
}

// do sends a request with a body, or none, and decodes the answer into one, or drops it.
func (c *client) do(ctx context.Context, method, path string, body, answer any) error {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.kept.URL+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.kept.Token) // without a token it asks for one
	req.Header.Set("User-Agent", "accounts-cli/1")
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if err := c.keep(res.Header); err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		var problem struct{ Title, Detail string }
		if err := json.NewDecoder(res.Body).Decode(&problem); err != nil {
			return fmt.Errorf("the server answers %s", res.Status)
		}
		return fmt.Errorf("%s: %s", problem.Title, problem.Detail)
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(res.Body).Decode(answer)
}

// keep notes the token that an answer brings. Most bring none, and the token stays; an
// empty one says that the session has ended.
func (c *client) keep(h http.Header) error {
	tokens := h.Values("Session-Token")
	if len(tokens) == 0 || tokens[0] == c.kept.Token {
		return nil
	}
	c.kept.Token = tokens[0]
	if c.kept.Token == "" {
		if err := os.Remove(c.file); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.Marshal(c.kept)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.file), 0o700); err != nil {
		return err
	}
	return replaceFile(c.file, text)
}

// replaceFile puts a new file in the place of one, so that there is always a whole one,
// which nobody else can read.
func replaceFile(name string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
