package leaks

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"go/types"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/core/store"
	memorystore "github.com/cloakroom-go/cloakroom/stores/memory"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	sqlitestore "github.com/cloakroom-go/cloakroom/stores/sqlite"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/takeover"
	"github.com/cloakroom-go/cloakroom/tests/internal/valkeyenv"
)

const (
	secret  = "the-secret-of-the-signature-of-32-bytes-or-more"
	sealKey = "the-secret-that-seals-what-the-store-has-of-data"
	data    = "the-data-of-the-session"
	changed = "the-data-that-is-not-stored-yet"
)

// TestNoVerbPrintsWhatATypeHolds prints a value of every exported type, with a
// live session behind it, in every way that package fmt, encoding/json and
// log/slog know.
func TestNoVerbPrintsWhatATypeHolds(t *testing.T) {
	samples, secrets := samples(t)
	for _, pkg := range load(t, speaking) {
		scope := pkg.types.Scope()
		for _, name := range scope.Names() {
			obj, ok := scope.Lookup(name).(*types.TypeName)
			if !ok || !obj.Exported() || obj.IsAlias() {
				continue
			}
			switch under := obj.Type().Underlying().(type) {
			case *types.Interface, *types.Signature:
				continue // prints as what is in it; a function as an address
			case *types.Basic:
				if under.Info()&types.IsNumeric != 0 {
					continue
				}
			}
			full := pkg.name + "." + name
			values, ok := samples[full]
			if !ok {
				t.Errorf("there is no sample of %s", full)
			}
			delete(samples, full)
			for _, v := range values {
				discreet(t, full, v, secrets)
			}
		}
	}
	for full := range samples {
		t.Errorf("%s is no exported type", full)
	}
}

// The same for a store that needs a server.
func TestNoVerbPrintsWhatTheValkeyStoreHolds(t *testing.T) {
	st := valkeyenv.Store(t, valkeyenv.Client(t, valkey.ClientOption{InitAddress: []string{valkeyenv.Addr(t)}}), valkeystore.Options{CacheTTL: time.Minute})
	rec := store.Record{ID: "the-id-of-a-session", Data: []byte(data), TTL: time.Minute}
	if err := st.Create(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	must(st.Load(t.Context(), rec.ID))
	discreet(t, "stores/valkey.Store", st, map[string][]string{"the id": forms(rec.ID), "the data": forms(data)})
}

// discreet checks that no way to print v shows a secret.
func discreet(t *testing.T, name string, v any, secrets map[string][]string) {
	t.Helper()
	for _, line := range printed(v) {
		for what, forms := range secrets {
			for _, form := range forms {
				if at := strings.Index(line, form); at >= 0 {
					t.Errorf("%s prints %s: %.300s", name, what, line[max(0, at-100):])
					return
				}
			}
		}
	}
}

// printed returns v in all ways to print it.
func printed(v any) (lines []string) {
	verbs := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	switch v.(type) {
	case core.Config, core.Predecessor, core.SealedCookie, store.Record, core.Session, predecessor.Session, takeover.Gorilla, takeover.CookieSession, takeover.Record:
		// %p is for pointers and %w for errors. For what is neither, package fmt
		// calls no methods then; go vet, a part of go test, refuses it.
		verbs = strings.NewReplacer("p", "", "w", "").Replace(verbs)
	}
	add := func(verbs string, w any) {
		for _, flags := range []string{"", "+", "#", " ", "0", "-", "20.9", "+#"} {
			for _, verb := range verbs {
				lines = append(lines, fmt.Sprintf("%"+flags+string(verb), w))
			}
		}
	}
	wrapped := []any{v, &v, []any{v}, map[string]any{"v": v}, struct{ V any }{v}}
	for _, w := range wrapped {
		add(verbs, w)
		lines = append(lines, fmt.Sprint(w), fmt.Sprintln(w))
	}
	// Package fmt calls no methods of what stands in an unexported field. So there
	// all depends on what is a pointer.
	switch v.(type) {
	case core.Config, core.Predecessor, core.SealedCookie, store.Record, core.Session, predecessor.Session, takeover.Gorilla, takeover.CookieSession, takeover.Record: // values
	case *core.Exchange: // for adapters, which keep it where it does not meet the other verbs
		add("vdxXob", struct{ v any }{v})
	default:
		add(verbs, struct{ v any }{v})
	}

	if _, ok := v.(store.Record); !ok { // which a store may keep as JSON
		for _, w := range wrapped {
			if encoded, err := json.Marshal(w); err == nil {
				lines = append(lines, string(encoded))
			} else {
				lines = append(lines, err.Error())
			}
		}
	}
	var log strings.Builder
	for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
		slog.New(h).Info("x", "v", v, slog.Group("group", "v", v))
		slog.New(h).With("v", v).Info("x")
	}
	lines = append(lines, log.String())
	if err, ok := v.(error); ok {
		lines = append(lines, err.Error())
	}
	return lines
}

// forms returns what a text looks like when it is printed.
func forms(text string) []string {
	decimal := strings.Trim(fmt.Sprintf("%d", []byte(text)), "[]")
	return []string{
		text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("% x", text), decimal, strings.ReplaceAll(decimal, " ", ","),
		strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(text)), "="),
	}
}

// samples returns values of the exported types, by name, and what none of them
// may show.
func samples(t *testing.T) (map[string][]any, map[string][]string) {
	t.Helper()
	memory := memorystore.New(memorystore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	cfg := core.Config{
		Store: memory, Secrets: []string{secret}, SealKeys: []string{sealKey}, RetiredSealKeys: []string{"former " + sealKey}, Logger: slog.New(slog.DiscardHandler),
		Header:         &core.Header{},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}
	m := must(core.New(cfg))
	first := must(m.Load(t.Context(), ""))
	first.Set("key", data)
	line := must(m.Commit(t.Context(), first, true))
	cookie := must(http.ParseSetCookie(line))

	// The same without seals, so that the stores hold the data as it is.
	cfg.SealKeys, cfg.RetiredSealKeys = nil, nil
	plain := must(core.New(cfg))
	other := must(plain.Load(t.Context(), ""))
	other.Set("key", data)
	must(plain.Commit(t.Context(), other, true))
	rec := must(memory.Load(t.Context(), other.ID()))

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Cookie", cookie.Name+"="+cookie.Value)
	x := must(m.Begin(r))
	s := core.FromContext(x.Request(r).Context())
	s.Set("more", changed)
	s.Flash("info", changed)
	next := must(m.Load(t.Context(), cookie.Value))
	if err := next.Renew(); err != nil {
		t.Fatal(err)
	}
	user := must(plain.Load(t.Context(), ""))
	user.Set("key", data)
	if err := user.SignIn(t.Context(), "ada", "password"); err != nil {
		t.Fatal(err)
	}
	must(plain.Commit(t.Context(), user, true))
	if err := next.SignIn(t.Context(), "ada"); err != nil {
		t.Fatal(err)
	}
	var info core.Info
	for i, err := range plain.Sessions(t.Context(), "ada") {
		info = must(i, err)
	}
	down := &store.Error{Store: "memory", Verb: "load", Class: "timeout", Err: context.DeadlineExceeded}
	keyErr := wrong(t, s)

	secrets := map[string][]string{
		"the secret": forms(secret), "the seal key": forms(sealKey), "the data": forms(data), "a change": forms(changed),
		"the id": forms(s.ID()), "the next id": forms(next.ID()), "the id of the plain session": forms(other.ID()), "the id of the user's session": forms(user.ID()), "the cookie": forms(cookie.Value),
	}
	return map[string][]any{
		"core.Cause":               {core.CauseRevokeUser},
		"core.Config":              {cfg, m.Config()},
		"core.ConfigError":         {configError(t)},
		"core.Cookie":              {m.Config().Cookie},
		"core.CookieSizeError":     {&core.CookieSizeError{Size: 2, Max: 1, Largest: []core.KeySize{{Key: "key", Bytes: 1}}}},
		"core.KeySize":             {core.KeySize{Key: "key", Bytes: 1}},
		"core.SealedCookie":        {core.SealedCookie{Ends: memory}},
		"core.Event":               {core.Event{Kind: core.EventStoreError, Err: down}, core.Event{Kind: core.EventDropped, Err: keyErr}},
		"core.Probe":               {&core.Probe{Check: func(context.Context) error { return down }}},
		"core.StoreCall":           {core.StoreCall{Verb: "load", Err: down}},
		"core.EventKind":           {core.EventSaved},
		"core.Exchange":            {x, x.Request(r).Context()},
		"core.Expiry":              {core.Expiry{Idle: time.Now()}},
		"core.Flashes":             {core.Flashes[string]("info")},
		"core.Guard":               {core.RequireUser(core.SignInPage{Path: "/login"})},
		"core.Header":              {m.Config().Header},
		"core.Bind":                {&core.Bind{Path: "/bind", Life: time.Hour}},
		"core.Info":                {info},
		"core.Resealed":            {core.Resealed{}},
		"core.Survey":              {core.Survey{}},
		"core.Tally":               {core.Tally{}},
		"core.Key":                 {core.Key[string]("key")},
		"core.KeyError":            {keyErr},
		"core.Manager":             {m, plain},
		"core.OneTime":             {core.OneTime[string]{Key: "logins"}},
		"core.Operation":           {core.OpLoad},
		"core.Priority":            {core.PriorityHigh},
		"core.RevocationError":     {core.RevocationError{Ended: 1, Left: 2, Err: down}, &core.RevocationError{Ended: 1, Left: 2, Err: down}},
		"core.Session":             {s, next, other, user, *s}, //nolint:govet // who copies one must not print it either
		"core/store.Error":         {down},
		"core/store.Record":        {rec},
		"core.SignInPage":          {core.SignInPage{Path: "/login"}},
		"core.SignInAttempt":       {must(s.BeginSignIn(t.Context(), "ada"))},
		"core.Writer":              {x.Writer(httptest.NewRecorder())},
		"stores/memory.Store":      {memory},
		"stores/memory.Options":    {memorystore.Options{MaxSessions: 1}},
		"stores/mongo.Store":       {mongoStore(t)},
		"stores/mongo.Options":     {mongostore.Options{Database: "db"}},
		"stores/sql.Store":         {sqlStore(t)},
		"stores/sql.Options":       {sqlstore.Options{Table: "sessions"}},
		"stores/sql.Dialect":       {sqlstore.PostgreSQL},
		"stores/sqlite.Store":      {sqliteStore(t)},
		"stores/sqlite.Options":    {sqlitestore.Options{}},
		"stores/valkey.Store":      nil, // a test of its own
		"stores/valkey.Options":    {valkeystore.Options{CacheTTL: time.Minute}},
		"core.Predecessor":         {core.Predecessor{Source: takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{[]byte(secret)}}}},
		"core/predecessor.Session": {predecessor.Session{Key: []byte(data), Version: []byte(data), Values: map[string]any{"key": data}}},
		"takeover.CookieSession":   {takeover.CookieSession{Keys: []string{secret}}},
		"takeover.Fiber":           {takeover.Fiber{}},
		"takeover.Files":           {takeover.Files("sessions")},
		"takeover.Gorilla":         {takeover.Gorilla{Name: "shop", KeyPairs: [][]byte{[]byte(secret), []byte(sealKey)}}},
		"takeover.Record":          {takeover.Record{Data: []byte(data)}},
		"takeover.SCS":             {takeover.SCS{}},
		"takeover.SQL":             {takeover.SQL{Select: "SELECT data"}},
	}, secrets
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wrong returns the error of a key whose value is of another type.
func wrong(t *testing.T, s *core.Session) error {
	t.Helper()
	_, err := core.Key[int]("key").Lookup(s)
	var keyErr *core.KeyError
	if !errors.As(err, &keyErr) {
		t.Fatalf("a text read as a number: %v", err)
	}
	return keyErr
}

// configError returns the error about a secret that cannot be one.
func configError(t *testing.T) error {
	t.Helper()
	_, err := core.New(core.Config{Store: memorystore.New(memorystore.Options{}), Secrets: []string{secret}, SealKeys: []string{sealKey[:31]}})
	var cfgErr *core.ConfigError
	if !errors.As(err, &cfgErr) {
		t.Fatalf("a short seal key: %v", err)
	}
	return cfgErr
}

// mongoStore returns a store on a client that has connected to nothing.
func mongoStore(t *testing.T) *mongostore.Store {
	t.Helper()
	client := must(mongo.Connect(options.Client().ApplyURI("mongodb://user:" + secret + "@127.0.0.1:1/")))
	t.Cleanup(func() { _ = client.Disconnect(context.WithoutCancel(t.Context())) })
	return must(mongostore.New(client.Database("db").Collection("sessions"), mongostore.Options{}))
}

func sqlStore(t *testing.T) *sqlstore.Store {
	t.Helper()
	db := must(sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), secret)))
	t.Cleanup(func() { _ = db.Close() })
	s := must(sqlstore.New(db, sqlstore.Options{}))
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func sqliteStore(t *testing.T) *sqlitestore.Store {
	t.Helper()
	s := must(sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "sessions.db"), sqlitestore.Options{}))
	t.Cleanup(func() { _ = s.Close() })
	return s
}
