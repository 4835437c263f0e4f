package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// HTTPS, which a browser asks for before it locks a session to itself. http://localhost
// will not do for that; https://localhost will, with a certificate that the browser is
// told to trust.

const (
	keptCertificate = "localhost.pem" // in the folder of -data, with its private key
	certificateLife = 365 * 24 * time.Hour
	localhost       = "localhost"
)

// certificateFor returns what the flags say: the certificate in the files, or one of our own
// for localhost, or nil for plain HTTP.
func certificateFor(cert, key string, own bool, data string, now time.Time) (*tls.Certificate, error) {
	switch {
	case cert != "" || key != "":
		if own {
			return nil, errors.New("-tls makes a certificate, and -cert names one: use one of the two")
		}
		loaded, err := tls.LoadX509KeyPair(cert, key)
		return &loaded, err
	case own:
		return ownCertificate(data, now)
	}
	return nil, nil //nolint:nilnil // none is wanted
}

// ownCertificate returns the certificate in a folder, and makes one where there is none or
// it has ended. Without a folder it is good until the process ends.
func ownCertificate(dir string, now time.Time) (*tls.Certificate, error) {
	name := filepath.Join(dir, keptCertificate)
	if dir != "" {
		text, err := os.ReadFile(name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			kept, err := tls.X509KeyPair(text, text)
			if err != nil {
				return nil, fmt.Errorf("%s holds no certificate with its key: remove it", name)
			}
			if now.Before(kept.Leaf.NotAfter) {
				return &kept, nil
			}
		}
	}
	text, err := newCertificate(now)
	if err == nil && dir != "" {
		err = os.WriteFile(name, text, 0o600)
	}
	if err != nil {
		return nil, err
	}
	made, err := tls.X509KeyPair(text, text)
	return &made, err
}

// newCertificate returns a certificate for localhost and its private key, as PEM.
func newCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Cloakroom on " + localhost},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife), // clocks differ
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{localhost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// addressOf returns where a browser finds the app.
func addressOf(listener net.Listener, https, ownName bool) string {
	host, port, _ := net.SplitHostPort(listener.Addr().String()) // it is one
	if ownName {
		host = localhost
	}
	scheme := "http://"
	if https {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, port)
}

// browserFlags are those with which Chromium trusts the certificate, and locks sessions to
// itself on a device without a chip for keys, too. They are for a look at it, with a
// profile of its own.
func browserFlags(cert *tls.Certificate) []string {
	pin := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	return []string{
		"--user-data-dir=" + filepath.Join(os.TempDir(), "cloakroom-browser"),
		"--enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting",
		"--ignore-certificate-errors-spki-list=" + base64.StdEncoding.EncodeToString(pin[:]),
	}
}
