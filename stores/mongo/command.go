package mongostore

import (
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/cloakroom-go/cloakroom/core/store"
)

// What the commands of the store have in common, as elements of documents.
var (
	// A document without an expiry never expires, as with connect-mongo, and one
	// whose expiry is no date has expired. The expression is one that servers do
	// not answer from the index on expires: the one on _id is right for every
	// command.
	unexpired = bson.E{Key: "$expr", Value: bson.D{{Key: "$or", Value: bson.A{
		bson.D{{Key: "$eq", Value: bson.A{bson.D{{Key: "$type", Value: "$expires"}}, "missing"}}},
		bson.D{{Key: "$and", Value: bson.A{
			bson.D{{Key: "$eq", Value: bson.A{bson.D{{Key: "$type", Value: "$expires"}}, "date"}}},
			bson.D{{Key: "$gt", Value: bson.A{"$expires", "$$NOW"}}},
		}}},
	}}}}
	liveByServer    = elements(bson.D{unexpired})
	expiredByServer = elements(bson.D{{Key: "$nor", Value: bson.A{bson.D{unexpired}}}})

	extendedIfThere = elements(bson.D{nowIfThere(fieldLastModified)})
	writtenIfThere  = elements(bson.D{nowIfThere(fieldUpdatedAt)})
	nowByServer     = elements(bson.D{{Key: fieldLastModified, Value: "$$NOW"}})
	removeJSON      = elements(bson.D{{Key: fieldJSON, Value: "$$REMOVE"}})
	unsetJSON       = elements(bson.D{{Key: "$unset", Value: bson.D{{Key: fieldJSON, Value: ""}}}})
	noJSON          = elements(bson.D{{Key: fieldJSON, Value: nil}})
)

// nowIfThere sets a date where the document has one of that name.
func nowIfThere(field string) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$cond", Value: bson.A{
		bson.D{{Key: "$eq", Value: bson.A{bson.D{{Key: "$type", Value: "$" + field}}, "missing"}}}, "$$REMOVE", "$$NOW",
	}}}}
}

// overhead is room for what stands around ids and contents in a command.
const overhead = 512

// live appends the condition that a document has not expired.
func (s *Store) live(dst []byte) []byte {
	if !s.opts.AppClock {
		return append(dst, liveByServer...)
	}
	return append(dst, elements(bson.D{s.unexpiredNow()})...)
}

func (s *Store) unexpiredNow() bson.E {
	return bson.E{Key: "$or", Value: bson.A{
		bson.D{{Key: fieldExpires, Value: bson.D{{Key: "$exists", Value: false}}}},
		bson.D{{Key: fieldExpires, Value: bson.D{{Key: "$gt", Value: bson.NewDateTimeFromTime(time.Now())}}}},
	}}
}

// one returns the filter for the live document of an id.
func (s *Store) one(id string) bson.Raw {
	at, dst := begin(make([]byte, 0, len(id)+overhead))
	return end(s.live(appendString(dst, fieldID, id)), at)
}

// with returns the filter for the live document of an id with that content.
func (s *Store) with(id string, c content) bson.Raw {
	at, dst := begin(make([]byte, 0, len(id)+c.size()+overhead))
	dst = appendString(dst, fieldID, id)
	if c.object == nil {
		dst = appendString(dst, fieldSession, c.text)
	} else {
		var eq int
		eq, dst = begin(appendName(dst, bson.TypeEmbeddedDocument, fieldSession))
		dst = append(appendName(dst, bson.TypeEmbeddedDocument, "$eq"), c.object...)
		dst = end(dst, eq)
		if c.json == nil {
			dst = append(dst, noJSON...)
		} else {
			dst = appendString(dst, fieldJSON, c.json)
		}
	}
	return end(s.live(dst), at)
}

// expired returns the filter for the document of an id when it has expired.
func (s *Store) expired(id string) bson.Raw {
	at, dst := begin(make([]byte, 0, len(id)+overhead))
	dst = appendString(dst, fieldID, id)
	if s.opts.AppClock {
		dst = append(dst, elements(bson.D{{Key: "$nor", Value: bson.A{bson.D{s.unexpiredNow()}}}})...)
	} else {
		dst = append(dst, expiredByServer...)
	}
	return end(dst, at)
}

// document returns a new document.
func (s *Store) document(rec store.Record) bson.Raw {
	c := s.content(rec.Data, content{})
	at, dst := begin(make([]byte, 0, len(rec.ID)+c.size()+overhead))
	dst = c.append(appendString(dst, fieldID, rec.ID), plain)
	return end(s.appendTimes(dst, rec.TTL), at)
}

// An update is what changes a document: a document of operators or, where the
// server's clock is asked, a [pipeline].
type update interface{ size() int }

type (
	operators bson.Raw
	pipeline  []byte // a BSON array of stages
)

func (o operators) size() int { return len(o) }
func (p pipeline) size() int  { return len(p) }

// MarshalBSON implements [bson.Marshaler].
func (o operators) MarshalBSON() ([]byte, error) { return o, nil }

// MarshalBSONValue implements [bson.ValueMarshaler].
func (p pipeline) MarshalBSONValue() (typ byte, data []byte, err error) {
	return byte(bson.TypeArray), p, nil
}

// touch returns the update that gives a document the life ttl.
func (s *Store) touch(ttl time.Duration) update { return s.change(nil, false, ttl) }

// put returns the update that puts a content in the place of old.
func (s *Store) put(c, old content, ttl time.Duration) update {
	return s.change(&c, old.json != nil && c.json == nil, ttl)
}

// change returns the update to a content, where there is one, and a life. The
// field sessionJSON is removed where it is surplus. With [store.KeepTTL] expires and
// lastModified stay: by the latter an Express app with touchAfter tells whether the
// session was lately extended. updatedAt, which an Express app has with timestamps, is
// when the document was last written, as far as the server's clock is asked.
func (s *Store) change(c *content, surplus bool, ttl time.Duration) update {
	if s.opts.AppClock {
		return s.byApp(c, surplus, ttl)
	}
	return s.byServer(c, surplus, ttl)
}

func (s *Store) byServer(c *content, surplus bool, ttl time.Duration) pipeline {
	stages, dst := begin(make([]byte, 0, c.size()+overhead))
	stage, dst := begin(appendName(dst, bson.TypeEmbeddedDocument, "0"))
	set, dst := begin(appendName(dst, bson.TypeEmbeddedDocument, "$set"))
	if c != nil {
		dst = c.append(dst, literal)
	}
	if surplus {
		dst = append(dst, removeJSON...)
	}
	if ttl != store.KeepTTL {
		var expires, add int
		expires, dst = begin(appendName(dst, bson.TypeEmbeddedDocument, fieldExpires))
		add, dst = begin(appendName(dst, bson.TypeArray, "$add"))
		dst = appendString(dst, "0", "$$NOW")
		dst = appendInt(appendName(dst, bson.TypeInt64, "1"), milliseconds(ttl))
		dst = end(end(dst, add), expires)
		if s.opts.TouchAfter {
			dst = append(dst, nowByServer...)
		} else {
			dst = append(dst, extendedIfThere...)
		}
	}
	dst = append(dst, writtenIfThere...)
	return end(end(end(dst, set), stage), stages)
}

func (s *Store) byApp(c *content, surplus bool, ttl time.Duration) operators {
	at, dst := begin(make([]byte, 0, c.size()+overhead))
	set, dst := begin(appendName(dst, bson.TypeEmbeddedDocument, "$set"))
	if c != nil {
		dst = c.append(dst, plain)
	}
	if ttl != store.KeepTTL {
		dst = s.appendTimes(dst, ttl)
	}
	dst = end(dst, set)
	if surplus {
		dst = append(dst, unsetJSON...)
	}
	return end(dst, at)
}

// appendTimes appends the fields that depend on the clock of this machine.
func (s *Store) appendTimes(dst []byte, ttl time.Duration) []byte {
	now := time.Now().UnixMilli()
	dst = appendDate(dst, fieldExpires, now+milliseconds(ttl))
	if s.opts.TouchAfter {
		dst = appendDate(dst, fieldLastModified, now)
	}
	return dst
}

// A notation is how a value is written: as it is or, where the server would take
// a string with a $ in it for an expression, in $literal.
type notation bool

const (
	plain   notation = false
	literal notation = true
)

// append appends the fields of a content.
func (c content) append(dst []byte, how notation) []byte {
	if c.object == nil {
		return how.appendString(dst, fieldSession, c.text)
	}
	dst = how.appendObject(dst, fieldSession, c.object)
	if c.json != nil {
		dst = how.appendString(dst, fieldJSON, c.json)
	}
	return dst
}

func (how notation) appendString(dst []byte, name string, text []byte) []byte {
	if how == plain {
		return appendString(dst, name, text)
	}
	at, dst := begin(appendName(dst, bson.TypeEmbeddedDocument, name))
	return end(appendString(dst, "$literal", text), at)
}

func (how notation) appendObject(dst []byte, name string, object bson.Raw) []byte {
	if how == plain {
		return append(appendName(dst, bson.TypeEmbeddedDocument, name), object...)
	}
	at, dst := begin(appendName(dst, bson.TypeEmbeddedDocument, name))
	return end(append(appendName(dst, bson.TypeEmbeddedDocument, "$literal"), object...), at)
}

func (c *content) size() int {
	if c == nil {
		return 0
	}
	return len(c.text) + len(c.object) + len(c.json)
}

// milliseconds rounds up: a life is never cut to none.
func milliseconds(d time.Duration) int64 {
	return int64(d/time.Millisecond) + min(1, int64(d%time.Millisecond))
}
