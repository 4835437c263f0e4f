package mongostore

import (
	"bytes"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// The fields of a document, as connect-mongo names them, and one of our own.
const (
	fieldID           = "_id"
	fieldSession      = "session"
	fieldExpires      = "expires"
	fieldLastModified = "lastModified"
	fieldUpdatedAt    = "updatedAt"

	// fieldJSON holds the text of a session whose sub-document does not tell it
	// byte for byte.
	fieldJSON = "sessionJSON"
)

// A content is what a document holds of a session, in one of two forms. It is the
// Token of a record where the data alone does not tell it.
type content struct {
	text   []byte   // the string form: JSON
	object bson.Raw // the object form: the sub-document; nil for the string form
	json   []byte   // beside object: the field sessionJSON, nil where there is none
}

// contentOf returns the content of a document, or false when it has another
// shape. It does not copy.
func contentOf(doc bson.Raw) (content, bool) {
	session, err := doc.LookupErr(fieldSession)
	if err != nil {
		return content{}, false
	}
	switch session.Type {
	case bson.TypeString:
		return content{text: textOf(session)}, true
	case bson.TypeEmbeddedDocument:
		c := content{object: session.Value}
		switch v := doc.Lookup(fieldJSON); v.Type {
		case bson.TypeString:
			c.json = textOf(v)
		case 0, bson.TypeNull: // there is none
		default:
			return content{}, false
		}
		return c, true
	}
	return content{}, false
}

// textOf returns the bytes of a string value, and none of one that has not even the zero
// byte at its end, as a damaged document may.
func textOf(v bson.RawValue) []byte {
	const length, end = 4, 1
	n := len(v.Value)
	if n < length+end {
		return nil
	}
	return v.Value[length : n-end : n-end]
}

// contentOf returns what the store wrote, or loaded, for a record.
func (s *Store) contentOf(rec store.Record) content {
	if c, ok := rec.Token.(content); ok {
		return c
	}
	return s.content(rec.Data, content{})
}

// content returns what the store writes for data in the place of old. Members
// that old has with the same JSON keep their BSON type. What a sub-document
// cannot stand for is kept as a string.
func (s *Store) content(data []byte, old content) content {
	if !s.opts.Objects {
		return content{text: data}
	}
	object, ok := appendObject(make([]byte, 0, len(data)+len(data)/4), data, keeping(old.object))
	if !ok {
		return content{text: data}
	}
	c := content{object: object}
	if !bytes.Equal(appendDocument(make([]byte, 0, len(data)), object), data) {
		c.json = data
	}
	return c
}

// data returns the JSON. The text beside a sub-document is the session as long as
// it says the same: an Express app changes the sub-document alone.
func (c content) data() []byte {
	if c.object == nil {
		return c.text
	}
	data := appendDocument(make([]byte, 0, len(c.object)+len(c.object)/4), c.object)
	if c.json == nil {
		return data
	}
	said, ok := appendObject(nil, c.json, keeping(c.object))
	if ok && bytes.Equal(appendDocument(nil, said), data) {
		return c.json
	}
	return data
}
