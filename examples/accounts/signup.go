package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Signing up: whoever asks for an account gets a mail, and chooses the password on the
// page that it leads to. So an account is that of whoever reads the mail, nobody can
// choose a password for somebody else, and no page tells which addresses have an
// account: only the mail does.

const invitedFor = time.Hour

// An invitation is what the link in the mail says. It is signed, so there is nothing to
// keep until somebody follows it.
type invitation struct {
	Email, Name, ReturnTo string
	Until                 int64 // Unix seconds
}

func (a *app) signupForm(w http.ResponseWriter, r *request) error {
	return a.render(w, r, http.StatusOK, "signup", "Sign up", form{ReturnTo: returnTo(r)})
}

func (a *app) signup(w http.ResponseWriter, r *request) error {
	f := form{Email: normalEmail(r.PostFormValue("email")), Name: strings.TrimSpace(r.PostFormValue("name")), ReturnTo: returnTo(r)}
	refuse := func(why string) error {
		r.notes = append(r.notes, notice{"error", why})
		return a.render(w, r, http.StatusUnprocessableEntity, "signup", "Sign up", f)
	}
	if address, err := mail.ParseAddress(f.Email); err != nil || address.Address != f.Email || len(f.Email) > 254 {
		return refuse("That is no email address.")
	}
	if f.Name == "" || len(f.Name) > 100 || !utf8.ValidString(f.Name) {
		return refuse("Tell us a name, of up to 100 letters.")
	}
	letter := message{To: f.Email, Subject: "Your account at Cloakroom", Text: "Choose a password, and your account is ready:\n" +
		a.url + "/signup/confirm?" + url.Values{"token": {a.invite(f)}}.Encode() + "\n\nThe link is good for an hour. If it was not you who asked for it, do nothing."}
	switch _, err := a.users.ByEmail(r.Context(), f.Email); {
	case err == nil:
		letter.Text = "You have an account already, so there is nothing to sign up for:\n" + a.url + "/login\n\nIf it was not you who asked for one, do nothing."
	case !errors.Is(err, errNoUser):
		return err
	}
	if err := a.mail.send(letter); err != nil {
		return err
	}
	return a.render(w, r, http.StatusOK, "mailed", "Look into your mail", f)
}

// invite returns the token of an invitation.
func (a *app) invite(f form) string {
	text, err := json.Marshal(invitation{f.Email, f.Name, f.ReturnTo, a.now().Add(invitedFor).Unix()})
	if err != nil {
		panic(err) // strings and a number can be encoded
	}
	b64 := base64.RawURLEncoding
	return b64.EncodeToString(text) + "." + b64.EncodeToString(a.signature(text))
}

// invited returns what a token says, unless it is forged or too old.
func (a *app) invited(token string) (i invitation, ok bool) {
	b64 := base64.RawURLEncoding
	textPart, signaturePart, _ := strings.Cut(token, ".")
	text, err1 := b64.DecodeString(textPart)
	signature, err2 := b64.DecodeString(signaturePart)
	if err1 != nil || err2 != nil || !hmac.Equal(signature, a.signature(text)) || json.Unmarshal(text, &i) != nil {
		return invitation{}, false
	}
	return i, a.now().Unix() < i.Until
}

func (a *app) signature(text []byte) []byte {
	mac := hmac.New(sha256.New, a.inviteKey)
	mac.Write(text)
	return mac.Sum(nil)
}

// confirmForm is where the link in the mail leads to.
func (a *app) confirmForm(w http.ResponseWriter, r *request) error {
	i, ok := a.invited(r.FormValue("token"))
	if !ok {
		return errStaleLink
	}
	return a.render(w, r, http.StatusOK, "confirm", "Choose a password", form{Email: i.Email, Name: i.Name, Token: r.FormValue("token")})
}

func (a *app) confirm(w http.ResponseWriter, r *request) error {
	token, password := r.PostFormValue("token"), r.PostFormValue("password")
	i, ok := a.invited(token)
	if !ok {
		return errStaleLink
	}
	if why := badPassword(password); why != "" {
		r.notes = append(r.notes, notice{"error", why})
		return a.render(w, r, http.StatusUnprocessableEntity, "confirm", "Choose a password", form{Email: i.Email, Name: i.Name, Token: token})
	}
	hashed, err := a.hashes.hash(r.Request, password)
	if err != nil {
		return err
	}
	u, err := a.users.Add(r.Context(), user{Email: i.Email, Name: i.Name, Password: hashed})
	if errors.Is(err, errTaken) { // the link was followed before
		return r.redirect(w, "/login", "info", "Your account is ready. Log in.")
	}
	if err != nil {
		return err
	}
	if err := r.session.SignIn(r.Context(), u.ID, "password"); err != nil { // nothing was checked that could have changed
		return err
	}
	return a.welcome(w, r, u, false, i.ReturnTo, "Welcome, "+u.Name+"! Your account is ready.")
}

// A message is a mail.
type message struct{ To, Subject, Text string }

// A postbox is where mails go: an app sends them, this one writes them down. An app that
// sends them also limits how many an address gets.
type postbox struct {
	mu sync.Mutex
	w  io.Writer
}

func (p *postbox) send(m message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintf(p.w, "To: %s\nSubject: %s\n\n%s\n\n", m.To, m.Subject, m.Text)
	return err
}
