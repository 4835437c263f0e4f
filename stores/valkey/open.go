package valkeystore

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Open returns a store on a client of its own, which [Store.Close] closes. The
// URL is one of [valkey.ParseURL], such as valkey://user:password@host:6379/0,
// or valkeys:// for TLS, which Sentinels have to speak as well then. With
// master_set=NAME its hosts are Sentinels, whose own user and password are
// sentinel_username and sentinel_password. It returns when
// the server has answered, or an error when it does not until ctx is done.
//
// The requests of all goroutines share one connection to a server, in place of the
// client's four, and those that are ready to send something do so before it is written to:
// what comes at once is then written at once, which takes half of the processor.
// docs/valkey.md has the figures, and how to have that with a client of your own.
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	option, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	if o.CacheTTL == 0 {
		option.DisableCache = true // or the client asks for what an ACL need not permit
	}
	gather(&option)
	client, err := dial(ctx, option)
	if err != nil {
		return nil, at(option, failure(ctx, "open", err))
	}
	s, err := New(client, o)
	if err == nil {
		s.owned = true
		if err = s.Ping(ctx); err == nil {
			err = s.tryCache(ctx)
		}
		if err != nil {
			err = at(option, err)
		}
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	return s, nil
}

// tryCache returns an error where the server does not permit what fills the cache: the store
// would work without, and be slower than one that has none.
func (s *Store) tryCache(ctx context.Context) error {
	if s.own == nil {
		return nil
	}
	conn, release, ok := acquire(ctx, s.client)
	if !ok {
		return failure(ctx, "open", ctx.Err())
	}
	defer release()
	for _, result := range conn.DoMulti(ctx, conn.B().Multi().Build(), conn.B().Pttl().Key(s.key("")).Build(), conn.B().Exec().Build()) {
		if refusal, is := valkey.IsValkeyErr(result.Error()); is && strings.Contains(refusal.Error(), "NOPERM") { // EXEC says so in the middle
			return &store.Error{Store: storeName, Verb: "open", Outcome: store.OutcomeNotApplied, Class: "not permitted by the server's ACL: CacheTTL needs +multi +exec +pttl"}
		}
	}
	return nil
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

// parseURL returns what a URL says of a client. No error quotes it, because of its passwords.
func parseURL(text string) (valkey.ClientOption, error) {
	if text == "" {
		return valkey.ClientOption{}, errors.New("cloakroom: valkey store: the URL is empty: is the environment variable set? Want valkey://user:password@host:port/db")
	}
	option, err := valkey.ParseURL(text)
	u, malformed := url.Parse(text)
	if err != nil || malformed != nil || hasMoreThanAName(u) {
		return valkey.ClientOption{}, errors.New("cloakroom: valkey store: the URL cannot be parsed: want valkey://user:password@host:port/db")
	}
	query, sentinel := u.Query(), &option.Sentinel
	sentinel.Username, sentinel.Password = query.Get("sentinel_username"), query.Get("sentinel_password")
	if sentinel.MasterSet == "" && sentinel.Username+sentinel.Password != "" {
		return valkey.ClientOption{}, errors.New("cloakroom: valkey store: the URL has a user or a password of Sentinels, and no master_set: add the name by which they know the primary")
	}
	if option.TLSConfig != nil && (len(option.InitAddress) > 1 || sentinel.MasterSet != "") {
		option.TLSConfig.ServerName = "" // each server has the certificate for its own name
	}
	if sentinel.MasterSet != "" {
		sentinel.TLSConfig, sentinel.Dialer = option.TLSConfig, option.Dialer
		sentinel.TopologyRefreshInterval = askSentinels
	}
	return option, nil
}

// hasMoreThanAName reports whether the host of a URL is none, such as where a password is not
// followed by an at sign: errors quote hosts.
func hasMoreThanAName(u *url.URL) bool {
	return strings.Contains(u.Host, ",") || strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[")
}

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
