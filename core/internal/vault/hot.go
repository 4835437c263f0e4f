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

// readLoaded returns the document of a record that was loaded: the one that was made of the
// same bytes before, where that is remembered. A record that is sealed is read anew each
// time: what is in it is to be in memory for no longer than it is needed.
func (v *Vault) readLoaded(rec store.Record, configured time.Duration) (*record.Document, error) {
	if v.hot == nil || !rec.Shared {
		return v.Read(rec, configured)
	}
	known, at := v.hot.Get(rec.ID)
	if known != nil && areSame(known.Record.Data, rec.Data) && known.IsReadWith(configured) {
		return known, nil
	}
	doc, err := v.Read(rec, configured)
	if err == nil && canBeRecalled(doc) && (known != nil || v.hot.Wants(at)) {
		v.hot.Put(at, doc)
	}
	return doc, err
}

// wrote notes that doc was stored in the place of another one.
func (v *Vault) wrote(doc *record.Document) {
	if v.hot == nil {
		return
	}
	switch known, at := v.hot.Get(doc.Record.ID); {
	case known == nil:
	case canBeRecalled(doc):
		v.hot.Put(at, doc)
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
