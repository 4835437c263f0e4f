package ticket_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cloakroom-go/cloakroom/core/internal/ticket"
	"github.com/cloakroom-go/cloakroom/internal/suite"
)

// The law: what is signed is found behind the scheme Bearer in any letters, whatever
// stands beside it; nothing is found that is not there; and no token that others issue
// looks like ours. It costs bounded memory.
func FuzzHeaderTokens(f *testing.F) {
	for _, seed := range []string{"", "Bearer", "bearer x", "BEARER  s%3Aid.sig", "Basic eDp5", "Bearer\tx", " Bearer s:x", "s:x", "s%3a", "Bearer a b", "Bearer,x", "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(seed, "an-id-of-some-length")
	}
	signer := ticket.NewSigner([]string{"a secret of more than thirty-two bytes"})
	f.Fuzz(func(t *testing.T, line, id string) {
		collect := func(bearer bool, lines ...string) (tokens []string) {
			ticket.HeaderTokens(http.Header{"X": lines}, "X", bearer, func(token string) bool {
				tokens = append(tokens, token)
				return true
			})
			return tokens
		}
		if cost := suite.Allocated(func() {
			ticket.HeaderTokens(http.Header{"X": {line}}, "X", true, func(string) bool { return true })
		}); cost > suite.Roughly {
			t.Errorf("%d bytes of a header cost %d bytes", len(line), cost)
		}
		if plain := collect(false, line); len(plain) != 1 || !strings.Contains(line, plain[0]) || plain[0] != strings.Trim(line, " \t") {
			t.Errorf("%q without a scheme: %q", line, plain)
		}
		bearer := collect(true, line)
		scheme, _, _ := strings.Cut(strings.Trim(line, " \t"), " ")
		if is := strings.EqualFold(scheme, "bearer"); is != (len(bearer) == 1) || is && !strings.HasSuffix(strings.Trim(line, " \t"), bearer[0]) {
			t.Errorf("%q with a scheme: %q", line, bearer)
		}
		if !strings.ContainsAny(line, ":%") && ticket.LooksSigned(line) {
			t.Errorf("%q looks like a token of ours", line)
		}
		ours := signer.Sign(id)
		if !ticket.LooksSigned(ours) || !ticket.LooksSigned("s:"+id) {
			t.Errorf("the token of %q does not look like one", id)
		}
		tokens := collect(true, line, "bEARER  "+ours+" ")
		if got := tokens[len(tokens)-1]; got != ours {
			t.Errorf("behind %q: %q", line, got)
		}
	})
}
