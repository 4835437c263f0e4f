package vault

// Remembers reports whether a Vault remembers what was read in the record under key.
func (v *Vault) Remembers(key string) bool {
	if v.hot == nil {
		return false
	}
	doc, _ := v.hot.Get(key)
	return doc != nil
}
