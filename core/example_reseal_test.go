package core_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/cloakroom-go/cloakroom/core"
)

// A job that an operator runs when the new key is the first on every instance. The command
// cloakroom does the same: see docs/operating.md.
func ExampleManager_Reseal() {
	m, err := core.New(core.Config{
		Store:    &walkable{userStore: newUserStore()},       // the app's
		Secrets:  []string{strings.Repeat("any secret ", 4)}, // none is needed for this
		SealKeys: []string{newKey, oldKey},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for done, err := range m.Reseal(ctx) {
		if err != nil {
			log.Fatal(err) // the next run goes on from here
		}
		fmt.Printf("%d records were looked at, %d were sealed anew\n", done.Looked, done.Written)
	}
	survey, err := m.Survey(ctx, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(survey.Sessions.FormerKey, "are left under another key")
	// Output:
	// 0 records were looked at, 0 were sealed anew
	// 0 are left under another key
}
