package record

import (
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// Whose max age a record has: Express loses a millisecond now and then when it writes
// one, which is no other max age, but a second and more is, and none is another than a
// short one.
func TestWhoseMaxAgeARecordHas(t *testing.T) {
	const hour = 3_600_000 // ms
	for _, tt := range []struct {
		name       string
		found      int // originalMaxAge, in ms; 0: null
		written    int // by this process: maxAge of __cloakroom; -1: the member is not there
		own        bool
		configured time.Duration
		want       Age
	}{
		{"as written", hour, hour, false, time.Hour, Age{Max: time.Hour}},
		{"as written, configured otherwise since", hour, hour, false, 2 * time.Hour, Age{Max: 2 * time.Hour}},
		{"its own", 60_000, 60_000, true, time.Hour, Age{Own: true, Max: time.Minute}},
		{"a second less", hour - 1000, hour, false, time.Hour, Age{Max: time.Hour}},
		{"a second more", hour + 1000, hour, false, time.Hour, Age{Max: time.Hour}},
		{"more than a second less", hour - 1001, hour, false, time.Hour, Age{Own: true, Max: time.Hour - 1001*time.Millisecond}},
		{"more than a second more", hour + 1001, hour, false, time.Hour, Age{Own: true, Max: time.Hour + 1001*time.Millisecond}},
		{"a short one in place of none", 500, 0, false, 0, Age{Own: true, Max: 500 * time.Millisecond}},
		{"none in place of a short one", 0, 500, true, time.Hour, Age{Own: true}},
		{"none", 0, 0, false, 0, Age{}},

		{"made by Express, as configured", hour, -1, false, time.Hour, Age{Max: time.Hour}},
		{"made by Express, a second less", hour - 1000, -1, false, time.Hour, Age{Max: time.Hour}},
		{"made by Express, more than a second less", hour - 1001, -1, false, time.Hour, Age{Own: true, Max: time.Hour - 1001*time.Millisecond}},
		{"made by Express, a short one where none is configured", 500, -1, false, 0, Age{Own: true, Max: 500 * time.Millisecond}},
		{"made by Express, none", 0, -1, false, time.Hour, Age{Max: time.Hour}},
	} {
		found, meta := "null", ""
		if tt.found > 0 {
			found = fmt.Sprint(tt.found)
		}
		if tt.written >= 0 {
			m := Meta{Created: 1, Age: Age{Own: tt.own, Max: time.Duration(tt.written) * time.Millisecond}}
			meta = `,"__cloakroom":` + string(m.Append(nil))
		}
		text := `{"cookie":{"originalMaxAge":` + found + `}` + meta + `}`
		d, err := new(Parser).Parse(store.Record{}, []byte(text), tt.configured)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if d.Age != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, d.Age, tt.want)
		}
	}
}
