package vault

import (
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/record"
	"github.com/cloakroom-go/cloakroom/core/store"
)

// What was read in records that come again and again. A store in memory hands out the
// same bytes each time, to which nobody writes: see [store.Record]. So what is
// remembered holds for as long as these very bytes come, whatever else happened
// meanwhile, and there is nothing to keep up to date. What is forgotten is forgotten for
// the sake of memory, and so that nothing of a session stays that has ended.

// recall returns the document of a record whose bytes were read before, or nil.
func (v *Vault) recall(rec store.Record, configured time.Duration) *record.Document {
	if v.hot == nil || !rec.Shared {
		return nil
	}
	doc := v.hot.Get(rec.ID)
	if doc == nil || !areSame(doc.Record.Data, rec.Data) || !doc.IsReadWith(configured) {
		return nil
	}
	return doc
}

// remember notes what was read in a record that was loaded. One that is sealed is read
// anew each time: what is in it is to be in memory for no longer than it is needed.
func (v *Vault) remember(doc *record.Document) {
	if v.hot != nil && canBeRecalled(doc) && v.hot.Wants(doc.Record.ID) {
		v.hot.Put(doc)
	}
}

// wrote notes that doc was stored in the place of another one.
func (v *Vault) wrote(doc *record.Document) {
	switch {
	case v.hot == nil || v.hot.Get(doc.Record.ID) == nil:
	case canBeRecalled(doc):
		v.hot.Put(doc)
	default:
		v.hot.Drop(doc.Record.ID)
	}
}

// forget forgets what was read in the record under key.
func (v *Vault) forget(key string) {
	if v.hot != nil {
		v.hot.Drop(key)
	}
}

// Forget forgets what was read in all records. It is for who has removed them past this
// Vault.
func (v *Vault) Forget() {
	if v.hot != nil {
		v.hot.Clear()
	}
}

// canBeRecalled reports whether a document is all that there is to know of its record.
func canBeRecalled(doc *record.Document) bool {
	return doc.IsWhole() && doc.Record.Shared && doc.Record.Token == nil && areSame(doc.Text, doc.Record.Data) && !doc.Meta.IsRetired()
}

// areSame reports whether a and b are the same bytes in memory, and not just equal ones.
func areSame(a, b []byte) bool {
	return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0]
}
