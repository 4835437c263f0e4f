package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/valkey-io/valkey-go"
)

// A fact is a line about where and with what was measured.
type fact struct{ what, value string }

// describe tells about the machine.
func describe(ctx context.Context, s *servers) (facts []fact, err error) {
	facts = []fact{
		{"processor", processor()},
		{"cores", strconv.Itoa(runtime.NumCPU())},
		{"system", runtime.GOOS + "/" + runtime.GOARCH},
		{"Go", strings.TrimPrefix(runtime.Version(), "go")},
	}
	if s.valkey != "" {
		f, err := valkeyVersion(ctx, s.valkey)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	if s.mongo != "" {
		f, err := mongoVersion(ctx, s)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	if s.postgresql != "" {
		f, err := postgreSQLVersion(ctx, s)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	if out, err := exec.CommandContext(ctx, "node", "--version").Output(); err == nil {
		facts = append(facts, fact{"Node", strings.TrimPrefix(strings.TrimSpace(string(out)), "v")})
	}
	return facts, nil
}

// libraries tells what was built in.
func libraries() (facts []fact) {
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return nil
	}
	versions := make(map[string]string)
	for _, m := range info.Deps {
		versions[m.Path] = m.Version
	}
	for _, path := range []string{
		"github.com/gin-gonic/gin", "github.com/labstack/echo/v4", "github.com/labstack/echo/v5", "github.com/gofiber/fiber/v3",
		"github.com/gin-contrib/sessions", "github.com/labstack/echo-contrib", "github.com/boj/redistore", "github.com/gorilla/sessions",
		"github.com/alexedwards/scs/v2", "github.com/valkey-io/valkey-go", "github.com/redis/go-redis/v9", "github.com/gomodule/redigo",
		"go.mongodb.org/mongo-driver/v2", "go.mongodb.org/mongo-driver",
		"github.com/jackc/pgx/v5", "modernc.org/sqlite",
	} {
		if v := versions[path]; v != "" {
			facts = append(facts, fact{strings.TrimPrefix(path, "github.com/"), v})
		}
	}
	return facts
}

// processor returns the name of the processor where the system tells it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func valkeyVersion(ctx context.Context, addr string) (f fact, err error) {
	c, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		return f, err
	}
	defer c.Close()
	info, err := c.Do(ctx, c.B().Info().Section("server").Build()).ToString()
	if err != nil {
		return f, err
	}
	name, version := "Redis", ""
	for line := range strings.Lines(info) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch {
		case key == "valkey_version":
			name, version = "Valkey", value
		case key == "redis_version" && version == "":
			version = value
		}
	}
	return fact{name, version}, nil
}
