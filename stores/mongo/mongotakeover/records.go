// Package mongotakeover reads the sessions that another library keeps in MongoDB, so that
// package takeover can take them over: those of gin-contrib/sessions (mongo/mongodriver),
// those of scs and those of Fiber.
package mongotakeover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/cloakroom-go/cloakroom/core/predecessor"
	"github.com/cloakroom-go/cloakroom/takeover"
)

// Records are the documents of a collection. The zero value of the fields is what
// gin-contrib's mongodriver writes; for the others they are
//
//	scs    ID: "token", Data: "object", Expires: "expiration"
//	Fiber  ID: "key",   Data: "value",  Expires: "exp"
type Records struct {
	// Collection is the former library's, by the app's client. It should read from the
	// primary: a replica may have a session still that has ended.
	Collection *mongo.Collection

	// ID is the field that has the id: "_id" if empty.
	ID string

	// Data is the field that has the data, as a string or as binary: "data" if empty.
	Data string

	// Expires is the field that has the time at which the session ends, as a date or,
	// with scs, in nanoseconds since 1970. Empty: there is none, and the age of what is
	// signed is the limit.
	Expires string
}

var _ takeover.Records = Records{}

// Record implements [takeover.Records]. A document without data is a record that
// cannot be read.
func (r Records) Record(ctx context.Context, id string) (takeover.Record, error) {
	doc, err := r.Collection.FindOne(ctx, r.with(id), options.FindOne().SetProjection(r.fields())).Raw()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return takeover.Record{}, predecessor.ErrNone
	} else if err != nil {
		return takeover.Record{}, err
	}
	var rec takeover.Record
	data := doc.Lookup(r.data())
	if text, ok := data.StringValueOK(); ok {
		rec.Data = []byte(text)
	} else if _, rec.Data, ok = data.BinaryOK(); !ok {
		return takeover.Record{}, predecessor.ErrUnreadable
	}
	if r.Expires == "" {
		return rec, nil
	}
	end := doc.Lookup(r.Expires)
	if at, ok := end.TimeOK(); ok {
		rec.Expires = at
	} else if nanoseconds, ok := end.Int64OK(); ok {
		rec.Expires = time.Unix(0, nanoseconds)
	}
	return rec, nil
}

// Delete implements [takeover.Records].
func (r Records) Delete(ctx context.Context, id string) error {
	_, err := r.Collection.DeleteOne(ctx, r.with(id))
	return err
}

// Format implements [fmt.Formatter]: the fields are printed, and nothing of the client.
func (r Records) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "Records(%q, %q)", r.id(), r.data())
}

func (r Records) id() string   { return cmp.Or(r.ID, "_id") }
func (r Records) data() string { return cmp.Or(r.Data, "data") }

// with is the filter for an id, which a string is in all of these: what a cookie says is
// never an operator.
func (r Records) with(id string) bson.D { return bson.D{{Key: r.id(), Value: id}} }

func (r Records) fields() bson.D {
	fields := bson.D{{Key: r.data(), Value: 1}}
	if r.Expires != "" {
		fields = append(fields, bson.E{Key: r.Expires, Value: 1})
	}
	return fields
}
