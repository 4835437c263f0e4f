package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/tests/constanttime/forge"
)

// Where a forged signature is wrong decides nothing: the same statements run the
// same number of times, in core and in the packages of the standard library that
// it verifies with, and every character is compared.
//
// Standards: ASVS-11.2.4
func TestVerifyingTakesTheSamePathWhereverASignatureIsWrong(t *testing.T) {
	const root = "github.com/cloakroom-go/cloakroom/"
	dir := t.TempDir()
	program := filepath.Join(dir, "paths")
	run := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return strings.TrimSpace(string(out))
	}
	run("go", "build", "-cover", "-covermode=atomic", "-o", program, "-coverpkg="+strings.Join([]string{
		root + "core", root + "core/internal/ticket", root + "tests/constanttime/paths",
		"crypto/hmac", "crypto/internal/fips140/hmac", "crypto/internal/fips140/subtle", "crypto/subtle",
	}, ","), "./paths")
	run(program, dir)
	covdata := []string{run("go", "tool", "-n", "covdata")} // where it is, because the go command takes its time
	if _, err := os.Stat(covdata[0]); err != nil {
		covdata = []string{"go", "tool", "covdata"}
	}

	var first string
	for i := range forge.Signature {
		text := filepath.Join(dir, fmt.Sprint(i, ".txt"))
		run(covdata[0], append(covdata[1:], "textfmt", "-i="+filepath.Join(dir, fmt.Sprint(i)), "-o="+text)...)
		counts, err := os.ReadFile(text)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = string(counts)
			continue
		}
		for line := range strings.Lines(string(counts)) {
			if !strings.Contains(first, line) {
				t.Errorf("with character %d wrong in place of the first: %s", i, line)
			}
		}
		if len(counts) != len(first) {
			t.Errorf("with character %d wrong other statements run", i)
		}
	}
	compared := fmt.Sprint(" ", forge.Signature*forge.Secrets, "\n") // how often a statement ran that looks at one character
	for line := range strings.Lines(first) {
		if strings.HasPrefix(line, "crypto/") && strings.HasSuffix(line, compared) {
			return
		}
	}
	t.Errorf("no statement below crypto/ ran for each of %d characters and %d secrets, so what compares them may stop early", forge.Signature, forge.Secrets)
}
