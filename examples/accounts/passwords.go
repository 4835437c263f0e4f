package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"
)

// argon2id with what OWASP recommends at least: 19 MiB, 2 passes, 1 lane.
const (
	argonMemory = 19 << 10 // KiB
	argonTime   = 2
	argonLanes  = 1
	argonFormat = "$argon2id$v=19$m=19456,t=2,p=1$"
)

func argon(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, 32)
}

// hashPassword returns what to keep of a password: the parameters, a salt and the
// hash, in the usual format.
func hashPassword(password string) string {
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // it never fails
	b64 := base64.RawStdEncoding
	return argonFormat + b64.EncodeToString(salt) + "$" + b64.EncodeToString(argon(password, salt))
}

// checkPassword reports whether a password is the one that was hashed.
func checkPassword(password, hashed string) bool {
	b64 := base64.RawStdEncoding
	rest, ok := strings.CutPrefix(hashed, argonFormat)
	saltText, hashText, _ := strings.Cut(rest, "$")
	salt, err1 := b64.DecodeString(saltText)
	hash, err2 := b64.DecodeString(hashText)
	if !ok || err1 != nil || err2 != nil {
		return false
	}
	return subtle.ConstantTimeCompare(argon(password, salt), hash) == 1
}

// nobodysPassword is compared with where there is no such account, so that the time
// that it takes does not tell.
var nobodysPassword = sync.OnceValue(func() string { return hashPassword(rand.Text()) })

// A hash takes a processor and 19 MiB, and anybody can ask for one. So few are computed
// at once, few requests wait, and few of these are one client's: the others are told at
// once to come back later, and whoever hangs up is out of the queue.
type hashQueue struct {
	slots chan struct{} // one for each that is computed

	mu   sync.Mutex
	all  int            // who waits or computes
	each map[string]int // how many of these are a client's
}

const (
	mostHashes  = 64
	mostOfOne   = 8
	longestWait = 5 * time.Second
)

func newHashQueue() *hashQueue {
	return &hashQueue{slots: make(chan struct{}, runtime.GOMAXPROCS(0)), each: make(map[string]int)}
}

// hash is hashPassword for a request.
func (q *hashQueue) hash(r *http.Request, password string) (hashed string, err error) {
	err = q.do(r.Context(), clientOf(r), func() { hashed = hashPassword(password) })
	return hashed, err
}

// check is checkPassword for a request.
func (q *hashQueue) check(r *http.Request, password, hashed string) (right bool, err error) {
	err = q.do(r.Context(), clientOf(r), func() { right = checkPassword(password, hashed) })
	return right, err
}

// do calls compute when it is its turn. It returns errTooMany, errBusy or the error of
// ctx where that does not come.
func (q *hashQueue) do(ctx context.Context, client string, compute func()) error {
	if err := q.enter(client); err != nil {
		return err
	}
	defer q.leave(client)
	limit, cancel := context.WithTimeout(ctx, longestWait)
	defer cancel()
	select {
	case q.slots <- struct{}{}:
		defer func() { <-q.slots }()
	case <-limit.Done():
	}
	switch {
	case ctx.Err() != nil: // nobody waits for the answer
		return ctx.Err()
	case limit.Err() != nil:
		return errBusy
	}
	compute()
	return nil
}

func (q *hashQueue) enter(client string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.each[client] >= mostOfOne:
		return errTooMany
	case q.all >= mostHashes:
		return errBusy
	}
	q.all++
	q.each[client]++
	return nil
}

func (q *hashQueue) leave(client string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.each[client]--; q.each[client] == 0 {
		delete(q.each, client)
	}
}

// clientOf returns whom a request comes from: an IPv4 address, or the network of an IPv6
// address, of which one client has as many as it likes. An app behind a proxy takes the
// address that its proxy tells, or all its users are one client here.
func clientOf(r *http.Request) string {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	ip := addr.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	network, _ := ip.Prefix(64) // every IPv6 address has one
	return network.String()
}
