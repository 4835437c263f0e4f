package main

import (
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/internal/suite"
)

func TestMain(m *testing.M) { suite.Main(m) }

func TestTheDocumentIsUpToDate(t *testing.T) {
	if err := run(false); err != nil {
		t.Error(err)
	}
}

func TestWhatIsNamedHasToExist(t *testing.T) {
	text := "[`TestTheDocumentIsUpToDate`](main_test.go), [a page](https://example.com), [`TestThatIsNotThere`](main_test.go), [x](not-there.md)"
	err := checkLinks(text, ".")
	for _, want := range []string{"TestThatIsNotThere", "not-there.md"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err != nil && (strings.Contains(err.Error(), "UpToDate") || strings.Contains(err.Error(), "example")) {
		t.Errorf("%v blames what is right", err)
	}
}

func TestTheMatrixTakesThePlaceOfAnOlderOne(t *testing.T) {
	got, err := withMatrix("before\n" + begin + "old\n" + end + "after\n")
	if err != nil || !strings.HasPrefix(got, "before\n"+begin) || !strings.HasSuffix(got, end+"after\n") || strings.Contains(got, "old\n"+end) || !strings.Contains(got, "| fault |") {
		t.Errorf("%q, %v", got, err)
	}
	if again, err := withMatrix(got); err != nil || again != got {
		t.Errorf("twice it is another one: %v", err)
	}
	if _, err := withMatrix("no place"); err == nil {
		t.Error("a document without a place for it is taken")
	}
}
