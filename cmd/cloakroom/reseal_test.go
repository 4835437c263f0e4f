package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-go/cloakroom/core"
)

func TestEverythingIsSealedAnew(t *testing.T) {
	t.Parallel()
	onEveryStore(t, func(t *testing.T, url string) {
		s := open(t, url)
		old := newApp(t, s, core.Config{SealKeys: []string{keyOne}})
		ada := old.visit("login=ada&cart=apples")
		env := map[string]string{"CLOAKROOM_STORE": url}
		operate(t, env, "reseal").want(t, exitUsage, "SealKeys", "CLOAKROOM_SEAL_KEYS")

		keys := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(keys, []byte(keyTwo+"\n"+keyOne+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		// No app has the new key, and would fail with what is sealed under it.
		operate(t, env, "reseal", "--seal-keys", keys).want(t, exitFailed, "give it to every instance", "--unused-key")
		if body, _ := old.ask(ada, ""); body != "ada apples" {
			t.Errorf("under the old key alone she is %q", body)
		}
		newApp(t, s, core.Config{SealKeys: []string{keyTwo, keyOne}}).visit("cart=pears")
		operate(t, env, "reseal", "--seal-keys", keys).want(t, exitOK, "3 records were looked at, 2 were sealed anew")
		operate(t, env, "reseal", "--seal-keys", keys, "--json").want(t, exitOK, `{"looked":3,"retired":0,"sealed":0,"unreadable":0}`)

		app := newApp(t, s, core.Config{SealKeys: []string{keyTwo}})
		if body, _ := app.ask(ada, ""); body != "ada apples" {
			t.Errorf("under the new key alone she is %q", body)
		}
		env["CLOAKROOM_SEAL_KEYS"] = keyTwo
		operate(t, env, "list", "--user", "ada", "--json").want(t, exitOK, `"user":"ada"`)
		env["CLOAKROOM_SEAL_KEYS"] = keyOne
		operate(t, env, "reseal").want(t, exitFound, "3 cannot be opened")
		env["CLOAKROOM_RETIRED_SEAL_KEYS"] = keyTwo
		operate(t, env, "reseal", "--unused-key").want(t, exitOK, "1 were sealed anew, 2 are under a retired key")
	})
}
