package ticket_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// Java's HttpClient sends a cookie that came with Max-Age alone in the form of RFC 2965, and others of the request as they are.
func TestCookieValuesInTheFormOfRFC2965(t *testing.T) {
	var got []string
	for _, header := range []string{
		`$Version="1"; sid="x";$Path="/";$Domain="127.0.0.1"`,
		`$Version="1"; lang="en";$Path="/";$Domain="127.0.0.1"; sid=y`,
	} {
		ticket.CookieValues(http.Header{"Cookie": {header}}, "sid", func(v string) bool { got = append(got, v); return true })
	}
	if want := []string{"x", "y"}; !slices.Equal(got, want) {
		t.Errorf("values %q, want %q", got, want)
	}
}

// The law: a cookie among others is found by its exact name, in the order of the
// header, and nothing is found that is not there. It costs bounded memory.
func FuzzCookieValues(f *testing.F) {
	for _, seed := range []string{"sid=x", "a=b; sid=x; sid=y", "sid", "sid=", `sid="x"`, `sid="`, "sid =x", "SID=x", "sid2=x", ";;;", " sid\t=\tx ", "sid=a=b", "s%69d=x", "sid=x,sid=y"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, header, value string) {
		collect := func(h http.Header) (values []string) {
			ticket.CookieValues(h, "sid", func(v string) bool { values = append(values, v); return true })
			return values
		}
		alone, lines := collect(http.Header{"Cookie": {header}}), http.Header{"Cookie": {header, value}}
		if cost := suite.Allocated(func() { ticket.CookieValues(lines, "sid", func(string) bool { return true }) }); cost > suite.Roughly {
			t.Errorf("%d bytes of headers cost %d bytes, want at most %d", len(header)+len(value), cost, suite.Roughly)
		}
		for _, v := range alone {
			if strings.Contains(v, ";") || !strings.Contains(header, v) {
				t.Errorf("%q: value %q is not in it", header, v)
			}
		}
		if n := strings.Count(header, "sid"); len(alone) > n {
			t.Errorf("%q: %d values", header, len(alone))
		}
		if strings.ContainsAny(value, "; \t\"") || value == "" {
			return
		}
		with := collect(http.Header{"Cookie": {header + "; sid=" + value, "x=y;sid=" + value + ";z"}})
		if len(with) != len(alone)+2 || with[len(with)-1] != value || with[len(with)-2] != value {
			t.Errorf("%q with sid=%q twice: %q", header, value, with)
		}
		first := ""
		ticket.CookieValues(http.Header{"Cookie": {"sid=" + value, header}}, "sid", func(v string) bool { first = v; return false })
		if first != value {
			t.Errorf("the first of %q is %q", value+"; "+header, first)
		}
	})
}
