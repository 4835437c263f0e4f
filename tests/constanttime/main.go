// Constanttime looks for a difference between the times that forged cookies take
// whose signatures are wrong in their first and in their last character: Welch's
// t-test on many interleaved measurements, without the slowest ones, after the
// method of dudect.
//
//	go run ./constanttime -n 2000000
//
// A |t| beyond 4.5 is a reason to look closer; beyond 10 in most of the rounds
// the command fails. So that it is known what it can see, it first measures the
// same verification followed by a comparison that stops at the first difference,
// which has to be found out.
package main

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-go/cloakroom/core"
	"github.com/cloakroom-go/cloakroom/tests/constanttime/forge"
)

const (
	rounds     = 5
	kept       = 0.9 // of the measurements, the fastest
	suspicious = 4.5
	certain    = 10
)

func main() {
	n := flag.Int("n", 1_000_000, "measurements of each kind in a round")
	flag.Parse()
	ok, err := run(*n)
	if err != nil {
		fmt.Fprintln(os.Stderr, "constanttime:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(n int) (ok bool, err error) {
	m, cookies, err := forge.Cookies()
	if err != nil {
		return false, err
	}
	runtime.LockOSThread()
	fmt.Printf("%s, %s/%s; %d rounds of 2 x %d measurements\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, rounds, n)
	control := measure("a comparison that stops early (control)", n, cookies, func(cookie string) {
		verify(m, cookie)
		if stopsEarly(cookie, cookies[len(cookies)-1]) != (cookie == cookies[len(cookies)-1]) {
			panic("the control is wrong")
		}
	})
	verdict := measure("the verification of a cookie", n, cookies, func(cookie string) { verify(m, cookie) })
	switch {
	case 2*control <= rounds:
		fmt.Println("The control was not found out: nothing was shown. Take more measurements (-n), or a machine that is less busy.")
		return false, nil
	case 2*verdict > rounds:
		fmt.Println("The time depends on where the signature is wrong.")
		return false, nil
	}
	fmt.Println("No dependence on where the signature is wrong was found.")
	return true, nil
}

func verify(m *core.Manager, cookie string) {
	if s, err := m.Load(context.Background(), cookie); err != nil || s.Status() != core.StatusInvalid {
		panic("a forged cookie was not refused")
	}
}

// stopsEarly compares as nothing that is secret should be compared. b is right in
// all but its last character.
//
//go:noinline
func stopsEarly(a, b string) bool {
	for i := range len(a) {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// measure returns in how many rounds the two kinds of cookies took different
// times for certain.
func measure(what string, n int, cookies []string, do func(cookie string)) (found int) {
	first, last := cookies[0], cookies[len(cookies)-1]
	fmt.Printf("\n%s\n", what)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for round := range rounds {
		var times [2][]float64
		for i := range times {
			times[i] = make([]float64, 0, n)
		}
		for len(times[0]) < n || len(times[1]) < n {
			var coin [1]byte
			rand.Read(coin[:])
			kind, cookie := int(coin[0]&1), first
			if kind == 1 {
				cookie = last
			}
			cookie = strings.Clone(cookie) // where it lies must not tell them apart
			start := time.Now()
			do(cookie)
			took := time.Since(start)
			if len(times[kind]) < n {
				times[kind] = append(times[kind], float64(took))
				if len(times[kind])%(1<<16) == 0 {
					runtime.GC() // never by itself
				}
			}
		}
		limit := percentile(slices.Concat(times[0], times[1]), kept)
		a, b := below(times[0], limit), below(times[1], limit)
		t := welch(a, b)
		note := ""
		switch {
		case math.Abs(t) > certain:
			found++
			note = "  different"
		case math.Abs(t) > suspicious:
			note = "  look closer"
		}
		fmt.Printf("  round %d: wrong at the first %.2f ns, at the last %.2f ns, t = %+.2f%s\n", round+1, mean(a), mean(b), t, note)
	}
	return found
}

func percentile(all []float64, p float64) float64 {
	slices.Sort(all)
	return all[int(p*float64(len(all)-1))]
}

func below(all []float64, limit float64) []float64 {
	return slices.DeleteFunc(all, func(v float64) bool { return v > limit })
}

func mean(all []float64) (sum float64) {
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

func variance(all []float64) (sum float64) {
	m := mean(all)
	for _, v := range all {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(all)-1)
}

// welch returns the t statistic of two samples.
func welch(a, b []float64) float64 {
	return (mean(a) - mean(b)) / math.Sqrt(variance(a)/float64(len(a))+variance(b)/float64(len(b)))
}
