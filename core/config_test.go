package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
)

// good is a Config that New accepts.
func good() core.Config {
	return core.Config{Store: new(mapstore.Store), Secrets: []string{stageSecret}}
}

// Standards: ASVS-3.3.2, ASVS-3.3.3, ASVS-11.2.3, NIST-5.2-aal
func TestNewRefusesWhatCannotWorkAndNamesTheField(t *testing.T) {
	t.Parallel()
	var typedNil *mapstore.Store
	tests := []struct {
		name   string
		field  string
		change func(*core.Config)
	}{
		{"no store", "Store", func(c *core.Config) { c.Store = nil }},
		{"a nil pointer as store", "Store", func(c *core.Config) { c.Store = typedNil }},
		{"no secrets", "Secrets", func(c *core.Config) { c.Secrets = nil }},
		{"an empty secret", "Secrets", func(c *core.Config) { c.Secrets = []string{""} }},
		{"a blank secret", "Secrets", func(c *core.Config) { c.Secrets = []string{stageSecret, " \t\n"} }},
		{"negative idle timeout", "IdleTimeout", func(c *core.Config) { c.IdleTimeout = -1 }},
		{"negative absolute timeout", "AbsoluteTimeout", func(c *core.Config) { c.AbsoluteTimeout = -time.Hour }},
		{"negative store timeout", "StoreTimeout", func(c *core.Config) { c.StoreTimeout = -time.Second }},
		{"an idle timeout in seconds", "IdleTimeout", func(c *core.Config) { c.IdleTimeout = 1800 }},
		{"an absolute timeout in seconds", "AbsoluteTimeout", func(c *core.Config) { c.AbsoluteTimeout = 86400 }},
		{"a store timeout in seconds", "StoreTimeout", func(c *core.Config) { c.StoreTimeout = 5 }},
		{"a touch interval in seconds", "TouchInterval", func(c *core.Config) { c.TouchInterval = 60 }},
		{"a max age in seconds", "Cookie.MaxAge", func(c *core.Config) { c.Cookie.MaxAge = 3600 }},
		{"a max age of less than a second", "Cookie.MaxAge", func(c *core.Config) { c.Cookie.MaxAge = time.Second - 1 }},
		{"negative poll interval", "PollInterval", func(c *core.Config) { c.PollInterval = -time.Second }},
		{"a poll interval in seconds", "PollInterval", func(c *core.Config) { c.PollInterval = 5 }},
		{"a poll without a pause", "PollInterval", func(c *core.Config) { c.PollInterval = time.Millisecond }},
		{"negative touch interval", "TouchInterval", func(c *core.Config) { c.TouchInterval = -time.Second }},
		{"touch interval as long as the default idle timeout", "TouchInterval", func(c *core.Config) { c.TouchInterval = 24 * time.Hour }},
		{"touch interval as long as the idle timeout", "TouchInterval", func(c *core.Config) { c.IdleTimeout, c.TouchInterval = time.Hour, time.Hour }},
		{"absolute below the idle that was set", "AbsoluteTimeout", func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Hour, time.Minute }},
		{"an assurance level that there is not", "AAL", func(c *core.Config) { c.AAL = 4 }},
		{"a negative assurance level", "AAL", func(c *core.Config) { c.AAL = -1 }},
		{"more than 30 days at AAL 1", "AbsoluteTimeout", func(c *core.Config) { c.AAL, c.AbsoluteTimeout = 1, 30*24*time.Hour+1 }},
		{"idle for more than 30 days at AAL 1", "IdleTimeout", func(c *core.Config) { c.AAL, c.IdleTimeout = 1, 30*24*time.Hour+1 }},
		{"more than a day at AAL 2", "AbsoluteTimeout", func(c *core.Config) { c.AAL, c.AbsoluteTimeout = 2, 24*time.Hour+1 }},
		{"idle for more than an hour at AAL 2", "IdleTimeout", func(c *core.Config) { c.AAL, c.IdleTimeout = 2, time.Hour+1 }},
		{"more than 12 hours at AAL 3", "AbsoluteTimeout", func(c *core.Config) { c.AAL, c.AbsoluteTimeout = 3, 12*time.Hour+1 }},
		{"idle for more than 15 minutes at AAL 3", "IdleTimeout", func(c *core.Config) { c.AAL, c.IdleTimeout = 3, 15*time.Minute+1 }},
		{"an idle timeout longer than the absolute one of the level", "AbsoluteTimeout", func(c *core.Config) { c.AAL, c.IdleTimeout, c.AbsoluteTimeout = 1, 2*time.Hour, time.Hour }},
		{"touch interval as long as the idle timeout of the level", "TouchInterval", func(c *core.Config) { c.AAL, c.TouchInterval = 3, 15*time.Minute }},
		{"negative MaxBytes", "MaxBytes", func(c *core.Config) { c.MaxBytes = -1 }},
		{"negative MaxKeys", "MaxKeys", func(c *core.Config) { c.MaxKeys = -1 }},
		{"a negative limit for users", "MaxSessionsPerUser", func(c *core.Config) { c.Store, c.MaxSessionsPerUser = newUserStore(), -1 }},
		{"a limit for users above all others", "MaxSessionsPerUser", func(c *core.Config) { c.Store, c.MaxSessionsPerUser = newUserStore(), 1001 }},
		{"a limit for users without lists of them", "MaxSessionsPerUser", func(c *core.Config) { c.MaxSessionsPerUser = 1 }},
		{"a trusted network that is IPv6 and all of IPv4", "TrustedProxies", func(c *core.Config) {
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("::ffff:10.0.0.0/95")}
		}},
		{"a trusted network that is none", "TrustedProxies", func(c *core.Config) { c.TrustedProxies = make([]netip.Prefix, 1) }},
		{"an unknown behaviour at that limit", "AtUserLimit", func(c *core.Config) { c.AtUserLimit = 3 }},
		{"a user key that is reserved", "UserKey", func(c *core.Config) { c.UserKey = "__cloakroom.user" }},
		{"a user key with an empty part", "UserKey", func(c *core.Config) { c.UserKey = "passport." }},
		{"a user key that is not UTF-8", "UserKey", func(c *core.Config) { c.UserKey = "us\xffer" }},
		{"a short retired seal key", "RetiredSealKeys", func(c *core.Config) { c.RetiredSealKeys = []string{strings.Repeat("k", 31)} }},
		{"a seal key that is retired", "RetiredSealKeys", func(c *core.Config) {
			c.SealKeys, c.RetiredSealKeys = []string{strings.Repeat("k", 32)}, []string{strings.Repeat("k", 32)}
		}},
		{"a short seal key", "SealKeys", func(c *core.Config) { c.SealKeys = []string{strings.Repeat("k", 31)} }},
		{"hashed ids shared with Express", "HashIDs", func(c *core.Config) { c.HashIDs, c.ShareWithExpress = true, true }},
		{"sealed records shared with Express", "SealKeys", func(c *core.Config) {
			c.SealKeys, c.ShareWithExpress = []string{strings.Repeat("k", 32)}, true
		}},
		{"a name with a space", "Cookie.Name", func(c *core.Config) { c.Cookie.Name = "my sid" }},
		{"a name with =", "Cookie.Name", func(c *core.Config) { c.Cookie.Name = "a=b" }},
		{"a name with ;", "Cookie.Name", func(c *core.Config) { c.Cookie.Name = "a;b" }},
		{"a name that is not ASCII", "Cookie.Name", func(c *core.Config) { c.Cookie.Name = "sitzüng" }},
		{"a name with a control character", "Cookie.Name", func(c *core.Config) { c.Cookie.Name = "a\x00" }},
		{"unknown Secure", "Cookie.Secure", func(c *core.Config) { c.Cookie.Secure = 7 }},
		{"negative Secure", "Cookie.Secure", func(c *core.Config) { c.Cookie.Secure = -1 }},
		{"unknown SameSite", "Cookie.SameSite", func(c *core.Config) { c.Cookie.SameSite = 9 }},
		{"SameSite below SameSiteAuto", "Cookie.SameSite", func(c *core.Config) { c.Cookie.SameSite = -2 }},
		{"SameSite=None with SecureAuto", "Cookie.SameSite", func(c *core.Config) { c.Cookie.SameSite = http.SameSiteNoneMode }},
		{"SameSite=None with SecureNever", "Cookie.SameSite", func(c *core.Config) {
			c.Cookie.SameSite, c.Cookie.Secure = http.SameSiteNoneMode, core.SecureNever
		}},
		{"Partitioned with SecureAuto", "Cookie.Partitioned", func(c *core.Config) { c.Cookie.Partitioned = true }},
		{"Partitioned with SameSite=Lax", "Cookie.Partitioned", func(c *core.Config) {
			c.Cookie.Partitioned, c.Cookie.Secure = true, core.SecureAlways
		}},
		{"Partitioned with SameSiteAuto", "Cookie.Partitioned", func(c *core.Config) {
			c.Cookie.Partitioned, c.Cookie.Secure, c.Cookie.SameSite = true, core.SecureAlways, core.SameSiteAuto
		}},
		{"__Http- with SecureAuto", "Cookie.Secure", func(c *core.Config) { c.Cookie.Name = "__Http-sid" }},
		{"__HTTP- for scripts", "Cookie.ScriptAccess", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.ScriptAccess = "__HTTP-sid", core.SecureAlways, true
		}},
		{"__Host-Http- with SecureAuto", "Cookie.Secure", func(c *core.Config) { c.Cookie.Name = "__Host-Http-sid" }},
		{"__Host-Http- for scripts", "Cookie.ScriptAccess", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.ScriptAccess = "__Host-Http-sid", core.SecureAlways, true
		}},
		{"__host-http- with a domain", "Cookie.Domain", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.Domain = "__host-http-sid", core.SecureAlways, "example.com"
		}},
		{"__Host-Http- with a path", "Cookie.Path", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.Path = "__Host-Http-sid", core.SecureAlways, "/app"
		}},
		{"a domain that is a URL", "Cookie.Domain", func(c *core.Config) { c.Cookie.Domain = "https://example.com" }},
		{"__Secure- with SecureAuto", "Cookie.Secure", func(c *core.Config) { c.Cookie.Name = "__Secure-sid" }},
		{"__secure- in small letters", "Cookie.Secure", func(c *core.Config) { c.Cookie.Name = "__secure-sid" }},
		{"__Host- with SecureNever", "Cookie.Secure", func(c *core.Config) { c.Cookie.Name, c.Cookie.Secure = "__Host-sid", core.SecureNever }},
		{"__HOST- with a domain", "Cookie.Domain", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.Domain = "__HOST-sid", core.SecureAlways, "example.com"
		}},
		{"__Host- with a path", "Cookie.Path", func(c *core.Config) {
			c.Cookie.Name, c.Cookie.Secure, c.Cookie.Path = "__Host-sid", core.SecureAlways, "/app"
		}},
		{"a stripped prefix that is relative", "StrippedPrefix", func(c *core.Config) { c.StrippedPrefix = "app" }},
		{"a stripped prefix with a slash at its end", "StrippedPrefix", func(c *core.Config) { c.StrippedPrefix = "/app/" }},
		{"a stripped prefix that strips nothing", "StrippedPrefix", func(c *core.Config) { c.StrippedPrefix = "/" }},
		{"a path that is relative", "Cookie.Path", func(c *core.Config) { c.Cookie.Path = "app" }},
		{"a path with ;", "Cookie.Path", func(c *core.Config) { c.Cookie.Path = "/a;b" }},
		{"a path with a line break", "Cookie.Path", func(c *core.Config) { c.Cookie.Path = "/a\r\nSet-Cookie: x=y" }},
		{"a path that is not ASCII", "Cookie.Path", func(c *core.Config) { c.Cookie.Path = "/ü" }},
		{"a path of 1025 bytes", "Cookie.Path", func(c *core.Config) { c.Cookie.Path = "/" + strings.Repeat("a", 1024) }},
		{"a domain with a port", "Cookie.Domain", func(c *core.Config) { c.Cookie.Domain = "example.com:80" }},
		{"a domain with ;", "Cookie.Domain", func(c *core.Config) { c.Cookie.Domain = "example.com; Secure" }},
		{"a domain with an empty label", "Cookie.Domain", func(c *core.Config) { c.Cookie.Domain = "a..b" }},
		{"a domain of 254 bytes", "Cookie.Domain", func(c *core.Config) { c.Cookie.Domain = strings.Repeat("a", 254) }},
		{"a negative max age", "Cookie.MaxAge", func(c *core.Config) { c.Cookie.MaxAge = -time.Hour }},
		{"unknown priority", "Cookie.Priority", func(c *core.Config) { c.Cookie.Priority = "high" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := good()
			tt.change(&cfg)
			m, err := core.New(cfg)
			if m != nil {
				t.Error("there is a Manager all the same")
			}
			var cfgErr *core.ConfigError
			if !errors.As(err, &cfgErr) {
				t.Fatalf("error is %v, want a *ConfigError", err)
			}
			if cfgErr.Field != tt.field || cfgErr.Reason == "" || !strings.HasPrefix(err.Error(), "cloakroom: Config."+tt.field+" ") {
				t.Errorf("field %q, error %q; want field %q", cfgErr.Field, err, tt.field)
			}
			if core.HTTPStatus(err) != http.StatusInternalServerError {
				t.Errorf("status %d", core.HTTPStatus(err))
			}
		})
	}
}

// A number of seconds, or of milliseconds, that became one of nanoseconds comes back with
// what to write in its place.
func TestATimeThatIsTooShortIsToldWithWhatToWrite(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		change func(*core.Config)
		want   string
	}{
		{func(c *core.Config) { c.Cookie.MaxAge = 3600 }, "Cookie.MaxAge is too short: 3600 is 3.6µs: write 3600 * time.Second"},
		{func(c *core.Config) { c.IdleTimeout = 1800 }, "IdleTimeout is too short: 1800 is 1.8µs: write 1800 * time.Second"},
		{func(c *core.Config) { c.AbsoluteTimeout = 86400 }, "AbsoluteTimeout is too short: 86400 is 86.4µs: write 86400 * time.Second"},
		{func(c *core.Config) { c.StoreTimeout = 5 }, "StoreTimeout is too short: 5 is 5ns: write 5 * time.Second"},
		{func(c *core.Config) { c.TouchInterval = 60 }, "TouchInterval is too short: 60 is 60ns: write 60 * time.Second"},
		{
			func(c *core.Config) { c.Cookie.MaxAge = 30 * 86400 }, // a month, as with gorilla
			"Cookie.MaxAge is too short: 2592000 is 2.592ms: write 2592000 * time.Second, or 2592000 * time.Millisecond",
		},
		{
			func(c *core.Config) { c.IdleTimeout = 86_400_000 }, // a day, as with express-session
			"IdleTimeout is too short: 86400000 is 86.4ms: write 86400000 * time.Second, or 86400000 * time.Millisecond",
		},
		{func(c *core.Config) { c.IdleTimeout = 500 * time.Millisecond }, "IdleTimeout is too short: it is 500ms, and at least 1s is needed"},
	} {
		cfg := good()
		tt.change(&cfg)
		if _, err := core.New(cfg); err == nil || err.Error() != "cloakroom: Config."+tt.want {
			t.Errorf("New returned %v, want %q", err, tt.want)
		}
	}
}

func TestNewAcceptsWhatBrowsersAccept(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*core.Config){
		"nothing but store and secret":   func(*core.Config) {},
		"SameSite=None and SecureAlways": func(c *core.Config) { c.Cookie.SameSite, c.Cookie.Secure = http.SameSiteNoneMode, core.SecureAlways },
		"Partitioned for other sites": func(c *core.Config) {
			c.Cookie.Partitioned, c.Cookie.Secure, c.Cookie.SameSite = true, core.SecureAlways, http.SameSiteNoneMode
		},
		"__Host-Http- and SecureAlways": func(c *core.Config) { c.Cookie.Name, c.Cookie.Secure = "__Host-Http-sid", core.SecureAlways },
		"__Http- with domain and path": func(c *core.Config) {
			c.Cookie = core.Cookie{Name: "__Http-sid", Secure: core.SecureAlways, Domain: "a.b", Path: "/x"}
		},
		"a second of everything": func(c *core.Config) {
			c.Cookie.MaxAge, c.IdleTimeout, c.AbsoluteTimeout, c.TouchInterval, c.StoreTimeout = time.Second, time.Second, time.Second, time.Millisecond, time.Millisecond
		},
		"__Host- and SecureAlways": func(c *core.Config) { c.Cookie.Name, c.Cookie.Secure = "__Host-sid", core.SecureAlways },
		"__Secure- with domain and path": func(c *core.Config) {
			c.Cookie = core.Cookie{Name: "__Secure-sid", Secure: core.SecureAlways, Domain: "a.b", Path: "/x"}
		},
		"a domain with a leading dot":      func(c *core.Config) { c.Cookie.Domain = ".example.com" },
		"a path of 1024 bytes":             func(c *core.Config) { c.Cookie.Path = "/" + strings.Repeat("a", 1023) },
		"EveryRequest":                     func(c *core.Config) { c.TouchInterval = core.EveryRequest },
		"absolute equal to idle":           func(c *core.Config) { c.IdleTimeout, c.AbsoluteTimeout = time.Hour, time.Hour },
		"absolute below the default idle":  func(c *core.Config) { c.AbsoluteTimeout = time.Minute },
		"an odd but legal name":            func(c *core.Config) { c.Cookie.Name = "!#$%&'*+-.^_`|~" },
		"SameSiteAuto with SecureNever":    func(c *core.Config) { c.Cookie.SameSite, c.Cookie.Secure = core.SameSiteAuto, core.SecureNever },
		"a seal key of 32 bytes":           func(c *core.Config) { c.SealKeys = []string{strings.Repeat("k", 32)} },
		"no attribute SameSite, by choice": func(c *core.Config) { c.Cookie.SameSite = http.SameSiteDefaultMode },
	}
	for name, change := range tests {
		cfg := good()
		change(&cfg)
		if _, err := core.New(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Standards: ASVS-7.1.1, NIST-5.2-aal
func TestConfigTellsTheDefaultsInForce(t *testing.T) {
	t.Parallel()
	defaults := core.Config{
		Cookie:  core.Cookie{Name: "sid", Path: "/", SameSite: http.SameSiteLaxMode},
		Secrets: []string{"REDACTED"}, SealKeys: []string{}, RetiredSealKeys: []string{},
		IdleTimeout: 24 * time.Hour, TouchInterval: time.Minute, PollInterval: time.Second, StoreTimeout: 5 * time.Second,
		MaxBytes: 1 << 20, MaxKeys: 1000,
	}
	tests := []struct {
		name   string
		change func(*core.Config)
		want   func(*core.Config)
	}{
		{"defaults", func(*core.Config) {}, func(*core.Config) {}},
		{
			"idle follows a shorter max age", func(c *core.Config) { c.Cookie.MaxAge = time.Hour },
			func(s *core.Config) { s.Cookie.MaxAge, s.IdleTimeout = time.Hour, time.Hour },
		},
		{
			"and a longer one", func(c *core.Config) { c.Cookie.MaxAge = 48 * time.Hour },
			func(s *core.Config) { s.Cookie.MaxAge, s.IdleTimeout = 48*time.Hour, 48*time.Hour },
		},
		{
			"but no further than AAL allows", func(c *core.Config) { c.AAL, c.Cookie.MaxAge = 2, 48*time.Hour },
			func(s *core.Config) {
				s.AAL, s.Cookie.MaxAge, s.AbsoluteTimeout, s.IdleTimeout = 2, 48*time.Hour, 24*time.Hour, time.Hour
			},
		},
		{
			"where Express goes by it too", func(c *core.Config) { c.ShareWithExpress, c.Cookie.MaxAge = true, 48*time.Hour },
			func(s *core.Config) {
				s.Cookie.Name, s.ShareWithExpress, s.Cookie.MaxAge, s.IdleTimeout = "connect.sid", true, 48*time.Hour, 48*time.Hour
			},
		},
		{
			"idle follows a shorter absolute timeout", func(c *core.Config) { c.AbsoluteTimeout, c.Cookie.MaxAge = time.Minute, time.Hour },
			func(s *core.Config) {
				s.AbsoluteTimeout, s.IdleTimeout, s.Cookie.MaxAge, s.TouchInterval = time.Minute, time.Minute, time.Hour, 3*time.Second
			},
		},
		{
			"an idle timeout that was set stays", func(c *core.Config) { c.IdleTimeout, c.Cookie.MaxAge = 2*time.Hour, time.Hour },
			func(s *core.Config) { s.IdleTimeout, s.Cookie.MaxAge = 2*time.Hour, time.Hour },
		},
		{
			"AAL 1", func(c *core.Config) { c.AAL = 1 },
			func(s *core.Config) { s.AAL, s.AbsoluteTimeout = 1, 30*24*time.Hour },
		},
		{
			"AAL 2", func(c *core.Config) { c.AAL = 2 },
			func(s *core.Config) { s.AAL, s.AbsoluteTimeout, s.IdleTimeout = 2, 24*time.Hour, time.Hour },
		},
		{
			"AAL 3", func(c *core.Config) { c.AAL = 3 },
			func(s *core.Config) {
				s.AAL, s.AbsoluteTimeout, s.IdleTimeout, s.TouchInterval = 3, 12*time.Hour, 15*time.Minute, 45*time.Second
			},
		},
		{
			"shorter times than a level has", func(c *core.Config) { c.AAL, c.AbsoluteTimeout, c.IdleTimeout = 2, 4*time.Hour, 30*time.Minute },
			func(s *core.Config) { s.AAL, s.AbsoluteTimeout, s.IdleTimeout = 2, 4*time.Hour, 30*time.Minute },
		},
		{
			"the touch interval is 1/20 of a short idle timeout", func(c *core.Config) { c.IdleTimeout = 10 * time.Minute },
			func(s *core.Config) { s.IdleTimeout, s.TouchInterval = 10*time.Minute, 30*time.Second },
		},
		{
			"EveryRequest is no interval", func(c *core.Config) { c.TouchInterval = core.EveryRequest },
			func(s *core.Config) { s.TouchInterval = core.EveryRequest },
		},
		{
			"an explicit touch interval", func(c *core.Config) { c.TouchInterval = 5 * time.Minute },
			func(s *core.Config) { s.TouchInterval = 5 * time.Minute },
		},
		{
			"Express's name", func(c *core.Config) { c.ShareWithExpress = true },
			func(s *core.Config) { s.Cookie.Name, s.ShareWithExpress = "connect.sid", true },
		},
		{
			"a name that was set stays", func(c *core.Config) { c.ShareWithExpress, c.Cookie.Name = true, "sess" },
			func(s *core.Config) { s.Cookie.Name, s.ShareWithExpress = "sess", true },
		},
		{"everything else", func(c *core.Config) {
			c.Secrets = []string{stageSecret, stageSecret + "2"}
			c.HashIDs, c.SealKeys, c.Rolling, c.Resave, c.SaveUninitialized, c.Lazy = true, []string{strings.Repeat("k", 32)}, true, true, true, true
			c.TrustedProxies, c.TrustUnixSocket = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true
			c.StoreTimeout, c.MaxBytes, c.MaxKeys, c.PollInterval = time.Second, 10, 2, time.Minute
			c.Cookie.Domain = ".example.com"
			c.Store, c.MaxSessionsPerUser, c.AtUserLimit, c.UserKey = newUserStore(), 5, core.RefuseNew, "passport.user"
		}, func(s *core.Config) {
			s.Secrets, s.SealKeys = []string{"REDACTED", "REDACTED"}, []string{"REDACTED"}
			s.HashIDs, s.Rolling, s.Resave, s.SaveUninitialized, s.Lazy = true, true, true, true, true
			s.TrustedProxies, s.TrustUnixSocket = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, true
			s.StoreTimeout, s.MaxBytes, s.MaxKeys, s.PollInterval = time.Second, 10, 2, time.Minute
			s.Cookie.Domain = "example.com"
			s.MaxSessionsPerUser, s.AtUserLimit, s.UserKey = 5, core.RefuseNew, "passport.user"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := good()
			tt.change(&cfg)
			m, err := core.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			want, got := defaults, m.Config()
			tt.want(&want)
			if got.Store != cfg.Store || got.Logger == nil || got.Now == nil {
				t.Error("the store, the log or the clock is missing")
			}
			got.Store, got.Logger, got.Now = nil, nil, nil // DeepEqual compares no functions
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// Standards: ASVS-7.1.1, ASVS-11.1.2
func TestTheConfigInForcePrintsWithoutSecrets(t *testing.T) {
	t.Parallel()
	cfg := good()
	cfg.AAL, cfg.SealKeys, cfg.RetiredSealKeys = 2, []string{strings.Repeat("k", 32)}, []string{strings.Repeat("l", 32)}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%+v", m.Config())
	for _, want := range []string{
		"Store:*mapstore.Store ", "Secrets:[REDACTED] ", "SealKeys:[REDACTED] ", "RetiredSealKeys:[REDACTED] ", "Name:sid ", "Secure:auto ", "AAL:2 ", "IdleTimeout:1h0m0s ", "AbsoluteTimeout:24h0m0s ",
		"TouchInterval:1m0s ", "HashIDs:false ", "MaxSessionsPerUser:0 ", "AtUserLimit:drop the least recently used ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %s", want, got)
		}
	}
	for value, want := range map[any]string{
		core.SecureAuto: "auto", core.SecureAlways: "always", core.SecureNever: "never", core.Secure(7): "Secure(7)",
	} {
		if got := fmt.Sprint(value); got != want {
			t.Errorf("%#v prints as %q", value, got)
		}
	}
}

// What a caller does to the Config that it got is of no consequence.
func TestTheConfigInForceIsACopy(t *testing.T) {
	t.Parallel()
	cfg := good()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Config()
	got.TrustedProxies[0] = netip.MustParsePrefix("0.0.0.0/0")
	if p := m.Config().TrustedProxies[0].String(); p != "10.0.0.0/8" {
		t.Errorf("the Manager trusts %s now", p)
	}
}

// Standards: ASVS-3.3.2, ASVS-3.3.4, NIST-5.1-restart, NIST-5.1.1-attributes, WSTG-SESS-02
func TestTheSetCookieLine(t *testing.T) {
	t.Parallel()
	// The clock stands at 08:29:14; the value of the cookie is cut out.
	tests := []struct {
		name   string
		cookie core.Cookie
		https  bool
		want   string
	}{
		{"defaults over HTTP", core.Cookie{}, false, "; Path=/; HttpOnly; SameSite=Lax"},
		{"defaults over HTTPS", core.Cookie{}, true, "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"never secure", core.Cookie{Secure: core.SecureNever}, true, "; Path=/; HttpOnly; SameSite=Lax"},
		{"always secure", core.Cookie{Secure: core.SecureAlways}, true, "; Path=/; HttpOnly; Secure; SameSite=Lax"},
		{"max age", core.Cookie{MaxAge: time.Minute}, false, "; Path=/; Expires=Sat, 21 Nov 2026 08:30:14 GMT; Max-Age=60; HttpOnly; SameSite=Lax"},
		{"max age of a second and a half", core.Cookie{MaxAge: 1500 * time.Millisecond}, false, "; Path=/; Expires=Sat, 21 Nov 2026 08:29:15 GMT; Max-Age=2; HttpOnly; SameSite=Lax"},
		{"domain with a dot, and path", core.Cookie{Domain: ".example.com", Path: "/"}, false, "; Domain=example.com; Path=/; HttpOnly; SameSite=Lax"},
		{"for scripts", core.Cookie{ScriptAccess: true}, false, "; Path=/; SameSite=Lax"},
		{"strict", core.Cookie{SameSite: http.SameSiteStrictMode}, false, "; Path=/; HttpOnly; SameSite=Strict"},
		{"none", core.Cookie{SameSite: http.SameSiteNoneMode, Secure: core.SecureAlways}, true, "; Path=/; HttpOnly; Secure; SameSite=None"},
		{"no SameSite", core.Cookie{SameSite: http.SameSiteDefaultMode}, false, "; Path=/; HttpOnly"},
		{"SameSiteAuto over HTTP", core.Cookie{SameSite: core.SameSiteAuto}, false, "; Path=/; HttpOnly; SameSite=Lax"},
		{"SameSiteAuto over HTTPS", core.Cookie{SameSite: core.SameSiteAuto}, true, "; Path=/; HttpOnly; Secure; SameSite=None"},
		{"SameSiteAuto without Secure", core.Cookie{SameSite: core.SameSiteAuto, Secure: core.SecureNever}, true, "; Path=/; HttpOnly; SameSite=Lax"},
		{"SameSiteAuto always secure", core.Cookie{SameSite: core.SameSiteAuto, Secure: core.SecureAlways}, true, "; Path=/; HttpOnly; Secure; SameSite=None"},
		{"low priority", core.Cookie{Priority: core.PriorityLow}, false, "; Path=/; HttpOnly; Priority=Low; SameSite=Lax"},
		{"medium priority", core.Cookie{Priority: core.PriorityMedium}, false, "; Path=/; HttpOnly; Priority=Medium; SameSite=Lax"},
		{"everything", core.Cookie{
			Path: "/", Domain: "d.test", MaxAge: time.Minute, Partitioned: true, Priority: core.PriorityHigh,
			SameSite: http.SameSiteNoneMode, Secure: core.SecureAlways, ScriptAccess: true,
		}, true, "; Domain=d.test; Path=/; Expires=Sat, 21 Nov 2026 08:30:14 GMT; Max-Age=60; Secure; Partitioned; Priority=High; SameSite=None"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{Cookie: tt.cookie})
			s, err := st.Load(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			s.Set("n", 1)
			line, err := st.Commit(t.Context(), s, tt.https)
			if err != nil {
				t.Fatal(err)
			}
			value := "sid=" + core.Sign(stageSecret, s.ID())
			if got, ok := strings.CutPrefix(line, value); !ok || got != tt.want {
				t.Errorf("got %q, want the cookie and %q", line, tt.want)
			}
			if _, err := http.ParseSetCookie(line); err != nil {
				t.Errorf("net/http cannot parse it: %v", err)
			}

			// The deletion must name the same cookie, or the browser keeps it.
			loaded, err := st.Load(t.Context(), strings.TrimPrefix(value, "sid="))
			if err != nil {
				t.Fatal(err)
			}
			if err := loaded.Destroy(t.Context()); err != nil {
				t.Fatal(err)
			}
			gone, err := st.Commit(t.Context(), loaded, tt.https)
			if err != nil {
				t.Fatal(err)
			}
			// The set line's own expiry, if any, is not part of the attributes.
			attributes := strings.Replace(tt.want, "; Expires=Sat, 21 Nov 2026 08:30:14 GMT; Max-Age=60", "", 1)
			attributes = strings.Replace(attributes, "; Expires=Sat, 21 Nov 2026 08:29:15 GMT; Max-Age=2", "", 1)
			got := strings.Replace(gone, "; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0", "", 1)
			if got == gone || got != "sid="+attributes {
				t.Errorf("deletion is %q, want the attributes %q", gone, attributes)
			}
		})
	}
}

// Standards: ASVS-3.3.1
func TestSecureFollowsTheRequest(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	tests := []struct {
		name    string
		tls     bool
		trusted []netip.Prefix
		proto   []string // X-Forwarded-Proto
		secure  bool
		hint    bool // about the peer that is not trusted
	}{
		{name: "plain HTTP"},
		{name: "TLS", tls: true, secure: true},
		{name: "TLS, and a header that says otherwise", tls: true, trusted: loopback, proto: []string{"http"}, secure: true},
		{name: "a stranger says https", proto: []string{"https"}, hint: true},
		{name: "a stranger says http", proto: []string{"http"}},
		{name: "another proxy is trusted", trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, proto: []string{"https"}, hint: true},
		{name: "the proxy says https", trusted: loopback, proto: []string{"https"}, secure: true},
		{name: "the proxy says https, and is trusted as IPv4 in IPv6", trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:127.0.0.0/104")}, proto: []string{"https"}, secure: true},
		{name: "another proxy is trusted as IPv4 in IPv6", trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}, proto: []string{"https"}, hint: true},
		{name: "all of IPv4 is trusted as IPv6", trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:0.0.0.0/96")}, proto: []string{"https"}, secure: true},
		{name: "the proxy says http", trusted: loopback, proto: []string{"http"}},
		{name: "the proxy says nothing", trusted: loopback},
		{name: "in capitals", trusted: loopback, proto: []string{"HTTPS"}, secure: true},
		{name: "with spaces", trusted: loopback, proto: []string{" https "}, secure: true},
		{name: "a list: the nearest hop says https", trusted: loopback, proto: []string{"http, https"}, secure: true},
		{name: "a list: only the client says https", trusted: loopback, proto: []string{"https,http"}},
		{name: "a list of three: the nearest hop says https", trusted: loopback, proto: []string{"http, http, https"}, secure: true},
		{name: "a list of three: the one in the middle says https", trusted: loopback, proto: []string{"http, https, http"}},
		{name: "two headers: the nearest hop says https", trusted: loopback, proto: []string{"http", "https"}, secure: true},
		{name: "two headers: only the client says https", trusted: loopback, proto: []string{"https", "http"}},
		{name: "a list in the last of two headers", trusted: loopback, proto: []string{"https", "https, http"}},
		{name: "an empty last item", trusted: loopback, proto: []string{"https,"}},
		{name: "another protocol", trusted: loopback, proto: []string{"wss"}},
		{name: "a parameter", trusted: loopback, proto: []string{"https;x"}},
	}
	for _, mode := range []struct {
		secure core.Secure
		name   string
	}{{core.SecureAuto, "auto"}, {core.SecureAlways, "always"}, {core.SecureNever, "never"}} {
		for _, tt := range tests {
			t.Run(mode.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				st := newStage(t, core.Config{Cookie: core.Cookie{Secure: mode.secure}, TrustedProxies: tt.trusted})
				if tt.tls {
					handler := st.server.Config.Handler
					st.server.Close()
					st.server = httptest.NewTLSServer(handler)
					t.Cleanup(st.server.Close)
				}
				var a answer
				for range 3 {
					a = st.request("", doModify, func(r *http.Request) { r.Header["X-Forwarded-Proto"] = tt.proto })
				}
				switch {
				case mode.secure == core.SecureAlways && !tt.secure:
					if a.status != http.StatusInternalServerError || a.setCookie != "" {
						t.Errorf("status %d, cookie %q; want a failure: the cookie would be lost", a.status, a.setCookie)
					}
					if got := st.store.verbs(); got != "" {
						t.Errorf("store was asked to %s for a session whose cookie nobody gets", got)
					}
				case a.status != http.StatusOK || a.setCookie == "":
					t.Errorf("status %d, cookie %q", a.status, a.setCookie)
				default:
					want := tt.secure && mode.secure != core.SecureNever
					if got := strings.Contains(a.setCookie, "; Secure"); got != want {
						t.Errorf("Secure is %v, want %v", got, want)
					}
				}
				hints := 0
				if tt.hint {
					hints = 1
				}
				if got := st.log.count("Config.TrustedProxies"); got < hints {
					t.Errorf("no hint in the log:\n%s", st.log)
				}
				if got := st.log.count("a peer that is not in Config.TrustedProxies"); got != hints {
					t.Errorf("%d hints about a peer that is not trusted, want %d", got, hints)
				}
			})
		}
	}
}

// What products send in the place of X-Forwarded-Proto, and what an operator knows.
func TestHTTPSIsWhatTheProxySaysItIs(t *testing.T) {
	t.Parallel()
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	for name, tt := range map[string]struct {
		headers  map[string]string
		isHTTPS  func(*http.Request) bool
		stranger bool
		secure   bool
		told     string // by the log, where it is not secure
	}{
		"Forwarded":                              {headers: map[string]string{"Forwarded": `for=192.0.2.1;proto=https;host=example.com`}, secure: true},
		"Forwarded in quotes and capitals":       {headers: map[string]string{"Forwarded": `for=192.0.2.1, for=192.0.2.2; Proto="HTTPS"`}, secure: true},
		"Forwarded: the nearest hop says http":   {headers: map[string]string{"Forwarded": `proto=https, proto=http`}, told: "no header says"},
		"Forwarded without proto":                {headers: map[string]string{"Forwarded": `for=192.0.2.1`}, told: "no header says"},
		"Forwarded without proto, and another":   {headers: map[string]string{"Forwarded": `for=192.0.2.1`, "X-Forwarded-Ssl": "on"}, secure: true},
		"X-Forwarded-Ssl":                        {headers: map[string]string{"X-Forwarded-Ssl": "on"}, secure: true},
		"X-Forwarded-Ssl: off":                   {headers: map[string]string{"X-Forwarded-Ssl": "off"}, told: "no header says"},
		"Front-End-Https":                        {headers: map[string]string{"Front-End-Https": "On"}, secure: true},
		"CloudFront":                             {headers: map[string]string{"CloudFront-Forwarded-Proto": "https"}, secure: true},
		"X-Forwarded-Proto says http":            {headers: map[string]string{"X-Forwarded-Proto": "http", "X-Forwarded-Ssl": "on"}, told: "no header says"},
		"X-Forwarded-Proto is empty":             {headers: map[string]string{"X-Forwarded-Proto": "", "X-Forwarded-Ssl": "on"}, told: "no header says"},
		"nothing":                                {told: "no header says"},
		"a stranger":                             {headers: map[string]string{"X-Forwarded-Ssl": "on"}, stranger: true, told: "is not in Config.TrustedProxies"},
		"nothing, and the operator knows":        {isHTTPS: core.AlwaysHTTPS, stranger: true, secure: true},
		"nothing, and the operator knows when":   {headers: map[string]string{"X-Port": "443"}, isHTTPS: func(r *http.Request) bool { return r.Header.Get("X-Port") == "443" }, secure: true},
		"nothing, and the operator knows better": {isHTTPS: func(*http.Request) bool { return false }, told: "no header says"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := core.Config{Cookie: core.Cookie{Secure: core.SecureAlways}, IsHTTPS: tt.isHTTPS, TrustedProxies: loopback}
			if tt.stranger {
				cfg.TrustedProxies = nil
			}
			st := newStage(t, cfg)
			a := st.request("", doModify, func(r *http.Request) {
				for name, value := range tt.headers {
					r.Header.Set(name, value)
				}
			})
			if got := strings.Contains(a.setCookie, "; Secure"); got != tt.secure || (a.status == http.StatusOK) != tt.secure {
				t.Errorf("status %d, cookie %q", a.status, a.setCookie)
			}
			if said := st.log.lines("a Secure cookie was not set"); tt.told != "" && (len(said) != 1 || !strings.Contains(said[0], tt.told) || !strings.Contains(said[0], "peer=127.0.0.1")) {
				t.Errorf("the log has %q, want it to say %q", said, tt.told)
			}
		})
	}
}

func TestTrustUnixSocketBelievesAProxyOnASocket(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{true, false} {
		st := newStage(t, core.Config{TrustUnixSocket: trusted})
		path := filepath.Join(t.TempDir(), "s")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Skip("no Unix sockets here:", err)
		}
		server := &http.Server{Handler: st.server.Config.Handler, ReadHeaderTimeout: time.Minute}
		go server.Serve(listener)
		t.Cleanup(func() { server.Close() })
		transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}}
		t.Cleanup(transport.CloseIdleConnections)
		st.handler = doModify
		r, _ := http.NewRequest(http.MethodGet, "http://app.test/", http.NoBody)
		r.Header.Set("X-Forwarded-Proto", "https")
		resp, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := strings.Contains(resp.Header.Get("Set-Cookie"), "; Secure"); got != trusted {
			t.Errorf("TrustUnixSocket %v: Set-Cookie %q", trusted, resp.Header.Get("Set-Cookie"))
		}
		// A socket's word counts only with the option, an address never by it.
		if a := st.request("", doModify, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }); strings.Contains(a.setCookie, "; Secure") {
			t.Errorf("TrustUnixSocket %v: a TCP peer was believed", trusted)
		}
	}
}

// Standards: ASVS-15.3.4
func TestTrustedPeersAreComparedAsAddresses(t *testing.T) {
	t.Parallel()
	cfg := good()
	cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("fe80::/10")}
	m, err := core.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"192.0.2.7:1234":          true,
		"192.0.3.7:1234":          false,
		"[::ffff:192.0.2.7]:1234": true,
		"[fe80::1%eth0]:1234":     true,
		"[2001:db8::1]:1234":      false,
		"@":                       false,
		"":                        false,
		"localhost:80":            false,
		"192.0.2.7":               false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.RemoteAddr = addr
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		m.Handler(doModify).ServeHTTP(w, r)
		if got := strings.Contains(w.Header().Get("Set-Cookie"), "; Secure"); got != want {
			t.Errorf("peer %q: secure is %v, want %v", addr, got, want)
		}
	}
}

// Standards: NIST-5.1-channel
func TestASecureCookieOverPlainHTTPIsSaidOnceWithWhatToSet(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Cookie: core.Cookie{Secure: core.SecureAlways}})
	for range 3 {
		var saveErr error
		a := st.request("", func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			s.Set("n", 1)
			saveErr = s.Save(r.Context())
		})
		if !errors.Is(saveErr, core.ErrInsecure) || core.HTTPStatus(saveErr) != http.StatusInternalServerError {
			t.Errorf("Save returned %v, want ErrInsecure", saveErr)
		}
		if a.status != http.StatusInternalServerError || a.setCookie != "" {
			t.Errorf("status %d, Set-Cookie %q", a.status, a.setCookie)
		}
	}
	if got := st.log.count("a Secure cookie was not set"); got != 1 {
		t.Errorf("hint is in the log %d times, want once:\n%s", got, st.log)
	}
	if got := st.log.String(); !strings.Contains(got, "Config.TrustedProxies") || !strings.Contains(got, "SecureAuto") {
		t.Errorf("the log does not say what to set:\n%s", got)
	}
	if a := st.visit("", nil); a.status != http.StatusOK {
		t.Errorf("a request that only reads got %d", a.status)
	}
}

// Standards: ASVS-11.2.3
func TestAShortSecretIsWarnedAboutOnceAndNotPrinted(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Secrets: []string{"tooshort", "short2", stageSecret}})
	if err := st.SetSecrets([]string{"short3"}); err != nil {
		t.Fatal(err)
	}
	if got := st.log.count("shorter than 32 bytes"); got != 1 {
		t.Errorf("warned %d times:\n%s", got, st.log)
	}
	for _, secret := range []string{"tooshort", "short2", "short3", stageSecret} {
		if strings.Contains(st.log.String(), secret) {
			t.Errorf("the log has a secret:\n%s", st.log)
		}
	}
	long := newStage(t, core.Config{Secrets: []string{strings.Repeat("x", 32)}})
	if got := long.log.String(); got != "" {
		t.Errorf("32 bytes are warned about:\n%s", got)
	}
}

func TestCookieForChoosesTheAttributesForEachRequest(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{CookieFor: func(r *http.Request) core.Cookie {
		switch tenant := r.Header.Get("Tenant"); tenant {
		case "broken":
			return core.Cookie{SameSite: http.SameSiteNoneMode}
		case "brief":
			return core.Cookie{MaxAge: 3600}
		case "elsewhere":
			return core.Cookie{Path: "/app"}
		default:
			return core.Cookie{Domain: tenant + ".test", MaxAge: time.Hour}
		}
	}})
	tenant := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Tenant", name) } }

	for _, name := range []string{"a", "b"} {
		if a := st.request("", doModify, tenant(name)); !strings.Contains(a.setCookie, "; Domain="+name+".test; Path=/; Expires=") {
			t.Errorf("tenant %s: %q", name, a.setCookie)
		}
	}

	a := st.request("", func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, tenant("broken"))
	if a.status != http.StatusInternalServerError {
		t.Errorf("an invalid cookie: status %d", a.status)
	}
	if got := st.log.String(); !strings.Contains(got, "CookieFor") || !strings.Contains(got, "Cookie.SameSite") {
		t.Errorf("the log does not say what is wrong:\n%s", got)
	}
	a = st.request("", func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") }, tenant("brief"))
	if got := st.log.String(); a.status != http.StatusInternalServerError || !strings.Contains(got, "Cookie.MaxAge is too short: 3600 is 3.6µs: write 3600 * time.Second") {
		t.Errorf("a max age in seconds: status %d, and the log has:\n%s", a.status, got)
	}

	st.request("", func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := core.Lookup(r.Context()); ok {
			t.Error("a request outside of the path has a session")
		}
	}, tenant("elsewhere"))

	if _, err := core.New(core.Config{Store: st.store, Secrets: []string{stageSecret}, CookieFor: func(r *http.Request) core.Cookie {
		if r != nil {
			t.Error("there was no request")
		}
		return core.Cookie{Partitioned: true}
	}}); err != nil {
		t.Errorf("New asked CookieFor: %v", err)
	}
}

func TestCookieForWithoutARequest(t *testing.T) {
	t.Parallel()
	cookie := core.Cookie{Partitioned: true}
	st := newStage(t, core.Config{CookieFor: func(r *http.Request) core.Cookie {
		if r != nil {
			t.Error("there was no request")
		}
		return cookie
	}})
	var cfgErr *core.ConfigError
	if _, err := st.Load(t.Context(), ""); !errors.As(err, &cfgErr) || cfgErr.Field != "Cookie.Partitioned" {
		t.Errorf("Load returned %v", err)
	}
	cookie = core.Cookie{Domain: "x.test"}
	s, err := st.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	s.Set("n", 1)
	if line, err := st.Commit(t.Context(), s, false); err != nil || !strings.Contains(line, "; Domain=x.test") {
		t.Errorf("%q, %v", line, err)
	}
}

func TestTheCookiesPathIsMatchedAsBrowsersDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cookiePath, target string
		want               bool
	}{
		{"/", "/", true},
		{"/", "/anything", true},
		{"/admin", "/admin", true},
		{"/admin", "/admin/", true},
		{"/admin", "/admin/x", true},
		{"/admin", "/admin?x=/y", true},
		{"/admin", "/administrator", false},
		{"/admin", "/Admin", false},
		{"/admin", "/%61dmin", false},
		{"/admin", "/", false},
		{"/admin", "/x/admin", false},
		{"/admin", "/x?/admin", false},
		{"/admin/", "/admin", false},
		{"/admin/", "/admin/", true},
		{"/admin/", "/admin/x", true},
		{"/a%20b", "/a%20b/c", true},
	}
	for _, tt := range tests {
		for _, form := range []string{"origin", "absolute", "test", "stripped"} {
			st := newStage(t, core.Config{Cookie: core.Cookie{Path: tt.cookiePath}})
			got := false
			handler := st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, got = core.Lookup(r.Context()) }))
			r := httptest.NewRequest(http.MethodGet, tt.target, http.NoBody)
			switch form {
			case "absolute": // as proxies send it, and through a handler that strips a prefix
				r.RequestURI = "http://app.test" + tt.target
			case "test":
				r.RequestURI = ""
			case "stripped":
				prefix, _, _ := strings.Cut(tt.target, "?")
				handler = http.StripPrefix(mustUnescape(t, prefix), handler)
			}
			handler.ServeHTTP(httptest.NewRecorder(), r)
			if got != tt.want {
				t.Errorf("cookie path %s, request %s (%s form): session %v, want %v", tt.cookiePath, tt.target, form, got, tt.want)
			}
		}
	}
}

func TestAStrippedPrefixOfARequestInAbsoluteFormStillCounts(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{Cookie: core.Cookie{Path: "/app"}})
	for target, want := range map[string]bool{
		"http://app.test/app/x": true, "http://app.test/other/app": false, "http://app.test": false, "http://app.test?x=/app": false,
	} {
		got := false
		r := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/app") // what http.StripPrefix does
		r.RequestURI = target
		st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, got = core.Lookup(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("%s: session %v, want %v", target, got, want)
		}
	}
}

func TestAPrefixThatAProxyStripsCountsForTheCookiesPath(t *testing.T) {
	t.Parallel()
	tests := []struct {
		cookiePath, target string
		want               bool
	}{
		{"/app", "/", true},
		{"/app", "/cart", true},
		{"/app/", "/", true},
		{"/app/shop", "/shop/cart", true},
		{"/app/shop", "/cart", false},
		{"/application", "/lication", false},
		{"/cart", "/cart", false},
	}
	for _, tt := range tests {
		st := newStage(t, core.Config{StrippedPrefix: "/app", Cookie: core.Cookie{Path: tt.cookiePath}})
		got := false
		st.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, got = core.Lookup(r.Context()) })).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, tt.target, http.NoBody))
		if got != tt.want {
			t.Errorf("cookie path %s, request %s behind /app: session %v, want %v", tt.cookiePath, tt.target, got, tt.want)
		}
	}
}

func mustUnescape(t *testing.T, s string) string {
	t.Helper()
	path, err := url.PathUnescape(s)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestARequestOutsideOfThePathOrSkippedIsLeftAlone(t *testing.T) {
	t.Parallel()
	skip := false
	st := newStage(t, core.Config{Skip: func(*http.Request) bool { return skip }, Rolling: true})
	cookie := st.signIn()
	st.store.took()
	skip = true
	a := st.request(cookie, func(w http.ResponseWriter, r *http.Request) {
		if _, err := core.Load(r.Context()); !errors.Is(err, core.ErrNoSession) || !strings.Contains(err.Error(), "Config.Skip") {
			t.Errorf("Load returned %v", err)
		}
		if _, ok := st.Lookup(r.Context()); ok {
			t.Error("Lookup found a session")
		}
		defer func() {
			if v := recover(); v == nil || !strings.Contains(fmt.Sprint(v), "Config.Skip") {
				t.Errorf("FromContext panicked with %v", v)
			}
		}()
		st.FromContext(r.Context())
	})
	if a.setCookie != "" || a.header.Get("Vary") != "" || st.store.verbs() != "" {
		t.Errorf("headers %v", a.header)
	}
	if _, err := core.Load(t.Context()); !errors.Is(err, core.ErrNoSession) || !strings.Contains(err.Error(), "mount") {
		t.Errorf("without the middleware: %v", err)
	}
}

// Standards: ASVS-3.3.5
func TestACookieLargerThanBrowsersKeepFailsTheCommit(t *testing.T) {
	t.Parallel()
	// "sid" and "s%3A", ".", and a signature whose escapes vary with the id.
	for _, total := range []int{4095, 4096, 4097} {
		id, padding := "", total-3-4-1-43
		for ; len("sid")+len(core.Sign(stageSecret, id)) != total; padding-- {
			id = strings.Repeat("a", padding)
		}
		st := newStage(t, core.Config{GenerateID: func(*http.Request) (string, error) { return id, nil }})
		var saveErr error
		a := st.request("", func(_ http.ResponseWriter, r *http.Request) {
			s := core.FromContext(r.Context())
			s.Set("n", 1)
			saveErr = s.Save(r.Context())
		})
		if total <= 4096 {
			if a.status != http.StatusOK || len(a.cookie) != total+1 { // and "="
				t.Errorf("%d bytes: status %d, cookie of %d", total, a.status, len(a.cookie))
			}
			if s := st.visit(a.cookie, nil); s.status != http.StatusOK || st.events.count(core.EventForged) != 0 {
				t.Errorf("%d bytes: the cookie is not accepted", total)
			}
			continue
		}
		if !errors.Is(saveErr, core.ErrCookieTooLarge) || a.status != http.StatusInternalServerError || a.setCookie != "" || st.store.verbs() != "" {
			t.Errorf("%d bytes: %v, status %d, store %v", total, saveErr, a.status, st.store.took())
		}
	}
}

// Standards: ASVS-3.3.4, ASVS-16.2.5
func TestNoVerbPrintsASecret(t *testing.T) {
	t.Parallel()
	const data = "the-data-of-the-session"
	sealKey := strings.Repeat("seal", 8)
	st := newStage(t, core.Config{Secrets: []string{stageSecret}, SealKeys: []string{sealKey}})
	cookie := st.visit("", func(s *core.Session) { s.Set("key", data) }).cookie

	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	r.Header.Set("Cookie", cookie)
	x, err := st.Begin(r)
	if err != nil {
		t.Fatal(err)
	}
	s := core.FromContext(x.Request(r).Context())
	s.Set("more", data)
	printed := map[string]any{
		"Session": s, "Manager": st.Manager, "Exchange": x, "Writer": x.Writer(httptest.NewRecorder()), "Config": st.Config(),
		"Key": core.Key[string]("key"), "context": x.Request(r).Context(), "event": core.Event{Kind: core.EventSaved},
		"in a struct": struct{ S *core.Session }{s}, "in a map": map[string]any{"session": s, "manager": st.Manager, "exchange": x},
	}
	secrets := []string{stageSecret, sealKey, data, s.ID(), strings.TrimPrefix(cookie, "sid=")}
	for name, v := range printed {
		var lines []string
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			lines = append(lines, fmt.Sprintf(verb, v))
		}
		if encoded, err := json.Marshal(v); err == nil {
			lines = append(lines, string(encoded))
		}
		var log stageLog
		for _, h := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
			slog.New(h).Info("x", "v", v)
		}
		lines = append(lines, log.String())
		for _, secret := range secrets {
			for _, line := range lines {
				for _, form := range []string{secret, fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprintf("%d", []byte(secret)), "[]")} {
					if strings.Contains(line, form) {
						t.Errorf("%s prints %q: %.200s", name, secret, line)
					}
				}
			}
		}
	}
	if got := fmt.Sprintf("%+v %s", s, s); got != "Session(loaded) Session(loaded)" {
		t.Errorf("a session prints as %q", got)
	}
	if got := fmt.Sprintf("%#v", st.Manager); got != "Manager(sid)" {
		t.Errorf("a Manager prints as %q", got)
	}
}

func TestCookieHeadersAreParsedAsNodeDoes(t *testing.T) {
	t.Parallel()
	st := newStage(t, core.Config{})
	cookie := st.signIn()
	_, value, _ := strings.Cut(cookie, "=")
	plain, err := url.PathUnescape(value)
	if err != nil {
		t.Fatal(err)
	}
	forged := core.Sign("another secret of at least 32 bytes", "forged")
	tests := []struct {
		name   string
		header []string
		want   core.Status
	}{
		{"as it was set", []string{cookie}, core.StatusLoaded},
		{"among others", []string{"a=b; " + cookie + "; c=d"}, core.StatusLoaded},
		{"without spaces", []string{"a=b;" + cookie + ";c=d"}, core.StatusLoaded},
		{"with spaces and tabs", []string{"  sid \t= \t" + value + " "}, core.StatusLoaded},
		{"in quotes", []string{`sid="` + value + `"`}, core.StatusLoaded},
		{"not escaped", []string{"sid=" + plain}, core.StatusLoaded},
		{"in a second header", []string{"a=b", cookie}, core.StatusLoaded},
		{"after a forged one", []string{"sid=s%3Aforged.x; " + cookie}, core.StatusLoaded},
		{"after a genuine one that is gone", []string{"sid=" + core.Sign(stageSecret, "gone") + "; " + cookie}, core.StatusLoaded},
		{"after seven forged ones", []string{strings.Repeat("sid=x; ", 7) + cookie}, core.StatusLoaded},
		{"after ten thousand that are not signed", []string{strings.Repeat("sid=x; ", 10_000) + cookie}, core.StatusLoaded},
		{"after 255 forged ones", []string{strings.Repeat("sid="+forged+"; ", 255) + cookie}, core.StatusLoaded},
		{"after 256 forged ones", []string{strings.Repeat("sid="+forged+"; ", 256) + cookie}, core.StatusInvalid},
		{"after three genuine ones that are gone", []string{
			"sid=" + core.Sign(stageSecret, "g1") + "; sid=" + core.Sign(stageSecret, "g2") + "; sid=" + core.Sign(stageSecret, "g3") + "; " + cookie,
		}, core.StatusUnknown},
		{"after the same gone one four times", []string{strings.Repeat("sid="+core.Sign(stageSecret, "g1")+"; ", 4) + cookie}, core.StatusLoaded},
		{"a name in other letters", []string{"SID=" + value}, core.StatusNew},
		{"a longer name", []string{"sid2=" + value}, core.StatusNew},
		{"a name that is escaped", []string{"s%69d=" + value}, core.StatusNew},
		{"no value", []string{"sid="}, core.StatusInvalid},
		{"no equals sign", []string{"sid"}, core.StatusNew},
		{"no prefix", []string{"sid=" + strings.TrimPrefix(value, "s%3A")}, core.StatusInvalid},
		{"one character less", []string{"sid=" + value[:len(value)-1]}, core.StatusInvalid},
		{"padded", []string{"sid=" + value + "%3D"}, core.StatusInvalid},
		{"a bad escape", []string{"sid=" + value + "%"}, core.StatusInvalid},
		{"an empty id, signed", []string{"sid=" + core.Sign(stageSecret, "")}, core.StatusInvalid},
		{"huge", []string{"sid=" + strings.Repeat("x", 100_000)}, core.StatusInvalid},
		{"nothing", nil, core.StatusNew},
	}
	for _, tt := range tests {
		st.store.took()
		var got core.Status
		a := st.request("", func(_ http.ResponseWriter, r *http.Request) { got = core.FromContext(r.Context()).Status() },
			func(r *http.Request) { r.Header["Cookie"] = tt.header })
		if got != tt.want || a.status != http.StatusOK {
			t.Errorf("%s: %v, status %d; want %v", tt.name, got, a.status, tt.want)
		}
		if a.setCookie != "" {
			t.Errorf("%s: an answer to a reader set %q", tt.name, a.setCookie)
		}
		calls := st.store.took()
		if (tt.want == core.StatusInvalid || tt.want == core.StatusNew) && len(calls) > 0 {
			t.Errorf("%s: the store was asked: %v", tt.name, calls)
		}
		if len(calls) > 3+1 { // and the extension
			t.Errorf("%s: %d calls", tt.name, len(calls))
		}
	}
}

// Standards: ASVS-6.3.1, ASVS-16.3.1, ASVS-16.3.3
func TestTheStatusTellsWhereASessionCameFrom(t *testing.T) {
	t.Parallel()
	for status, want := range map[core.Status]string{
		core.StatusNew: "new", core.StatusLoaded: "loaded", core.StatusUnknown: "unknown or expired", core.StatusInvalid: "invalid cookie", 9: "Status(9)",
	} {
		if got := status.String(); got != want {
			t.Errorf("%d is %q, want %q", int(status), got, want)
		}
	}
}

// Standards: ASVS-14.3.2
func TestVaryAndCacheControl(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		access, save bool
		vary, cache  []string // what the handler sets
		wantVary     []string
		wantCache    []string
	}{
		{name: "untouched"},
		{name: "untouched, and a handler that is cacheable", cache: []string{"public"}, wantCache: []string{"public"}},
		{name: "read", access: true, wantVary: []string{"Cookie"}},
		{name: "read, cacheable", access: true, cache: []string{"public"}, wantVary: []string{"Cookie"}, wantCache: []string{"public"}},
		{name: "read, varies already", access: true, vary: []string{"accept, COOKIE"}, wantVary: []string{"accept, COOKIE"}},
		{name: "read, varies by something else", access: true, vary: []string{"Accept"}, wantVary: []string{"Accept", "Cookie"}},
		{name: "read, varies by everything", access: true, vary: []string{"*"}, wantVary: []string{"*"}},
		{name: "saved", save: true, wantVary: []string{"Cookie"}, wantCache: []string{"private, no-cache"}},
		{name: "saved, public", save: true, cache: []string{"public, max-age=60"}, wantVary: []string{"Cookie"}, wantCache: []string{"private, max-age=60"}},
		{name: "saved, only public", save: true, cache: []string{"public"}, wantVary: []string{"Cookie"}, wantCache: []string{"private"}},
		{name: "saved, for shared caches", save: true, cache: []string{"S-MaxAge=60", "max-age=5"}, wantVary: []string{"Cookie"}, wantCache: []string{"private, max-age=5"}},
		{name: "saved, private already", save: true, cache: []string{"Private, no-store"}, wantVary: []string{"Cookie"}, wantCache: []string{"private, no-store"}},
		{name: "saved, a quoted comma", save: true, cache: []string{`no-cache="a, public", public`}, wantVary: []string{"Cookie"}, wantCache: []string{`private, no-cache="a, public"`}},
		{name: "saved, an empty list", save: true, cache: []string{" , "}, wantVary: []string{"Cookie"}, wantCache: []string{"private"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{})
			a := st.request("", func(w http.ResponseWriter, r *http.Request) {
				for name, lines := range map[string][]string{"Vary": tt.vary, "Cache-Control": tt.cache} {
					if lines != nil {
						w.Header()[name] = slices.Clone(lines)
					}
				}
				if tt.access {
					core.FromContext(r.Context())
				}
				if tt.save {
					core.FromContext(r.Context()).Set("n", 1)
				}
				_, _ = io.WriteString(w, "ok")
			})
			if !slices.Equal(a.header["Vary"], tt.wantVary) || !slices.Equal(a.header["Cache-Control"], tt.wantCache) {
				t.Errorf("Vary %q, Cache-Control %q; want %q, %q", a.header["Vary"], a.header["Cache-Control"], tt.wantVary, tt.wantCache)
			}
		})
	}
}

// Since Go 1.23 net/http takes what was said to caches out of the answer for a file that
// is not there. The cookie stays, so what goes with it has to come after that.
func TestAFileThatIsNotThereIsNoAnswerForCaches(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		do   func(ctx context.Context, s *core.Session) error
		want string
	}{
		"a change":           {func(context.Context, *core.Session) error { return nil }, "private, no-cache"},
		"a change, and Save": {func(ctx context.Context, s *core.Session) error { return s.Save(ctx) }, "private, no-cache"},
		"a login":            {func(ctx context.Context, s *core.Session) error { return s.SignIn(ctx, "ada") }, "no-store"},
		"a login, and Save": {func(ctx context.Context, s *core.Session) error {
			return errors.Join(s.SignIn(ctx, "ada"), s.Save(ctx))
		}, "no-store"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, core.Config{Store: newUserStore()})
			missing := filepath.Join(t.TempDir(), "logo.svg")
			a := st.request("", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cache-Control", "private, no-store")
				s := core.FromContext(r.Context())
				s.Set("n", 1)
				if err := tt.do(r.Context(), s); err != nil {
					t.Error(err)
				}
				http.ServeFile(w, r, missing)
			})
			if a.status != http.StatusNotFound || len(a.header["Set-Cookie"]) != 1 {
				t.Fatalf("status %d, Set-Cookie %q; want 404 with a cookie", a.status, a.header["Set-Cookie"])
			}
			if got := a.header.Get("Cache-Control"); got != tt.want {
				t.Errorf("Cache-Control is %q, want %q", got, tt.want)
			}
		})
	}
}
