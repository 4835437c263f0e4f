// Package forge makes cookies with signatures that are wrong.
package forge

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
)

const (
	// Signature is how many characters a signature has.
	Signature = 43
	// Secrets is how many secrets each cookie is verified with.
	Secrets = 2
)

// Cookies returns a Manager with a live session, and the values of forged
// cookies for that session: the one at index i is wrong in the character i of
// its signature and nowhere else. All have been verified before.
func Cookies() (*core.Manager, []string, error) {
	cfg := core.Config{Store: memorystore.New(memorystore.Options{}), Logger: slog.New(slog.DiscardHandler)}
	for i := range Secrets {
		cfg.Secrets = append(cfg.Secrets, fmt.Sprint("a secret of more than thirty-two bytes, number ", i))
	}
	m, err := core.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	genuine := ""
	for genuine == "" || strings.Contains(signature(genuine), "%") { // an escape has a path of its own
		if genuine, err = signIn(m); err != nil {
			return nil, nil, err
		}
	}
	var cookies []string
	for i := len(genuine) - Signature; i < len(genuine); i++ {
		wrong := byte('a')
		if genuine[i] == wrong {
			wrong = 'b'
		}
		cookies = append(cookies, genuine[:i]+string(wrong)+genuine[i+1:])
	}
	for _, cookie := range append(cookies, genuine) {
		s, err := m.Load(context.Background(), cookie)
		if err != nil {
			return nil, nil, err
		}
		if want := map[bool]core.Status{true: core.StatusLoaded, false: core.StatusInvalid}[cookie == genuine]; s.Status() != want {
			return nil, nil, fmt.Errorf("a session is %v, want %v", s.Status(), want)
		}
	}
	return m, cookies, nil
}

// signature returns what follows the id in the value of a cookie.
func signature(value string) string { return value[strings.LastIndexByte(value, '.')+1:] }

// signIn returns the cookie of a new session.
func signIn(m *core.Manager) (string, error) {
	s, err := m.Load(context.Background(), "")
	if err != nil {
		return "", err
	}
	s.Set("user", "ada")
	line, err := m.Commit(context.Background(), s, true)
	if err != nil {
		return "", err
	}
	cookie, err := http.ParseSetCookie(line)
	if err != nil {
		return "", err
	}
	return cookie.Value, nil
}
