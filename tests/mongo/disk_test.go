package mongo

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
	"github.com/cloakroom-go/cloakroom/tests/internal/mongoenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// onSmallDisk runs the program that $PROGRAM names with a disk of its own below
// --dbpath, which only that process sees. Its id is left beside that.
const onSmallDisk = `#!/bin/sh
exec unshare --mount sh -ec '
	for word; do
		if [ "$before" = --dbpath ]; then
			mount -t tmpfs -o size=128m tmpfs "$word"
			echo $$ >"$word/../pid"
		fi
		before=$word
	done
	exec "$PROGRAM" "$@"' sh "$@"
`

// TestFullDisk fills the disk of a server, and makes room again.
func TestFullDisk(t *testing.T) {
	program := servers.Env(t, "MONGO_SERVER")
	if err := exec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", t.TempDir()).Run(); err != nil {
		t.Skipf("NOT TESTED: a small disk takes Linux and root (%v)", err)
	}
	script := filepath.Join(t.TempDir(), "on-small-disk")
	if err := os.WriteFile(script, []byte(onSmallDisk), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Setenv("PROGRAM", program)
	t.Setenv("MONGO_SERVER", script)
	server := servers.StartMongo(t)
	if server.ReplicaSet() {
		t.Skip("NOT TESTED: mongod ends when it cannot write its journal, which is an outage")
	}
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(t.Context()) }() // the server ends as well
	st, err := mongostore.New(client.Database(mongoenv.Database).Collection("sessions"), mongostore.Options{})
	if err != nil {
		t.Fatal(err)
	}

	ctx := t.Context()
	record := func(id, text string) store.Record {
		return store.Record{ID: id, Data: []byte(`{"text":"` + text + `"}`), TTL: time.Hour}
	}
	noise := make([]byte, 256<<10) // cannot be compressed
	_, _ = rand.Read(noise)
	large := base64.StdEncoding.EncodeToString(noise)
	first, other := record("first", "x"), record("other", "x")
	for _, rec := range []store.Record{first, other} {
		if err := st.Create(ctx, rec); err != nil {
			t.Fatal(err)
		}
	}

	pid, err := os.ReadFile(filepath.Join(server.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join("/proc", strings.TrimSpace(string(pid)), "root", server.Dir, "db", "ballast")
	servers.FillDisk(t, ballast)
	for verb, call := range map[string]func() error{
		"create": func() error { return st.Create(ctx, record("new", large)) },
		"update": func() error { return st.Update(ctx, first, record("first", large)) },
	} {
		var failure *store.Error
		if err := call(); !errors.Is(err, store.ErrFull) || !errors.As(err, &failure) || failure.Verb != verb || failure.Outcome != store.OutcomeNotApplied {
			t.Errorf("%s on a full disk: %v, want store.ErrFull and nothing stored", verb, err)
		}
	}
	if got, err := st.Load(ctx, "first"); err != nil || !bytes.Equal(got.Data, first.Data) {
		t.Errorf("Load on a full disk: %.40s, %v, want what was stored before", got.Data, err)
	}
	if _, err := st.Load(ctx, "new"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of what was refused: %v, want ErrNotFound", err)
	}
	if err := st.Delete(ctx, "other"); err != nil {
		t.Errorf("Delete on a full disk: %v: nobody could log out", err)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := st.Update(ctx, first, record("first", large)); err != nil {
		t.Errorf("Update when there is room again: %v", err)
	}
}
