package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"
)

// An authority signs certificates.
type authority struct {
	file string // for those who trust it
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(t.TempDir(), "ca.pem")}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
	}
	der, key := a.sign(t, template, template)
	var err error
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.key = key
	if err := os.WriteFile(a.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

// sign makes a certificate with a key of its own. That of the authority signs itself.
func (a *authority) sign(t *testing.T, template, parent *x509.Certificate) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer := a.key
	if signer == nil {
		signer = key
	}
	der, err = x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	return der, key
}

// front stands before a server with TLS and a certificate for that name alone, or for that
// address, and returns its port.
func (a *authority) front(t *testing.T, name, server string) (port string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server of a test"},
		NotBefore: a.cert.NotBefore, NotAfter: a.cert.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{name}
	}
	der, key := a.sign(t, template, a.cert)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go join(client, server)
		}
	}()
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// join passes on what a client and a server say, until one of them goes.
func join(client net.Conn, server string) {
	defer client.Close()
	conn, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() {
		_, _ = io.Copy(conn, client)
		_ = conn.Close()
	}()
	_, _ = io.Copy(client, conn)
}

// Each server has a certificate for the name by which it is reached: whether the URL says
// it, or another server does.
func TestEachServerHasACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	count := func(t *testing.T, format string, args ...any) result {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience) // a walk as a whole has no limit
		defer cancel()
		return operateAt(ctx, nil, map[string]string{"CLOAKROOM_STORE": fmt.Sprintf(format, args...) + "ca=" + ca.file}, "count")
	}
	t.Run("one server", func(t *testing.T) {
		t.Parallel()
		port := ca.front(t, "localhost", start(t, "--user", "tests", "on", "nopass", "~*", "&*", "+info"))
		count(t, "valkeys://localhost:%s?", port).want(t, exitOK)
		count(t, "valkeys://127.0.0.1:%s?", port).want(t, exitFailed, "certificate is not trusted")
	})
	t.Run("Sentinels", func(t *testing.T) {
		t.Parallel()
		primary := start(t, "--user", "default", "on", ">of-the-primary", "~*", "&*", "+@all", "--user", "tests", "on", "nopass", "~*", "&*", "+info")
		sentinel := startSentinel(t, "127.0.0.1:"+ca.front(t, "127.0.0.1", primary), "of-the-sentinel", "of-the-primary")
		port := ca.front(t, "localhost", sentinel)
		const settings = "master_set=ours&sentinel_password=of-the-sentinel&"
		count(t, "valkeys://:of-the-primary@localhost:%s?"+settings, port).want(t, exitOK)
		count(t, "valkeys://:of-the-primary@127.0.0.1:%s?"+settings, port).want(t, exitFailed, "certificate is not trusted")
	})
	t.Run("a cluster", func(t *testing.T) {
		t.Parallel()
		node := startCluster(t)
		port := ca.front(t, "127.0.0.1", node.addr)
		node.announce(t, port)
		other := ca.front(t, "localhost", node.addr)
		for _, hosts := range []string{"localhost:" + other + ",127.0.0.1:" + port, "127.0.0.1:" + port + ",localhost:" + other} {
			count(t, "valkeys://%s?", hosts).want(t, exitOK)
		}
		count(t, "valkeys://127.0.0.1:%s,127.0.0.1:%[1]s?", other).want(t, exitFailed, "certificate is not trusted")
	})
}

// A clusterNode is all of a cluster.
type clusterNode struct {
	addr   string
	client valkey.Client // that speaks to it as to a single server
}

func startCluster(t *testing.T) clusterNode {
	t.Helper()
	program := server(t, "VALKEY_SERVER")
	addr := startCommand(t, func(port string) []string {
		bus, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer bus.Close()
		_, busPort, _ := net.SplitHostPort(bus.Addr().String())
		return []string{
			program, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--user", "tests", "on", "nopass", "~*", "&*", "+info",
			"--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-announce-ip", "127.0.0.1",
		}
	})
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: []string{addr}, ForceSingleClient: true, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	n := clusterNode{addr, client}
	if _, err := n.do(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383"); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		info, err := n.do(t, "CLUSTER", "INFO")
		if err == nil && strings.Contains(info, "cluster_state:ok") {
			return n
		}
		if time.Since(began) > patience {
			t.Fatalf("the cluster does not begin: %q, %v", info, err)
		}
	}
}

// announce has the node say that it is reached by that port.
func (n clusterNode) announce(t *testing.T, port string) {
	t.Helper()
	if _, err := n.do(t, "CONFIG", "SET", "cluster-announce-port", port); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		nodes, err := n.do(t, "CLUSTER", "NODES")
		if err == nil && strings.Contains(nodes, ":"+port+"@") {
			return
		}
		if time.Since(began) > patience {
			t.Fatalf("it does not say so: %q, %v", nodes, err)
		}
	}
}

func (n clusterNode) do(t *testing.T, words ...string) (string, error) {
	t.Helper()
	return n.client.Do(t.Context(), n.client.B().Arbitrary(words...).Build()).ToString()
}
