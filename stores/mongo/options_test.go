package mongostore

import (
	"testing"
	"time"
)

func TestTheDatabaseOfAURI(t *testing.T) {
	for uri, want := range map[string]string{
		"mongodb://host":      "test",
		"mongodb://host/":     "test",
		"mongodb://host/?w=1": "test",
		"mongodb://host/app":  "app",
		"mongodb://user:pa%2Fss@a:1,b:2,c:3/my%20app?w=1&x=/y": "my app",
		"mongodb://%2Ftmp%2Fmongodb.sock/app":                  "app",
		"mongodb+srv://host.example.com/app":                   "app",
	} {
		if got := databaseOf(uri); got != want {
			t.Errorf("the database of %s is %q, want %q", uri, got, want)
		}
	}
}

func TestOpenGivesUpOnAConnectionInTime(t *testing.T) {
	for uri, want := range map[string]time.Duration{
		"mongodb://host":                        5 * time.Second,
		"mongodb://host/?connectTimeoutMS=7000": 7 * time.Second,
	} {
		if got := clientOptions(uri).ConnectTimeout; got == nil || *got != want {
			t.Errorf("the limit of %s is %v, want %v", uri, got, want)
		}
	}
}
