package mongostore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/cloakroom-go/cloakroom/core"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// A router says that it is mongos, and that it has no documents. It is there to
// see what is sent to one: the driver tells a single server no read preference.
type router struct{}

func (router) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		for serve(far) == nil {
		}
	}()
	return near, nil
}

// serve answers one message of the protocol, an OP_MSG.
func serve(c net.Conn) error {
	const header, flags = 16, 4
	head := make([]byte, header)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.LittleEndian.Uint32(head))-header); err != nil {
		return err
	}
	doc, err := bson.Marshal(bson.D{
		{Key: "ok", Value: 1},
		{Key: "isWritablePrimary", Value: true},
		{Key: "msg", Value: "isdbgrid"},
		{Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48 << 20},
		{Key: "maxWriteBatchSize", Value: 1000},
		{Key: "n", Value: 0},
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "app.sessions"}, {Key: "firstBatch", Value: bson.A{}}}},
	})
	if err != nil {
		return err
	}
	reply := make([]byte, header+flags+1, header+flags+1+len(doc)) // no flags, and one section of kind 0
	reply = append(reply, doc...)
	binary.LittleEndian.PutUint32(reply, uint32(len(reply))) //nolint:gosec // some hundred bytes
	copy(reply[8:], head[4:8])                               // to which request
	copy(reply[12:], head[12:])                              // OP_MSG
	_, err = c.Write(reply)
	return err
}

func TestReadsGoToThePrimary(t *testing.T) {
	var r recorder
	client, err := mongo.Connect(r.options(), options.Client().ApplyURI("mongodb://router").SetDialer(router{}).
		SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1)). // no OP_QUERY
		SetReadPreference(readpref.SecondaryPreferred()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Disconnect(context.Background()) }()
	c := client.Database("app").Collection("sessions")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	preference := func(doc bson.Raw) string {
		mode, _ := doc.Lookup("$readPreference", "mode").StringValueOK()
		return mode
	}

	// What the app does itself goes as it wants.
	if err := c.FindOne(ctx, bson.D{}).Err(); !errors.Is(err, mongo.ErrNoDocuments) {
		t.Fatal(err)
	}
	if commands, names := r.sent(); names != "find" || preference(commands[0]) != "secondaryPreferred" {
		t.Fatalf("the app sent %v, want a read that a secondary may answer", commands)
	}

	s := open(t, c, mongostore.Options{})
	for _, s := range []core.Store{s, s.UserIndex()} {
		for verb, err := range map[string]error{
			"Load":   errorOf(s.Load(ctx, "id")),
			"Update": s.Update(ctx, record("id", "first"), record("id", "second")),
			"Touch":  s.Touch(ctx, "id", time.Hour),
		} {
			if !errors.Is(err, core.ErrNotFound) {
				t.Errorf("%s returned %v, want ErrNotFound", verb, err)
			}
		}
		if err := s.Delete(ctx, "id"); err != nil {
			t.Errorf("Delete returned %v", err)
		}
	}
	for _, err := range s.All(ctx) {
		t.Errorf("All yielded %v", err)
	}
	if err := errors.Join(errorOf(s.Count(ctx)), errorOf(s.Inspect(ctx, []string{"id"}))); err != nil {
		t.Error(err)
	}
	commands, names := r.sent()
	const each = "find update find update find delete find"
	if names != each+" "+each+" find aggregate find" {
		t.Errorf("the store sent %q, want what the verbs are made of", names)
	}
	for _, command := range commands {
		if mode := preference(command); mode != "" {
			t.Errorf("the store prefers %q: %v", mode, command)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
