package valkeytakeover_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/valkey-io/valkey-go"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/internal/suite"
	"github.com/cloakroom-go/cloakroom/stores/valkey/valkeytakeover"
	"github.com/cloakroom-go/cloakroom/takeover"
)

func TestMain(m *testing.M) { suite.MainWaiting(m) }

// records returns some that share nothing with others, or skips the test where there is
// no server.
func records(t *testing.T, env string) valkeytakeover.Records {
	t.Helper()
	addrs := os.Getenv(env)
	if addrs == "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: scripts/servers.sh up starts the servers of the tests", env)
		}
		t.Skipf("NOT TESTED: %s is not set; scripts/servers.sh up starts the servers of the tests", env)
	}
	client, err := valkey.NewClient(valkey.ClientOption{InitAddress: strings.Split(addrs, ","), DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return valkeytakeover.Records{Client: client, Prefix: "valkeytakeover-" + rand.Text() + ":"}
}

func do(t *testing.T, r valkeytakeover.Records, words ...string) {
	t.Helper()
	if err := r.Client.Do(context.WithoutCancel(t.Context()), r.Client.B().Arbitrary(words[0]).Keys(words[1]).Args(words[2:]...).Build()).Error(); err != nil {
		t.Fatal(err)
	}
}

func TestARecordIsTheValueOfItsKeyForAsLongAsThatLives(t *testing.T) {
	for _, env := range []string{"VALKEY_ADDR", "VALKEY_CLUSTER_ADDRS", "VALKEY_OLD_ADDR"} {
		t.Run(env, func(t *testing.T) {
			r := records(t, env)
			value := string([]byte{0, 255, '\r', '\n'}) + "data"
			before := time.Now()
			do(t, r, "SET", r.Prefix+"short", value, "EX", "3600")
			do(t, r, "SET", r.Prefix+"long", value)
			t.Cleanup(func() { do(t, r, "DEL", r.Prefix+"long") })
			rec, err := r.Record(t.Context(), "short")
			if err != nil || !bytes.Equal(rec.Data, []byte(value)) {
				t.Fatalf("%v, %v", rec, err)
			}
			if left := rec.Expires.Sub(before); left < 59*time.Minute || rec.Expires.After(time.Now().Add(time.Hour)) {
				t.Errorf("it expires in %v, want an hour", left)
			}
			if rec, err := r.Record(t.Context(), "long"); err != nil || !rec.Expires.IsZero() {
				t.Errorf("what does not expire: %v, %v", rec.Expires, err)
			}
			for range 2 { // the second one deletes nothing
				if err := r.Delete(t.Context(), "short"); err != nil {
					t.Error(err)
				}
			}
			for _, id := range []string{"short", "none", ""} {
				if _, err := r.Record(t.Context(), id); !errors.Is(err, predecessor.ErrNone) {
					t.Errorf("%q: %v, want ErrNone", id, err)
				}
			}
		})
	}
}

// A meddler is a client with which something happens to a key between the two commands of a
// read.
type meddler struct {
	valkey.Client

	meddle func(key string)
}

func (m meddler) DoMulti(ctx context.Context, commands ...valkey.Completed) (answers []valkey.ValkeyResult) {
	key := commands[0].Commands()[1]
	for i, command := range commands {
		if i == 1 {
			m.meddle(key)
		}
		answers = append(answers, m.Do(ctx, command))
	}
	return answers
}

// A session that ends while it is read has ended: it is no session that never expires.
func TestARecordThatGoesWhileItIsReadIsNone(t *testing.T) {
	r := records(t, "VALKEY_ADDR")
	for name, meddle := range map[string]func(key string){
		"deleted": func(key string) { do(t, r, "DEL", key) },
		"expired": func(key string) { do(t, r, "PEXPIRE", key, "0") },
	} {
		do(t, r, "SET", r.Prefix+name, "data")
		meddled := r
		meddled.Client = meddler{r.Client, meddle}
		if rec, err := meddled.Record(t.Context(), name); !errors.Is(err, predecessor.ErrNone) {
			t.Errorf("%s: %+v, %v; want ErrNone", name, rec, err)
		}
	}
}

// Redis and Valkey take lives of which a time.Duration cannot say how long they are.
func TestARecordThatLivesForLongerThanCanBeSaid(t *testing.T) {
	r := records(t, "VALKEY_ADDR")
	for name, until := range map[string]string{"millennia": "99999999999999", "as long as can be": "9223372036854775807"} {
		do(t, r, "SET", r.Prefix+name, "data")
		do(t, r, "PEXPIREAT", r.Prefix+name, until)
		t.Cleanup(func() { do(t, r, "DEL", r.Prefix+name) })
		rec, err := r.Record(t.Context(), name)
		if err != nil || string(rec.Data) != "data" || !rec.Expires.IsZero() {
			t.Errorf("%s: %+v, %v; want no end", name, rec, err)
		}
	}
}

// Fiber's ids stand in the cookie as they are: a visitor may name any key that looks like
// one.
func TestAKeyThatIsNoStringCannotBeRead(t *testing.T) {
	r := records(t, "VALKEY_ADDR")
	do(t, r, "RPUSH", r.Prefix+"list", "x")
	t.Cleanup(func() { do(t, r, "DEL", r.Prefix+"list") })
	if _, err := r.Record(t.Context(), "list"); !errors.Is(err, predecessor.ErrUnreadable) {
		t.Errorf("%v, want ErrUnreadable", err)
	}
}

func TestAServerThatDoesNotAnswerIsAFailure(t *testing.T) {
	r := records(t, "VALKEY_ADDR")
	r.Client.Close()
	_, err := r.Record(t.Context(), "id")
	if err == nil || errors.Is(err, predecessor.ErrNone) || errors.Is(err, predecessor.ErrUnreadable) {
		t.Errorf("Record: %v", err)
	}
	if err := r.Delete(t.Context(), "id"); err == nil {
		t.Error("Delete: nil")
	}
}

// The client may be that of the new store.
func ExampleRecords() {
	var client valkey.Client // the app's
	before := takeover.Gorilla{
		Name:     "mysession",
		KeyPairs: [][]byte{[]byte("open-hash-key-of-a-test")},
		Records:  valkeytakeover.Records{Client: client, Prefix: "session_"},
		Unsigned: true, // what gin-contrib keeps in Redis has no signature
	}
	fmt.Println(before.Records)
	// Output: Records("session_")
}
