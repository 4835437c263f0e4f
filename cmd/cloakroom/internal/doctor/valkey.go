package doctor

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// valkey looks at each primary. All that it asks for is INFO, TIME, SCAN and TYPE.
func (e *examination) valkey() {
	if e.Prefix == "" || !strings.HasSuffix(e.Prefix, ":") {
		e.find(Warning, "prefix", `give the store an Options.Prefix that ends with ":"; sessions move to it as they end and begin anew`,
			`the prefix %q does not end with ":": sessions cannot be told from what other programs keep, so that nothing can walk, count or copy them`, e.Prefix)
	}
	for addr, node := range e.Valkey.Nodes() {
		info := e.info(node)
		if info == nil || info["role"] == "slave" {
			continue
		}
		before := len(e.findings)
		e.valkeyVersion(info)
		e.eviction(info)
		e.memory(info)
		e.persistence(info)
		e.clock("TIME", func() (time.Time, error) {
			parts, err := node.Do(e.ctx, node.B().Time().Build()).AsStrSlice()
			if err != nil || len(parts) != 2 {
				return time.Time{}, errors.Join(err, errAnswer)
			}
			seconds, _ := strconv.ParseInt(parts[0], 10, 64)
			micros, err := strconv.ParseInt(parts[1], 10, 64)
			return time.Unix(seconds, micros*1000), err
		})
		e.prefixes(node)
		if len(e.Valkey.Nodes()) > 1 {
			for i := range e.findings[before:] {
				e.findings[before+i].Says += ", at " + addr
			}
		}
	}
	e.streams()
}

var errAnswer = errors.New("the server's answer is not understood")

// info returns what the server says of itself, or nil.
func (e *examination) info(node valkey.Client) map[string]string {
	text, err := node.Do(e.ctx, node.B().Info().Build()).ToString()
	if err != nil {
		e.unknown("server", "INFO", err)
		return nil
	}
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func (e *examination) valkeyVersion(info map[string]string) {
	name, text := "Valkey", info["valkey_version"]
	if text == "" {
		name, text = "Redis", info["redis_version"]
	}
	v := parseVersion(text)
	switch {
	case name == "Redis" && v.before(6, 2) || name == "Valkey" && v.before(7, 2):
		e.find(Failure, "version", "upgrade to Valkey 9", "%s %s is older than what Cloakroom works with (Redis 6.2, Valkey 7.2)", name, text)
	case name == "Redis" || v.before(8, 1):
		e.find(Note, "version", "with Valkey 8.1 and newer updates need no scripts, and are cheaper", "%s %s does not know SET with IFEQ", name, text)
	default:
		e.find(OK, "version", "", "%s %s", name, text)
	}
}

func (e *examination) eviction(info map[string]string) {
	const check = "eviction"
	const do = "CONFIG SET maxmemory-policy noeviction, and the same in the server's configuration; caches belong into a server of their own"
	switch policy := info["maxmemory_policy"]; policy {
	case "noeviction":
		e.find(OK, check, "", "maxmemory-policy is noeviction")
	case "volatile-ttl":
		e.find(Warning, check, do, "maxmemory-policy is volatile-ttl: when the memory is full, those who have not been here for longest are logged out, and lists go with them")
	case "":
		e.find(Note, check, "", "the server does not say its maxmemory-policy")
	default:
		e.find(Failure, check, do, "maxmemory-policy is %s: when the memory is full, users are logged out by chance, and revocations miss sessions whose list was evicted", policy)
	}
	if n := number(info, "evicted_keys"); n > 0 {
		e.find(Failure, check, do, "%d keys were evicted since the server started", n)
	}
}

func (e *examination) memory(info map[string]string) {
	const check = "memory"
	used, most := number(info, "used_memory"), number(info, "maxmemory")
	const nearly = 85 // percent
	switch {
	case most == 0:
		e.find(Warning, check, "set maxmemory to about three quarters of what the machine has, and an alarm",
			"maxmemory is not set: a server that grows beyond the machine's memory is killed, and everybody is logged out (%d MiB are in use)", used>>20)
	case used >= most:
		e.find(Failure, check, "raise maxmemory, shorten Config.IdleTimeout, or see what makes the sessions",
			"maxmemory is reached (%d of %d MiB): new sessions are refused, or others are evicted", used>>20, most>>20)
	case used*100 >= most*nearly:
		e.find(Warning, check, "raise maxmemory before it is reached", "%d of %d MiB are in use", used>>20, most>>20)
	default:
		e.find(OK, check, "", "%d of %d MiB are in use", used>>20, most>>20)
	}
}

func (e *examination) persistence(info map[string]string) {
	const check = "persistence"
	switch {
	case info["rdb_last_bgsave_status"] == "err" || info["aof_last_write_status"] == "err":
		e.find(Failure, check, "see the server's log: most often its disk is full", "the server could not write to its disk, and refuses writes by default")
	case info["aof_enabled"] == "0":
		e.find(Note, check, "appendonly yes, unless a restart may log everybody out", "there is no append-only file: a restart of the server loses sessions, and undoes logouts of the last minutes where it has snapshots")
	default:
		e.find(OK, check, "", "the server keeps an append-only file")
	}
}

func number(info map[string]string, name string) int64 {
	n, _ := strconv.ParseInt(info[name], 10, 64)
	return n
}

// prefixes looks at keys that begin with a prefix of the store and are not the store's.
func (e *examination) prefixes(node valkey.Client) {
	const check = "prefix clash"
	clean := true
	for _, prefix := range []string{e.Prefix, e.UserPrefix} {
		if prefix == "" {
			continue
		}
		others, types, looked, err := e.strangers(node, prefix)
		switch {
		case err != nil:
			e.unknown(check, "SCAN, TYPE", err)
			return
		case others > 0:
			clean = false
			e.find(Warning, check, "give each app a prefix of its own of which none begins with another's; where all of them are Cloakroom's, and end with \":\", they do not disturb each other",
				"%d of %d keys that begin with %q belong to a longer prefix: connect-redis with %[3]q would take them for its sessions", others, looked, prefix)
		}
		if types > 0 {
			clean = false
			e.find(Failure, check, "see what writes there, and give it another prefix",
				"%d of %d keys that begin with %q hold no string: another program uses the prefix", types, looked, prefix)
		}
	}
	if clean {
		e.find(OK, check, "", "what begins with %q and %q is of one store", e.Prefix, e.UserPrefix)
	}
}

// strangers counts keys with a prefix that have more of a prefix behind it, and those
// that are no strings.
func (e *examination) strangers(node valkey.Client, prefix string) (others, types, looked int, err error) {
	most := e.o.Sample
	match := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix) + "*"
	for cursor := uint64(0); ; {
		entry, err := node.Do(e.ctx, node.B().Scan().Cursor(cursor).Match(match).Count(1000).Build()).AsScanEntry()
		if err != nil {
			return others, types, looked, err
		}
		ask := make(valkey.Commands, len(entry.Elements))
		for i, key := range entry.Elements {
			rest := strings.TrimPrefix(key, prefix)
			if strings.Contains(rest, ":") && !strings.HasPrefix(rest, ":") {
				others++
			}
			ask[i] = node.B().Type().Key(key).Build()
		}
		for _, answer := range node.DoMulti(e.ctx, ask...) {
			kind, err := answer.ToString()
			if err != nil {
				return others, types, looked, err
			}
			if kind != "string" && kind != "none" {
				types++
			}
		}
		looked += len(entry.Elements)
		if cursor = entry.Cursor; cursor == 0 || most > 0 && looked >= most {
			return others, types, looked, nil
		}
	}
}

// streams looks whether the server tells streams that their session has ended.
func (e *examination) streams() {
	const check = "open streams"
	watcher, ok := e.Store.(store.Watcher)
	if !ok {
		return
	}
	w := watcher.Watch(func(...string) {})
	defer w.Close()
	_, err := w.Inspect(e.ctx, []string{probeID()})
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		e.find(Note, check, "permit +client|tracking to the apps' user", "the server does not tell when a session ends (CLIENT TRACKING): open streams ask for theirs every Config.PollInterval")
	case err == nil:
		e.find(OK, check, "", "the server tells open streams at once when their session ends")
	}
}
