package valkeystore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"
)

// Options are what can be set about a [Store]. The zero value is the
// recommended setting.
type Options struct {
	// Prefix is what the key of each session begins with. The default is
	// "sess:", as with connect-redis. Stores with different prefixes share no
	// sessions, also where one prefix begins with the other, as "app:" and
	// "app:staff:" do: for that, each ends with ":". With one that does not end
	// so, as an Express app may have it, All, Count and Clear return an error.
	Prefix string

	// NoPrefix makes the id alone the key of each session, as prefix: "" of
	// connect-redis does. All, Count and Clear then return an error, because nothing
	// tells sessions from whatever else the database has.
	NoPrefix bool

	// UserPrefix is what the keys of the lists begin with that say which sessions
	// a user has. The default is "user-" and Prefix: "user-sess:". Neither of the
	// two may begin with the other: connect-redis, which walks all keys with its
	// prefix, would take lists for sessions. No other store may have it either. With
	// NoPrefix the default is "user-sess:", and it has a ":" in it.
	UserPrefix string

	// CacheTTL turns on client-side caching: a session that was read is kept in
	// the client, and the server tells when it changes (CLIENT TRACKING). Reads
	// then cost no round trip. What another process did is seen when that
	// message arrives, which takes about as long as a round trip, and after
	// CacheTTL at the latest, also when the message is lost: so CacheTTL is
	// for how long a session that was ended elsewhere may still be served. A
	// process always sees what it wrote itself, by the same Store, and a write
	// never overwrites what it has not seen. [store.BypassCache] reads past the cache.
	// The client must not have DisableCache set: it would not cache anything.
	//
	// It is at least a millisecond. The default, 0, is no caching.
	CacheTTL time.Duration

	// Scripts reports whether Lua scripts are used. The default is ScriptsAuto.
	Scripts Scripts

	// DigestFrom is the size in bytes from which on an update sends a digest of
	// the old content for the server to compare, in place of the content. That
	// saves two thirds of the traffic and costs the server a script and a
	// SHA-1. Measured, with one record of 16 KiB after the other: on a link of
	// 10 Gbit/s a digest takes 1.7 times as long, on one of 1 Gbit/s half as
	// long. The default is 16 KiB; -1 is never.
	DigestFrom int

	// WaitReplicas is how many replicas must confirm that a session was deleted
	// (WAIT), so that a failover does not bring it back. Where fewer do within
	// the time for the commit, Destroy fails, and so does what revokes the
	// sessions of a user. The default is 0.
	WaitReplicas int
}

// Scripts tells when a [Store] uses Lua scripts.
type Scripts int

const (
	// ScriptsAuto uses commands where they do, which is best with Valkey 8.1 and
	// newer, and scripts for large records, for renewing an id in one step, and
	// with servers that do not know SET with IFEQ.
	ScriptsAuto Scripts = iota
	// ScriptsAlways compares by a script even where a command could.
	ScriptsAlways
	// ScriptsNever is for servers that allow no scripts. They need SET with IFEQ.
	ScriptsNever
)

// defaultPrefix is the one of connect-redis.
const defaultPrefix = "sess:"

func (o Options) withDefaults() Options {
	if o.Prefix == "" && !o.NoPrefix {
		o.Prefix = defaultPrefix
	}
	if o.UserPrefix == "" {
		o.UserPrefix = "user-" + cmp.Or(o.Prefix, defaultPrefix)
	}
	if o.DigestFrom == 0 {
		o.DigestFrom = 16 << 10
	}
	return o
}

func (o Options) check() error {
	full := o.withDefaults()
	switch {
	case o.NoPrefix && o.Prefix != "":
		return fmt.Errorf("cloakroom: valkey store: Options.NoPrefix is set, and Options.Prefix is %q: drop one of the two", o.Prefix)
	case o.NoPrefix && !strings.Contains(full.UserPrefix, separator):
		return fmt.Errorf("cloakroom: valkey store: Options.UserPrefix (%q) could be the beginning of an id, since NoPrefix is set: end it with %q", full.UserPrefix, separator)
	case !o.NoPrefix && strings.HasPrefix(full.UserPrefix, full.Prefix):
		return fmt.Errorf("cloakroom: valkey store: Options.UserPrefix (%q) begins with Options.Prefix (%q): set another one, such as %q", full.UserPrefix, full.Prefix, "list:"+full.Prefix)
	case strings.HasPrefix(full.Prefix, full.UserPrefix):
		return fmt.Errorf("cloakroom: valkey store: Options.Prefix (%q) begins with Options.UserPrefix (%q): set another UserPrefix, such as %q", full.Prefix, full.UserPrefix, "user-"+full.Prefix)
	case strings.Contains(full.Prefix, separator+separator):
		return fmt.Errorf("cloakroom: valkey store: Options.Prefix (%q) has %q in it, which is for ids: take one of them out", full.Prefix, separator+separator)
	case strings.Contains(full.UserPrefix, separator+separator):
		return fmt.Errorf("cloakroom: valkey store: Options.UserPrefix (%q) has %q in it, which is for ids: take one of them out", full.UserPrefix, separator+separator)
	case o.CacheTTL < 0:
		return fmt.Errorf("cloakroom: valkey store: Options.CacheTTL is %v, want 0 (no caching) or more", o.CacheTTL)
	case o.CacheTTL > 0 && o.CacheTTL < time.Millisecond: // most likely it was meant to be seconds
		return fmt.Errorf("cloakroom: valkey store: Options.CacheTTL is too short: %d is %v: write %d * time.Second", int64(o.CacheTTL), o.CacheTTL, int64(o.CacheTTL))
	case o.Scripts < ScriptsAuto || o.Scripts > ScriptsNever:
		return fmt.Errorf("cloakroom: valkey store: Options.Scripts is %d, want ScriptsAuto, ScriptsAlways or ScriptsNever", o.Scripts)
	case o.DigestFrom < -1:
		return fmt.Errorf("cloakroom: valkey store: Options.DigestFrom is %d, want 0 (16 KiB), -1 (never) or a size in bytes", o.DigestFrom)
	case o.WaitReplicas < 0:
		return fmt.Errorf("cloakroom: valkey store: Options.WaitReplicas is %d, want 0 or more", o.WaitReplicas)
	}
	return nil
}

// New returns a store on the app's client: of one server, of Sentinels or of a
// cluster. The client stays the app's, which closes it. The error says which
// option is not valid.
func New(client valkey.Client, o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if client == nil {
		return nil, fmt.Errorf("cloakroom: valkey store: client is nil: make one with valkey.NewClient")
	}
	s := &Store{client: client, opts: o.withDefaults()}
	if o.CacheTTL > 0 {
		s.own = newWrites(o.CacheTTL)
	}
	lists := s.opts
	lists.Prefix, lists.CacheTTL = lists.UserPrefix, 0
	s.lists = &Store{client: client, opts: lists}
	return s, nil
}

// Open returns a store on a client of its own, which [Store.Close] closes. The
// URL is one of [valkey.ParseURL], such as valkey://user:password@host:6379/0,
// or valkeys:// for TLS, which Sentinels have to speak as well then. It returns when
// the server has answered, or an error when it does not until ctx is done.
//
// The requests of all goroutines share one connection to a server, in place of the
// client's four, and those that are ready to send something do so before it is written to:
// what comes at once is then written at once, which takes half of the processor.
// docs/valkey.md has the figures, and how to have that with a client of your own.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	if url == "" {
		return nil, errors.New("cloakroom: valkey store: the URL is empty: is the environment variable set? Want valkey://user:password@host:port/db")
	}
	option, err := valkey.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("cloakroom: valkey store: the URL cannot be parsed: want valkey://user:password@host:port/db") // err quotes it, password and all
	}
	if o.CacheTTL == 0 {
		option.DisableCache = true // or the client asks for what an ACL need not permit
	}
	if option.TLSConfig != nil && (len(option.InitAddress) > 1 || option.Sentinel.MasterSet != "") {
		option.TLSConfig.ServerName = "" // each server has the certificate for its own name
	}
	if option.Sentinel.MasterSet != "" {
		option.Sentinel.TLSConfig, option.Sentinel.Dialer = option.TLSConfig, option.Dialer
		option.Sentinel.TopologyRefreshInterval = askSentinels
	}
	gather(&option)
	client, err := dial(ctx, option)
	if err != nil {
		return nil, at(option, failure(ctx, "open", err))
	}
	s, err := New(client, o)
	if err == nil {
		s.owned = true
		if err = s.Ping(ctx); err != nil {
			err = at(option, err)
		}
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

// at adds to the failure of a call where it was made: of a server with TLS and a client
// without it, neither says so to the other.
func at(option valkey.ClientOption, err error) error {
	how := "without TLS"
	if option.TLSConfig != nil {
		how = "over TLS"
	}
	return fmt.Errorf("%w (at %s, %s)", err, strings.Join(option.InitAddress, ", "), how)
}

// askSentinels is how often Sentinels are asked for the primary: the one message about a
// switch may be missed.
const askSentinels = 5 * time.Second

// dial makes a client. That takes until each address had its time, and asks for
// no context: who does not wait for it any more leaves it alone with that.
func dial(ctx context.Context, option valkey.ClientOption) (valkey.Client, error) {
	if err := refuse(ctx, "open"); err != nil {
		return nil, err
	}
	type result struct {
		client valkey.Client
		err    error
	}
	made := make(chan result)
	go func() {
		client, err := valkey.NewClient(option)
		select {
		case made <- result{client, err}:
		case <-ctx.Done():
			if err == nil {
				client.Close()
			}
		}
	}()
	select {
	case r := <-made:
		return r.client, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
