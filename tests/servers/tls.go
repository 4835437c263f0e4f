package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// A certificate is one for the loopback address, signed by itself.
type certificate struct {
	file, keyFile string
	trust         *tls.Config // of a client that trusts it and no other
}

func newCertificate(tb testing.TB) *certificate {
	tb.Helper()
	must := func(err error) {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cloakroom test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true, IsCA: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	dir := tempDir(tb)
	c := &certificate{file: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	must(os.WriteFile(c.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	must(os.WriteFile(c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	c.trust = trust(tb, c.file)
	return c
}

// trust returns the set-up of a client that trusts the certificate in a file and
// no other.
func trust(tb testing.TB, file string) *tls.Config {
	tb.Helper()
	text, err := os.ReadFile(file)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		tb.Fatalf("no certificate in %s: %v", file, err)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// TLSOption returns how a client reaches the server that VALKEY_TLS_ADDR names,
// which demands TLS and a user.
func TLSOption(tb testing.TB) valkey.ClientOption {
	tb.Helper()
	o := valkey.ClientOption{
		InitAddress: []string{Env(tb, "VALKEY_TLS_ADDR")}, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		Username: os.Getenv("VALKEY_TLS_USERNAME"), Password: os.Getenv("VALKEY_TLS_PASSWORD"),
		DisableCache: true, ForceSingleClient: true,
	}
	if file := os.Getenv("VALKEY_TLS_CA"); file != "" {
		o.TLSConfig = trust(tb, file)
	}
	return o
}
