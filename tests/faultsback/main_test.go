package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

// Whoever changes a line that a fault is about says here how it would look now.
func TestEachFaultFitsTodaysCode(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		path, text, err := f.apply(top)
		if err != nil {
			t.Errorf("%s: %v", f.what, err)
			continue
		}
		if _, err := parser.ParseFile(token.NewFileSet(), path, text, 0); err != nil {
			t.Errorf("%s: %v", f.what, err)
		}
	}
}

func TestAFaultThatFitsNoMoreIsToldWithItsFile(t *testing.T) {
	top, err := root()
	if err != nil {
		t.Fatal(err)
	}
	for name, now := range map[string]string{"a text that is gone": "func neverThere(", "a text that stands there twice": "return"} {
		_, _, err := fault{file: "core/end.go", edits: []edit{{now, ""}}}.apply(top)
		if err == nil || !strings.Contains(err.Error(), "core/end.go") || !strings.Contains(err.Error(), now) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := run("no fault is described so"); err == nil {
		t.Error("to put nothing back is a success")
	}
}
