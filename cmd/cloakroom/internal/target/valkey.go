package target

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/store"
	valkeystore "github.com/cloakroom-go/cloakroom/stores/valkey"
)

func openValkey(ctx context.Context, u *url.URL, _ Options) (*Target, error) {
	query := u.Query()
	var opts valkeystore.Options
	opts.Prefix, opts.UserPrefix = take(query, "prefix"), take(query, "user_prefix")
	opts.NoPrefix = take(query, "no_prefix") != ""
	ca, sentinelUser, sentinelPassword := take(query, "ca"), take(query, "sentinel_username"), take(query, "sentinel_password")
	if hosts := strings.Split(u.Host, ","); len(hosts) > 1 {
		u.Host = hosts[0]
		query["addr"] = append(query["addr"], hosts[1:]...)
	}
	if strings.Count(u.Host, ":") > 1 && !strings.HasPrefix(u.Host, "[") { // a password without an at sign behind it, perhaps
		return nil, urlError("want valkey://user:password@host:port/db")
	}
	for name := range query {
		if !slices.Contains(parameters, name) { // which may be part of a password that is not escaped
			return nil, urlError("a parameter is not known. There are prefix, user_prefix, no_prefix, ca, sentinel_username, sentinel_password, %s", strings.Join(parameters, ", "))
		}
	}
	u.RawQuery = query.Encode()
	option, err := valkey.ParseURL(u.String())
	if err != nil { // it quotes what it does not understand
		return nil, urlError("want valkey://user:password@host:port/db")
	}
	option.DisableCache = true
	if option.TLSConfig != nil && (len(option.InitAddress) > 1 || option.Sentinel.MasterSet != "") {
		option.TLSConfig.ServerName = "" // each server has the certificate for its own name
	}
	if ca != "" {
		if option.TLSConfig == nil {
			return nil, urlError("it has a ca, but does not begin with valkeys://")
		}
		pem, err := os.ReadFile(ca) //nolint:gosec // the operator's choice
		if err != nil {
			return nil, urlError("the file of the ca cannot be read: %v", err)
		}
		option.TLSConfig.RootCAs = x509.NewCertPool()
		if !option.TLSConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, urlError("the file of the ca has no certificate in it")
		}
	}
	option.Dialer.Timeout = dialTimeout(ctx, option.Dialer.Timeout)
	if option.Sentinel.MasterSet == "" && sentinelUser+sentinelPassword != "" {
		return nil, urlError("it has a user or a password of Sentinels, and no master_set")
	}
	if option.Sentinel.MasterSet != "" {
		option.Sentinel.Username, option.Sentinel.Password = sentinelUser, sentinelPassword
		option.Sentinel.TLSConfig, option.Sentinel.Dialer = option.TLSConfig, option.Dialer
		option.Sentinel.TopologyRefreshInterval = askSentinels
	}
	client, err := valkey.NewClient(option)
	if err != nil {
		return nil, dialError(option, err)
	}
	s, err := valkeystore.New(client, opts)
	if err != nil {
		client.Close()
		return nil, err
	}
	t := &Target{
		Store: s, Kind: "valkey", Where: strings.Join(option.InitAddress, ","), Valkey: client,
		Prefix: opts.Prefix, UserPrefix: opts.UserPrefix,
	}
	if t.Prefix == "" && !opts.NoPrefix {
		t.Prefix = "sess:"
	}
	if t.UserPrefix == "" {
		t.UserPrefix = "user-" + t.Prefix
		if opts.NoPrefix {
			t.UserPrefix = "user-sess:"
		}
	}
	if option.SelectDB != 0 {
		t.Where += "/" + strconv.Itoa(option.SelectDB)
	}
	t.onClose(client.Close)
	return t, nil
}

// parameters are those of [valkey.ParseURL], which takes others for nothing.
var parameters = []string{
	"addr", "client_cache", "client_name", "db", "dial_timeout", "master_set", "max_retries", "protocol", "skip_verify", "write_timeout",
}

// askSentinels is how often Sentinels are asked for the primary: the one message about a
// switch may be missed.
const askSentinels = 5 * time.Second

// dialTimeout returns for how long a server is waited for: no longer than ctx lasts, which
// the client is not asked with.
func dialTimeout(ctx context.Context, given time.Duration) time.Duration {
	until, ok := ctx.Deadline()
	if !ok {
		return given
	}
	left := max(time.Until(until), time.Millisecond) // 0 is the client's own
	if given > 0 {
		return min(given, left)
	}
	return left
}

// dialError makes an error of what a client says that could not connect. A server's text
// is left out: it may quote what it was sent.
func dialError(option valkey.ClientOption, err error) error {
	failure := &store.Error{Store: "valkey", Verb: "open", Outcome: store.OutcomeNotApplied, Class: "connection failed"}
	var (
		op          *net.OpError
		certificate *tls.CertificateVerificationError
	)
	switch refusal, refused := valkey.IsValkeyErr(err); {
	case refused && strings.Contains(refusal.Error(), "DB index is out of range"):
		failure.Class = "the server has no database " + strconv.Itoa(option.SelectDB)
	case refused:
		word, _, _ := strings.Cut(refusal.Error(), " ")
		failure.Class = "the server refused the connection: " + word
	case errors.As(err, &certificate):
		failure.Class, failure.Err = "the server's certificate is not trusted", certificate
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		failure.Class = "no answer in time from " + strings.Join(option.InitAddress, ", ")
		if option.TLSConfig != nil { // which one without it does not answer
			failure.Class += ", over TLS"
		}
	case errors.As(err, &op):
		failure.Err = op
	}
	return failure
}
