package sql

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
	sqlstore "github.com/cloakroom-go/cloakroom/stores/sql"
	"github.com/cloakroom-go/cloakroom/tests/internal/sqlenv"
	"github.com/cloakroom-go/cloakroom/tests/servers"
)

// withSmallDisk runs the program that $PROGRAM names with a small disk below --dir, which
// only that process sees. Its id is left beside that.
const withSmallDisk = `#!/bin/sh
exec unshare --mount sh -ec '
	for word; do
		if [ "$before" = --dir ]; then
			mkdir -p "$word/small"
			mount -t tmpfs -o size=16m,mode=700,uid=65534,gid=65534 tmpfs "$word/small"
			echo $$ >"$word/pid"
		fi
		before=$word
	done
	exec "$PROGRAM" "$@"' sh "$@"
`

// TestFullDiskOfAServer fills the disk that the tables are on, and makes room again. Its
// log is on another one: where that is full, PostgreSQL ends.
func TestFullDiskOfAServer(t *testing.T) {
	program := servers.Env(t, "POSTGRESQL_SERVER")
	if err := osexec.Command("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", t.TempDir()).Run(); err != nil {
		t.Skipf("NOT TESTED: a small disk takes Linux and root (%v)", err)
	}
	script := filepath.Join(t.TempDir(), "with-small-disk")
	if err := os.WriteFile(script, []byte(withSmallDisk), 0o700); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	t.Setenv("PROGRAM", program)
	t.Setenv("POSTGRESQL_SERVER", script)
	server := servers.StartPostgreSQL(t)
	small := filepath.Join(server.Dir, "small")
	exec(t, sqlenv.Open(t, "pgx", server.URL()), "CREATE TABLESPACE small LOCATION '"+small+"'")
	s := sqlenv.Store(t, sqlenv.Open(t, "pgx", server.URL()+"&default_tablespace=small"), sqlstore.Options{Table: "sessions"})

	ctx := t.Context()
	noise := make([]byte, 256<<10) // cannot be compressed
	_, _ = rand.Read(noise)
	large := base64.StdEncoding.EncodeToString(noise)
	first, other := record("first", "x"), record("other", "x")
	for _, rec := range []store.Record{first, other} {
		if err := s.Create(ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	pid, err := os.ReadFile(filepath.Join(server.Dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join("/proc", strings.TrimSpace(string(pid)), "root", small, "ballast")
	servers.FillDisk(t, ballast)
	for verb, err := range map[string]error{
		"Create":  s.Create(ctx, record("new", large)),
		"Update":  s.Update(ctx, first, record("first", large)),
		"Replace": s.Replace(ctx, first, record("first", "y"), record("new", large)),
	} {
		fails(t, verb+" on a full disk", err, store.OutcomeNotApplied, "disk is full", store.ErrFull)
	}
	if got, err := s.Load(ctx, "first"); err != nil || !bytes.Equal(got.Data, first.Data) {
		t.Errorf("Load on a full disk: %.40s, %v, want what was stored before", got.Data, err)
	}
	if _, err := s.Load(ctx, "new"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Load of what was refused: %v, want ErrNotFound", err)
	}
	if err := s.Touch(ctx, "first", time.Hour); err != nil {
		t.Errorf("Touch on a full disk, where there is room in the page: %v", err)
	}
	if err := s.Remove(ctx, other); err != nil {
		t.Errorf("Remove on a full disk: %v: nobody could log out", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := s.Update(ctx, first, record("first", large)); err != nil {
		t.Errorf("Update when there is room again: %v", err)
	}
}
