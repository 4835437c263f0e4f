package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The API: the same accounts and sessions for programs, which carry their session in a
// header. A browser that is led here by another site has no token to send, and its cookie
// is not looked at, so nothing here needs protection against cross-site requests.
//
//	POST   /api/session            {"email": ..., "password": ...} signs in
//	DELETE /api/session            signs out
//	GET    /api/me                 who is signed in
//	GET    /api/devices            where
//	DELETE /api/devices/{handle}   signs one of them out
//
// Session-Token in a response is the token to send from then on, as a bearer token. It is
// empty when the session has ended.

const apiPrefix = "/api/"

// isAPI reports whether a request is one for the API.
func isAPI(r *http.Request) bool { return r != nil && strings.HasPrefix(r.URL.Path, apiPrefix) }

func (a *app) apiRoutes(members *core.Guard) []route {
	return []route{
		{"POST", "/api/session", nil, a.apiSignIn},
		{"DELETE", "/api/session", nil, a.apiSignOut},
		{"GET", "/api/me", members, a.apiMe},
		{"GET", "/api/devices", members, a.apiDevices},
		{"DELETE", "/api/devices/:handle", members, a.apiEndDevice},
	}
}

var (
	errNoJSON   = &problem{http.StatusBadRequest, "That is no request", "The body has to be JSON, with an email and a password."}
	errWrong    = &problem{http.StatusUnauthorized, "That is not right", "That email and password do not go together."}
	errNoDevice = &problem{http.StatusNotFound, "No such device", "None of your devices has that handle. It may be signed out already."}
)

// An apiUser is what the API says of a user.
type apiUser struct {
	Name  string    `json:"name"`
	Email string    `json:"email"`
	Since time.Time `json:"since"`
}

// An apiDevice is what the API says of a device.
type apiDevice struct {
	Handle   string       `json:"handle"`
	Device   string       `json:"device"`
	Network  netip.Prefix `json:"network"`
	SignedIn time.Time    `json:"signed_in"`
	LastSeen time.Time    `json:"last_seen"`
	Current  bool         `json:"current"`
}

func (a *app) apiSignIn(w http.ResponseWriter, r *request) error {
	var in struct{ Email, Password string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return errNoJSON
	}
	u, right, err := a.signIn(r, normalEmail(in.Email), in.Password)
	switch {
	case err != nil:
		return err
	case !right:
		return errWrong
	}
	// A program has no browser that could be closed. It is signed in until it signs out, or
	// is not used for so long.
	if err := r.session.SetMaxAge(rememberFor); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apiUser{u.Name, u.Email, u.Since})
}

func (a *app) apiSignOut(w http.ResponseWriter, r *request) error {
	if err := r.session.SignOut(r.Context()); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *app) apiMe(w http.ResponseWriter, r *request) error {
	return writeJSON(w, http.StatusOK, apiUser{r.user.Name, r.user.Email, r.user.Since})
}

func (a *app) apiDevices(w http.ResponseWriter, r *request) error {
	all := []apiDevice{}
	for info, err := range a.sessions.Sessions(r.Context(), r.user.ID) {
		if err != nil {
			return err
		}
		all = append(all, apiDevice{info.Handle, device(info.Device), info.Network, info.CreatedAt, info.LastSeen, info.Current})
	}
	return writeJSON(w, http.StatusOK, all)
}

func (a *app) apiEndDevice(w http.ResponseWriter, r *request) error {
	handle := strings.TrimPrefix(r.URL.Path, "/api/devices/")
	if handle == r.session.Handle() {
		return a.apiSignOut(w, r)
	}
	err := r.session.RequireRecentSignIn(r.Context(), a.fresh)
	if err == nil {
		err = a.sessions.Revoke(r.Context(), r.user.ID, handle)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return errNoDevice
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// writeJSON answers with v. Where the session cannot be stored, Config.ErrorHandler
// answers instead.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/json")
	}
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
	return nil
}

// writeProblem answers with an error, as RFC 9457 has it. A 401 says how to sign in.
func writeProblem(w http.ResponseWriter, r *http.Request, p *problem) {
	if s, ok := core.Lookup(r.Context()); ok && p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", s.Challenge())
	}
	w.Header().Set("Content-Type", "application/problem+json")
	_ = writeJSON(w, p.Status, map[string]any{"title": p.Title, "status": p.Status, "detail": p.Text}) // these can be encoded
}
