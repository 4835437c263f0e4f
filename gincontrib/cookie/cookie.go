// Package cookie has the function of github.com/gin-contrib/sessions/cookie on Cloakroom:
// what that kept in cookies is taken over, and kept in a store on the server from then
// on. Config says in which:
//
//	store := cookie.NewStore([]byte("secret")) // as before
//	store.Config(sessions.Config{
//		Store:       memorystore.New(memorystore.Options{}),
//		Secrets:     []string{os.Getenv("SESSION_SECRET")},
//		Predecessor: sessions.Predecessor{Until: time.Date(2030, 3, 1, 0, 0, 0, 0, time.UTC)},
//	})
package cookie

import sessions "github.com/cloakroom-go/cloakroom/gincontrib"

// Store is [sessions.Store].
type Store = sessions.Store

// NewStore returns a Store that takes over what gin-contrib's cookie store with these keys
// made. They verify and decrypt, and sign nothing. Config.Store, Secrets and, where there
// are keys, Predecessor.Until have to be set by Config.
func NewStore(keyPairs ...[]byte) Store {
	return sessions.NewStore(sessions.Config{}, keyPairs...)
}
