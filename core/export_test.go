package core

// Sign returns the value of the cookie for a session id.
func Sign(secret, id string) string { return newSigner([]string{secret}).sign(id) }

// Verify returns the id in the value of a cookie.
func Verify(secrets []string, value string) (id string, outdated, ok bool) {
	return newSigner(secrets).verify(value)
}
