package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
)

// The hosts of a URL with master_set are Sentinels, whose password is not that of the
// primary. Those that are down are passed over.
func TestAStoreIsReachedBySentinels(t *testing.T) {
	t.Parallel()
	t.Run("passwords", aStoreIsReachedBySentinelsWithPasswords)
	t.Run("none", func(t *testing.T) {
		primary := start(t, "--user", "tests", "on", "nopass", "~*", "&*", "+info")
		sentinel := startSentinel(t, primary, "", "")
		newApp(t, open(t, "valkey://"+primary), core.Config{}).visit("login=ada")
		operate(t, map[string]string{"CLOAKROOM_STORE": "valkey://" + sentinel + "?master_set=ours"}, "list", "--user", "ada").want(t, exitOK, "password")
		operate(t, map[string]string{"CLOAKROOM_STORE": "valkey://" + sentinel + "?sentinel_password=of-the-sentinel"}, "count").want(t, exitUsage, "no master_set")
	})
}

func aStoreIsReachedBySentinelsWithPasswords(t *testing.T) {
	const ofSentinel, ofPrimary = "of-the-sentinel", "of-the-primary"
	primary := start(t, "--user", "default", "on", ">"+ofPrimary, "~*", "&*", "+@all", "--user", "tests", "on", "nopass", "~*", "&*", "+info")
	sentinel := startSentinel(t, primary, ofSentinel, ofPrimary)
	direct := "valkey://:" + ofPrimary + "@" + primary + "/3"
	newApp(t, open(t, direct), core.Config{}).visit("login=ada")

	query := url.Values{"master_set": {"ours"}, "sentinel_password": {ofSentinel}, "addr": {sentinel}}
	through := func(change func(url.Values)) map[string]string {
		q := url.Values{}
		for name, values := range query {
			q[name] = values
		}
		change(q)
		return map[string]string{"CLOAKROOM_STORE": "valkey://:" + ofPrimary + "@127.0.0.1:1/3?" + q.Encode()} // where nobody listens
	}
	env := through(func(url.Values) {})
	operate(t, env, "list", "--user", "ada").want(t, exitOK, "password")
	operate(t, env, "revoke-user", "ada").want(t, exitOK)
	if n, err := open(t, direct).Store.Count(t.Context()); err != nil || n != 0 {
		t.Errorf("the primary has %d sessions, %v; want none", n, err)
	}

	for name, r := range map[string]result{
		"another name":     operate(t, through(func(q url.Values) { q.Set("master_set", "theirs") }), "count", "--timeout", (10 * time.Second).String()),
		"another password": operate(t, through(func(q url.Values) { q.Set("sentinel_password", "wrong-password") }), "count", "--timeout", (10 * time.Second).String()),
	} {
		r.want(t, exitFailed, "valkey store")
		for _, secret := range []string{ofSentinel, ofPrimary, "wrong-password"} {
			if strings.Contains(r.out+r.err, secret) {
				t.Errorf("%s: it prints a password: %s", name, r.err)
			}
		}
	}
}
