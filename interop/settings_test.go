package interop

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// settings are those of one app, in express-session's words: the Express app
// gets them as they are, and config tells what they are here.
type settings struct {
	Store             storeSettings  `json:"store"`
	Secrets           []string       `json:"secrets"`
	Name              string         `json:"name,omitempty"`
	Cookie            *cookieOptions `json:"cookie,omitempty"`
	CookieFromHeader  bool           `json:"cookieFromHeader,omitempty"` // the header X-Cookie has the cookieOptions
	IDs               []string       `json:"ids,omitempty"`              // that genid returns, one after the other
	Proxy             *bool          `json:"proxy,omitempty"`
	Resave            bool           `json:"resave,omitempty"`
	SaveUninitialized bool           `json:"saveUninitialized,omitempty"`
	Rolling           bool           `json:"rolling,omitempty"`
	Unset             string         `json:"unset,omitempty"`
	Middleware        string         `json:"middleware,omitempty"` // JavaScript, behind express-session
}

// Where the sessions are, for express/server.js.
type storeSettings struct {
	Kind       string `json:"kind"` // "valkey", "mongo string" or "mongo object"
	URL        string `json:"url"`
	Prefix     string `json:"prefix,omitempty"`
	Database   string `json:"database,omitempty"`
	Collection string `json:"collection,omitempty"`
	TTL        int    `json:"ttl,omitempty"` // in seconds
	TouchAfter int    `json:"touchAfter,omitempty"`
}

// cookieOptions are express-session's option cookie.
type cookieOptions struct {
	MaxAge      int64  `json:"maxAge,omitempty"` // in milliseconds
	Path        string `json:"path,omitempty"`
	Domain      string `json:"domain,omitempty"`
	HTTPOnly    *bool  `json:"httpOnly,omitempty"` // true where it is missing
	Secure      any    `json:"secure,omitempty"`   // bool or "auto"
	SameSite    any    `json:"sameSite,omitempty"` // bool, "lax", "strict", "none" or "auto"
	Partitioned bool   `json:"partitioned,omitempty"`
	Priority    string `json:"priority,omitempty"`
}

// What express-session's values are here.
var (
	secures = map[any]core.Secure{
		nil: core.SecureNever, false: core.SecureNever, true: core.SecureAlways, "auto": core.SecureAuto,
	}
	sameSites = map[any]http.SameSite{
		nil: http.SameSiteDefaultMode, false: http.SameSiteDefaultMode, true: http.SameSiteStrictMode,
		"lax": http.SameSiteLaxMode, "strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode, "auto": core.SameSiteAuto,
	}
	priorities = map[string]core.Priority{
		"": "", "low": core.PriorityLow, "medium": core.PriorityMedium, "high": core.PriorityHigh,
	}
)

func (o *cookieOptions) cookie(name string) core.Cookie {
	if o == nil {
		o = &cookieOptions{}
	}
	return core.Cookie{
		Name:         name,
		MaxAge:       time.Duration(o.MaxAge) * time.Millisecond,
		Path:         o.Path,
		Domain:       o.Domain,
		ScriptAccess: o.HTTPOnly != nil && !*o.HTTPOnly,
		Secure:       secures[o.Secure],
		SameSite:     sameSites[o.SameSite],
		Partitioned:  o.Partitioned,
		Priority:     priorities[o.Priority],
	}
}

// config returns the Config that says the same as s.
func (s settings) config(st store.Store) core.Config {
	cfg := core.Config{
		ShareWithExpress:  true,
		Store:             st,
		Secrets:           s.Secrets,
		Cookie:            s.Cookie.cookie(s.Name),
		Rolling:           s.Rolling,
		Resave:            s.Resave,
		SaveUninitialized: s.SaveUninitialized,
		IdleTimeout:       time.Duration(s.Store.TTL) * time.Second,
		StoreTimeout:      patience,
	}
	if s.CookieFromHeader {
		cfg.CookieFor = cookieFromHeader
	}
	if s.IDs != nil {
		cfg.GenerateID = oneAfterTheOther(s.IDs)
	}
	if s.Proxy != nil && *s.Proxy {
		cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	return cfg
}

func cookieFromHeader(r *http.Request) core.Cookie {
	var o cookieOptions
	if err := json.Unmarshal([]byte(r.Header.Get("X-Cookie")), &o); err != nil {
		panic(err)
	}
	return o.cookie("")
}

func oneAfterTheOther(ids []string) func(*http.Request) (string, error) {
	var mu sync.Mutex
	return func(*http.Request) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if len(ids) == 0 {
			return "", errors.New("no ids are left")
		}
		id := ids[0]
		ids = ids[1:]
		return id, nil
	}
}
