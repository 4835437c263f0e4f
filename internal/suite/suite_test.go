package suite

import (
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestWhatLooksLikeASecretIsSuspicious(t *testing.T) {
	for text, want := range map[string]bool{
		"cloakroom: session could not be saved": false,
		`level=ERROR msg="cloakroom: session could not be loaded" error="cloakroom: valkey store: load: timeout: context deadline exceeded"`: false,
		`cloakroom: set session key "__cloakroom": key is reserved`:                                                                          false,
		"listen tcp 127.0.0.1:34567: bind: address already in use":                                                                           false,
		"no session q8mBvNzV1Q-8tQ2L3mZ0kPpCyB_m9a4x":                                                                                        true,
		"duplicate key: { _id: \"q8mBvNzV1Q-8tQ2L3mZ0kPpCyB_m9a4x\" }":                                                                       true,
		"cookie s%3Aan-id-of-the-app.Zm9vYmFyYmF6":                                                                                           true,
		"cookie s:an-id-of-the-app.Zm9vYmFyYmF6":                                                                                             true,
		`stored {"cookie":{}}`:                                                                                                               true,
		`data="{\"cookie\":{}}"`:                                                                                                             true,
		`{"__sealed":"0123.456"}`:                                                                                                            true,
		strings.Repeat("a ", 100):                                                                                                            false,
		"0123456789abcdef0123456789ab":                                                                                                       false,
	} {
		if got := Suspicious(text); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

func TestWhatIsHiddenIsSuspicious(t *testing.T) {
	const text = "the password of a test"
	if Suspicious(text) {
		t.Errorf("%q is suspicious before it is hidden", text)
	}
	for _, secret := range Hide(text) {
		if !Suspicious("level=INFO msg=\"" + secret + "\"") {
			t.Errorf("%q is not suspicious", secret)
		}
	}
}

func TestAGoroutineThatIsLeftIsFound(t *testing.T) {
	done := make(chan struct{})
	go func() { <-done }()
	if left := others(); !strings.Contains(left, "TestAGoroutineThatIsLeftIsFound") {
		t.Errorf("it is not among\n%s", left)
	}
	close(done)
	for deadline := time.Now().Add(patience); strings.Contains(others(), "TestAGoroutineThatIsLeftIsFound.func1"); {
		if time.Now().After(deadline) {
			t.Fatal("it is found after its end")
		}
	}
}
