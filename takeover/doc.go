// Package takeover reads the sessions of other libraries, so that an app can move to
// Cloakroom while its visitors stay signed in: [Gorilla] for gin-contrib/sessions,
// gorilla/sessions and echo-contrib/session with their stores, [SCS], [Fiber], and
// [CookieSession] for npm's package of that name.
//
// What was stored with encoding/gob is decoded with the types that the app registers
// by gob.Register, as it did before: then the tags of their fields hold. Where one is
// missing, the session is read without: its structs become objects by the names of
// their fields in Go, without those that were zero. So a type that was forgotten logs
// nobody out.
//
// Everything under a name that is a string is kept. What has a name of another type is
// dropped and counted, and so is what JSON cannot hold. Flashes of gorilla are ordinary
// values, such as "_flash".
//
// Nothing is read that is not signed, where the format has a signature, or that does
// not stand in the store of the former library. The keys of the former library only
// verify and decrypt: nothing is signed with them.
package takeover
