package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// The shop: a cart is the visitor's, also before a login.

type product struct {
	ID, Name, About string
	Cents           int
}

var products = []product{
	{"coat", "Wool coat", "Heavy, warm, and with a loop to hang it by.", 24900},
	{"jacket", "Rain jacket", "Taped seams and a hood that stays up.", 12900},
	{"hat", "Felt hat", "Keeps its shape on any peg.", 5900},
	{"scarf", "Long scarf", "Merino, two metres of it.", 4500},
	{"umbrella", "Umbrella", "Opens with one hand, withstands a gale.", 3900},
	{"bag", "Weekend bag", "Waxed canvas, one strap, no wheels.", 8900},
}

// cartOf holds how many of which product are in the cart.
const cartOf core.Key[map[string]int] = "cart"

func inCart(s *core.Session) (n int) {
	for _, count := range cartOf.Get(s) {
		n += count
	}
	return n
}

func (a *app) shop(w http.ResponseWriter, r *request) error {
	return a.render(w, r, http.StatusOK, "shop", "Coats and what goes with them", map[string]any{"Products": products, "Cart": cartOf.Get(r.session)})
}

func (a *app) addToCart(w http.ResponseWriter, r *request) error {
	item := r.PostFormValue("item")
	i := slices.IndexFunc(products, func(p product) bool { return p.ID == item })
	if i < 0 {
		return errNotFound
	}
	putIntoCart(r.session, item)
	// Back to where the product is: the page is long on a phone.
	return r.redirect(w, "/#"+item, "info", "Added "+products[i].Name+" to your cart.")
}

// putIntoCart adds one. Update loses nothing, also where two tabs add something at the
// same time: see show.go.
func putIntoCart(s *core.Session, item string) {
	cartOf.Update(s, func(cart map[string]int) map[string]int { return withOneMore(cart, item) })
}

func withOneMore(cart map[string]int, item string) map[string]int {
	if cart == nil {
		cart = make(map[string]int)
	}
	cart[item] = min(cart[item]+1, 99)
	return cart
}

func (a *app) removeFromCart(w http.ResponseWriter, r *request) error {
	item := r.PostFormValue("item")
	cartOf.Update(r.session, func(cart map[string]int) map[string]int {
		delete(cart, item)
		return cart
	})
	return r.redirect(w, "/cart", "info", "Removed.")
}

func (a *app) cart(w http.ResponseWriter, r *request) error {
	type line struct {
		product
		Count, Sum int
	}
	var (
		lines []line
		total int
		cart  = cartOf.Get(r.session)
	)
	for _, p := range products {
		if n := cart[p.ID]; n > 0 {
			lines = append(lines, line{p, n, n * p.Cents})
			total += n * p.Cents
		}
	}
	return a.render(w, r, http.StatusOK, "cart", "Your cart", map[string]any{"Lines": lines, "Total": total})
}

// Accounts: signing up, logging in and out.

const (
	rememberFor = 30 * 24 * time.Hour
	minPassword = 8
)

// A form is what was typed, to be shown again when something is wrong with it.
type form struct {
	Email, Name string
	ReturnTo    string // the page that they came from
	Token       string // of the invitation
	Again       bool   // the same user logs in once more, to show that it is still them
}

func (a *app) loginForm(w http.ResponseWriter, r *request) error {
	f := form{ReturnTo: returnTo(r)}
	if r.user != nil {
		f.Again, f.Email = true, r.user.Email
	}
	return a.render(w, r, http.StatusOK, "login", "Log in", f)
}

func (a *app) login(w http.ResponseWriter, r *request) error {
	f := form{Email: normalEmail(r.PostFormValue("email")), ReturnTo: returnTo(r), Again: r.user != nil}
	u, right, err := a.signIn(r, f.Email, r.PostFormValue("password"))
	if err != nil {
		return err
	}
	if !right {
		r.notes = append(r.notes, notice{"error", "That email and password do not go together."})
		return a.render(w, r, http.StatusUnauthorized, "login", "Log in", f)
	}
	greeting := "Hello, " + u.Name + "."
	if e, ok := a.evicted.of(u.ID); ok && e.isRecent(a.now()) {
		greeting += " You were logged out on a device, to make room for another: look at your devices."
	}
	return a.welcome(w, r, u, r.PostFormValue("remember") != "", f.ReturnTo, greeting)
}

// signIn signs in whose email and password these are, and reports whether they are right.
// It takes its time, in which the password may be changed and the user logged out
// everywhere. So it takes note of that user before it reads what the password is, and
// reads it again when it has asked for the sign-in: whatever changes later makes the
// sign-in fail when it is stored.
func (a *app) signIn(r *request, email, password string) (u user, right bool, err error) {
	known, err := a.users.ByEmail(r.Context(), email)
	if err != nil && !errors.Is(err, errNoUser) {
		return user{}, false, err
	}
	// Also where there is no such account: the time that it takes must not tell.
	attempt, err := r.session.BeginSignIn(r.Context(), cmp.Or(known.ID, "nobody"))
	if err != nil {
		return user{}, false, err
	}
	u, err = a.users.ByID(r.Context(), known.ID)
	if err != nil && !errors.Is(err, errNoUser) {
		return user{}, false, err
	}
	right, err = a.hashes.check(r.Request, password, cmp.Or(u.Password, nobodysPassword()))
	if err != nil || !right || u.ID == "" {
		return user{}, false, err
	}
	if err := attempt.SignIn(r.Context(), "password"); err != nil {
		return user{}, false, err
	}
	if now, err := a.users.ByID(r.Context(), u.ID); err != nil || now.Password != u.Password {
		r.session.Discard() // the sign-in: the page that follows is a stranger's
		if errors.Is(err, errNoUser) {
			err = nil
		}
		return user{}, false, err
	}
	return u, true, nil
}

// welcome goes on with somebody who has signed in: under a new id, with the cart that
// the visitor has filled so far.
func (a *app) welcome(w http.ResponseWriter, r *request, u user, remember bool, returnTo, greeting string) error {
	var err error
	switch again := r.user != nil && r.user.ID == u.ID; {
	case remember:
		err = r.session.SetMaxAge(rememberFor)
	case !again: // who is only asked once more stays remembered
		err = r.session.SetMaxAge(0)
	}
	if err != nil {
		return err
	}
	return r.redirect(w, returnTo, "info", greeting)
}

func (a *app) logout(w http.ResponseWriter, r *request) error {
	if err := r.session.SignOut(r.Context()); err != nil {
		return err
	}
	return r.redirect(w, "/", "info", "You are logged out.")
}

// returnTo returns the page that a login goes on with: one of this site and no other.
func returnTo(r *request) string { return core.ReturnPath(r.Request, "/") }

func normalEmail(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

func badPassword(password string) string {
	if utf8.RuneCountInString(password) < minPassword {
		return fmt.Sprintf("A password has at least %d characters. A few words make a good one.", minPassword)
	}
	return ""
}

// The profile: who is logged in, and the password.

func (a *app) profile(w http.ResponseWriter, r *request) error {
	return a.showProfile(w, r, http.StatusOK)
}

func (a *app) showProfile(w http.ResponseWriter, r *request, status int) error {
	return a.render(w, r, status, "profile", "Your profile", map[string]any{
		"At": r.session.AuthenticatedAt(), "By": strings.Join(r.session.AuthenticatedBy(), " and "),
	})
}

// passwordForm is where a login leads back to that was asked for by changePassword.
func (a *app) passwordForm(w http.ResponseWriter, r *request) error {
	return r.redirect(w, "/profile#password", "", "")
}

func (a *app) changePassword(w http.ResponseWriter, r *request) error {
	refuse := func(why string) error {
		r.notes = append(r.notes, notice{"error", why})
		return a.showProfile(w, r, http.StatusUnprocessableEntity)
	}
	current, next := r.PostFormValue("current"), r.PostFormValue("new")
	if why := badPassword(next); why != "" {
		return refuse(why)
	}
	right, err := a.hashes.check(r.Request, current, r.user.Password)
	if err != nil {
		return err
	}
	if !right {
		return refuse("That is not your current password.")
	}
	hashed, err := a.hashes.hash(r.Request, next)
	if err != nil {
		return err
	}
	// Only if it is still the one that was checked: whoever knew it may not overwrite what
	// another device has changed it to meanwhile.
	err = a.users.SetPassword(r.Context(), r.user.ID, r.user.Password, hashed)
	if errors.Is(err, errChanged) {
		return refuse("That is not your current password.")
	}
	if err != nil {
		return err
	}
	// Whoever knew the old password is out: this session gets a new id, and all
	// others end. First the password, then the sessions: see login.
	if err := r.session.Renew(); err != nil {
		return err
	}
	if err := a.sessions.RevokeOthers(r.Context(), r.session); err != nil {
		return fmt.Errorf("%w: %w", errHalfDone, err)
	}
	return r.redirect(w, "/profile", "info", "Your password is changed, and all your other devices are logged out.")
}

// Devices: the sessions of a user.

func (a *app) devices(w http.ResponseWriter, r *request) error {
	var all []core.Info
	for info, err := range a.sessions.Sessions(r.Context(), r.user.ID) {
		if err != nil {
			return err
		}
		all = append(all, info)
	}
	data := map[string]any{"Devices": all, "Most": mostDevices}
	if e, ok := a.evicted.of(r.user.ID); ok {
		data["Evicted"] = e
	}
	return a.render(w, r, http.StatusOK, "devices", "Your devices", data)
}

func (a *app) endDevice(w http.ResponseWriter, r *request) error {
	handle := r.PostFormValue("handle")
	if handle == r.session.Handle() {
		return a.logout(w, r)
	}
	err := a.sessions.Revoke(r.Context(), r.user.ID, handle) // one of this user's: another one's is not found
	if errors.Is(err, store.ErrNotFound) {
		return r.redirect(w, "/devices", "info", "That device was logged out already.")
	}
	if err != nil {
		return err
	}
	return r.redirect(w, "/devices", "info", "That device is logged out.")
}

func (a *app) endOtherDevices(w http.ResponseWriter, r *request) error {
	if err := a.sessions.RevokeOthers(r.Context(), r.session); err != nil {
		return err
	}
	return r.redirect(w, "/devices", "info", "You are logged out everywhere else.")
}

// timeLeft tells the page how long the session has left. Asking does not extend it: see
// Config.Passive.
func timeLeft(w http.ResponseWriter, r *request) error {
	core.TellExpiry(w, r.Request)
	return nil
}

// The operator's page.

// shownAccounts and shownEvents are how many of them are on the page: a filter finds the
// others.
const (
	shownAccounts = 20
	shownEvents   = 15
)

func (a *app) admin(w http.ResponseWriter, r *request) error {
	live, err := a.sessions.Count(r.Context())
	if err != nil {
		return err
	}
	accounts, err := a.users.All(r.Context())
	if err != nil {
		return err
	}
	type account struct {
		user
		Sessions []core.Info
	}
	var (
		query  = strings.TrimSpace(r.FormValue("q"))
		kind   = core.EventKind(r.FormValue("event"))
		rows   []account
		found  = make(map[string]bool) // whom the filter is for, by id
		people = make(map[string]string)
		more   int
	)
	for _, u := range slices.Backward(accounts) {
		people[u.ID] = u.Name
		if found[u.ID] = contains(u.Name, query) || contains(u.Email, query); !found[u.ID] {
			continue
		}
		if len(rows) == shownAccounts {
			more++
			continue
		}
		row := account{user: u}
		for info, err := range a.sessions.Sessions(r.Context(), u.ID) {
			if err != nil {
				return err
			}
			row.Sessions = append(row.Sessions, info)
		}
		rows = append(rows, row)
	}
	events := a.stats.events(shownEvents, func(e core.Event) bool {
		return (query == "" || found[e.User]) && (kind == "" || e.Kind == kind)
	})
	return a.render(w, r, http.StatusOK, "admin", "Operations", map[string]any{
		"Live": live, "Total": len(accounts), "Accounts": rows, "More": more, "Stats": a.stats.report(),
		"Events": told(events, people), "Kinds": eventKinds, "Query": query, "Kind": kind,
	})
}

// contains reports whether a text has another in it, in capitals or not.
func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// endSession logs a user out on one device.
func (a *app) endSession(w http.ResponseWriter, r *request) error {
	u, err := a.users.ByEmail(r.Context(), normalEmail(r.PostFormValue("email")))
	if errors.Is(err, errNoUser) {
		return r.redirect(w, "/admin", "error", "Nobody has that email.")
	}
	if err != nil {
		return err
	}
	handle := r.PostFormValue("handle")
	if handle == r.session.Handle() {
		return a.logout(w, r)
	}
	err = a.sessions.Revoke(r.Context(), u.ID, handle)
	if errors.Is(err, store.ErrNotFound) {
		return r.redirect(w, "/admin", "info", "That session had ended already.")
	}
	if err != nil {
		return err
	}
	return r.redirect(w, "/admin", "info", "That session of "+u.Name+" is ended.")
}

// endUser logs a user out everywhere: an account that was taken over, for instance.
func (a *app) endUser(w http.ResponseWriter, r *request) error {
	u, err := a.users.ByEmail(r.Context(), normalEmail(r.PostFormValue("email")))
	if errors.Is(err, errNoUser) {
		return r.redirect(w, "/admin", "error", "Nobody has that email.")
	}
	if err != nil {
		return err
	}
	if err := a.sessions.RevokeUser(r.Context(), u.ID); err != nil {
		return err
	}
	if u.ID == r.user.ID { // this very session has ended too
		return r.redirect(w, "/login", "", "")
	}
	return r.redirect(w, "/admin", "info", u.Name+" is logged out everywhere.")
}

// What the templates call.

func price(cents int) string { return fmt.Sprintf("€ %d.%02d", cents/100, cents%100) }

// ago tells how long ago something was, in words.
func ago(t time.Time) string {
	switch d := time.Since(t); {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return count(int(d.Minutes()), "minute") + " ago"
	case d < 24*time.Hour:
		return count(int(d.Hours()), "hour") + " ago"
	default:
		return count(int(d.Hours()/24), "day") + " ago"
	}
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// device names the browser and the system that a User-Agent header tells of. The
// order matters: each of them claims to be the ones below too.
func device(agent string) string {
	find := func(names ...string) string { // pairs of what to look for and what to call it
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(agent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	browser := find("Edg", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "FxiOS", "Firefox", "Chrom", "Chrome", "CriOS", "Chrome", "Safari/", "Safari", "curl/", "curl", "accounts-cli/", "Command line")
	system := find("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "CrOS", "ChromeOS", "Mac OS X", "macOS", "Linux", "Linux")
	switch {
	case browser == "":
		return cmp.Or(system, "Unknown device")
	case system == "":
		return browser
	}
	return browser + " on " + system
}
