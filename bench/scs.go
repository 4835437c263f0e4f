package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	"github.com/redis/go-redis/v9"
)

const (
	scsName     = "scs"
	scsIdleName = "scs, idle timeout"
)

// scs as it comes, and with an idle timeout, which is what the others have.
func scsSubjects() []subject {
	inMemory := func(idle time.Duration) func(context.Context, *servers) (*app, error) {
		return func(context.Context, *servers) (*app, error) {
			m := scs.New() // with its memstore
			m.IdleTimeout = idle
			return scsApp(m, nothing), nil
		}
	}
	inRedis := func(idle time.Duration) func(context.Context, *servers) (*app, error) {
		return func(_ context.Context, s *servers) (*app, error) {
			client := redis.NewClient(&redis.Options{Addr: s.valkey, PoolSize: clients})
			m := scs.New()
			m.IdleTimeout = idle
			m.Store = goredisstore.New(client)
			return scsApp(m, func() { _ = client.Close() }), nil
		}
	}
	return []subject{
		{scsName, onHTTP, memory, inMemory(0)},
		{scsIdleName, onHTTP, memory, inMemory(time.Hour)},
		{scsName, onHTTP, valkeyS, inRedis(0)},
		{scsIdleName, onHTTP, valkeyS, inRedis(time.Hour)},
	}
}

func scsApp(m *scs.SessionManager, closed func()) *app {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { _ = answer(w, true) })
	mux.HandleFunc("GET "+pathRead, func(w http.ResponseWriter, r *http.Request) {
		_ = answer(w, m.GetString(r.Context(), userKey) == userName)
	})
	mux.HandleFunc("GET "+pathCount, func(w http.ResponseWriter, r *http.Request) {
		m.Put(r.Context(), countKey, m.GetInt(r.Context(), countKey)+1)
		_ = answer(w, true)
	})
	mux.HandleFunc("GET "+pathLogin, func(w http.ResponseWriter, r *http.Request) {
		if err := m.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		m.Put(r.Context(), userKey, userName)
		_ = answer(w, true)
	})
	mux.HandleFunc("GET "+pathSignIn, func(w http.ResponseWriter, r *http.Request) {
		if err := m.RenewToken(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		m.Put(r.Context(), userKey, strconv.FormatInt(users.Add(1), 10))
		_ = answer(w, true)
	})
	mux.HandleFunc("GET "+pathMake, func(w http.ResponseWriter, r *http.Request) {
		m.Put(r.Context(), themeKey, theme)
		m.Put(r.Context(), countKey, countFrom)
		for _, key := range fillerKeys(fillerOf(r.URL.Query().Get("filler"))) {
			m.Put(r.Context(), key, fillerValue)
		}
		m.Put(r.Context(), userKey, userName)
		_ = answer(w, true)
	})
	mux.HandleFunc("GET "+pathShow, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, shown(m.GetString(r.Context(), userKey), m.GetInt(r.Context(), countKey)))
	})
	return &app{handler: m.LoadAndSave(mux), close: closed}
}
