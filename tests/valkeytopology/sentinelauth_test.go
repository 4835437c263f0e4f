package valkeytopology

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// Sentinels have users and passwords of their own, which are not those of the servers that
// they watch.
func TestOpenSignsInToSentinels(t *testing.T) {
	t.Parallel()
	const ofUser, ofDefault, ofPrimary = "secret-of-user", "secret-of-default", "secret-of-primary"
	set := servers.StartSentinels(t)
	for _, s := range set.Servers {
		s.Must("ACL", "SETUSER", "app", "on", ">"+ofPrimary, "~*", "&*", "+@all")
	}
	for _, s := range set.Sentinels { // which go on to speak to one another as that user
		s.Must("ACL", "SETUSER", "asks", "on", ">"+ofUser, "~*", "&*", "+@all")
		s.Must("SENTINEL", "CONFIG", "SET", "sentinel-user", "asks")
		s.Must("SENTINEL", "CONFIG", "SET", "sentinel-pass", ofUser)
	}
	for _, s := range set.Sentinels {
		s.SignInAs("asks", ofUser)
		s.Must("ACL", "SETUSER", "default", "resetpass", ">"+ofDefault)
	}
	through := func(user, password string) string {
		query := url.Values{"master_set": {servers.MasterSet}}
		for _, s := range set.Sentinels[1:] {
			query.Add("addr", s.Addr)
		}
		if user != "" {
			query.Set("sentinel_username", user)
		}
		if password != "" {
			query.Set("sentinel_password", password)
		}
		return "valkey://app:" + ofPrimary + "@" + set.Sentinels[0].Addr + "?" + query.Encode()
	}
	for _, tt := range []struct{ name, user, password, class string }{
		{"a user and a password", "asks", ofUser, ""},
		{"a password alone", "", ofDefault, ""},
		{"another password", "asks", ofDefault, "authentication failed"},
		{"none", "", "", "authentication required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := valkeystore.Open(t.Context(), through(tt.user, tt.password), valkeystore.Options{})
			if tt.class == "" {
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				allowed(t, s, "create", "load", "remove")
				return
			}
			var failure *store.Error
			if !errors.As(err, &failure) || failure.Class != tt.class || failure.Outcome != store.OutcomeNotApplied || strings.Contains(err.Error(), "secret") {
				t.Errorf("Open: %v, want a store.Error of the class %q", err, tt.class)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
	t.Run("another primary", func(t *testing.T) {
		s, err := valkeystore.Open(t.Context(), through("asks", ofUser), valkeystore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		before := set.Primary()
		set.Failover()
		before.Kill() // so that it is the other one that answers
		servers.Await(t, "a session on the other primary", func() error {
			if err := verbs["create"](t, s); !errors.Is(err, store.ErrExists) {
				return err
			}
			return nil
		})
		allowed(t, s, "load", "remove")
	})
}
