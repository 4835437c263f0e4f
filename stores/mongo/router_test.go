package mongostore_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"github.com/cloakroom-go/cloakroom/core/store"
	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// A router says that it is mongos, and that it has no documents. It is there for
// what the driver does not do with a single server: that is told no read
// preference, and no write is sent to it again.
type router struct {
	answer func(command string) bson.D // in place of that, where it is not nil
}

func (r router) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		for r.serve(far) == nil {
		}
	}()
	return near, nil
}

// serve answers one message of the protocol, an OP_MSG.
func (r router) serve(c net.Conn) error {
	const header, flags = 16, 4
	head := make([]byte, header)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	body := make([]byte, binary.LittleEndian.Uint32(head)-header)
	if _, err := io.ReadFull(c, body); err != nil {
		return err
	}
	command, err := bson.Raw(body[flags+1:]).IndexErr(0)
	if err != nil {
		return err
	}
	answer := bson.D{
		{Key: "ok", Value: 1},
		{Key: "isWritablePrimary", Value: true},
		{Key: "msg", Value: "isdbgrid"},
		{Key: "minWireVersion", Value: 0},
		{Key: "maxWireVersion", Value: 21},
		{Key: "maxBsonObjectSize", Value: 16 << 20},
		{Key: "maxMessageSizeBytes", Value: 48 << 20},
		{Key: "maxWriteBatchSize", Value: 1000},
		{Key: "logicalSessionTimeoutMinutes", Value: 30},
		{Key: "n", Value: 0},
		{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "app.sessions"}, {Key: "firstBatch", Value: bson.A{}}}},
	}
	if r.answer != nil {
		if other := r.answer(command.Key()); other != nil {
			answer = other
		}
	}
	doc, err := bson.Marshal(answer)
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

// collection returns a collection at the router.
func (r router) collection(t *testing.T, o *options.ClientOptions) *mongo.Collection {
	t.Helper()
	client, err := mongo.Connect(o.ApplyURI("mongodb://router").SetDialer(r).SetServerAPIOptions(options.ServerAPI(options.ServerAPIVersion1))) // no OP_QUERY
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Disconnect(context.Background()) })
	return client.Database("app").Collection("sessions")
}

func TestReadsGoToThePrimary(t *testing.T) {
	var r recorder
	c := router{}.collection(t, r.options().SetReadPreference(readpref.SecondaryPreferred()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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
	for _, s := range []store.Store{s, s.UserIndex()} {
		for verb, err := range map[string]error{
			"Load":   errorOf(s.Load(ctx, "id")),
			"Update": s.Update(ctx, record("id", "first"), record("id", "second")),
			"Touch":  s.Touch(ctx, "id", time.Hour),
		} {
			if !errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s returned %v, want ErrNotFound", verb, err)
			}
		}
		if err := s.Delete(ctx, "id"); err != nil {
			t.Errorf("Delete returned %v", err)
		}
		if err := s.(store.Remover).Remove(ctx, record("id", "first")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Remove returned %v, want ErrNotFound", err)
		}
	}
	for _, err := range s.All(ctx) {
		t.Errorf("All yielded %v", err)
	}
	if err := errors.Join(errorOf(s.Count(ctx)), errorOf(s.Inspect(ctx, []string{"id"}))); err != nil {
		t.Error(err)
	}
	commands, names := r.sent()
	const each = "find update find update find delete find delete find"
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

// What is said in a failover: once, which the driver gets over, and until the time
// is over.
func TestAWriteInAFailover(t *testing.T) {
	const id = "id-of-a-session"
	stored := bson.D{{Key: "ok", Value: 1}, {Key: "n", Value: 1}}
	for name, code := range map[string]int{
		"primary steps down":               189,
		"primary steps down in the middle": 11602,
		"not the primary":                  10107,
		"shutdown":                         91,
	} {
		refusal := bson.D{
			{Key: "ok", Value: 0},
			{Key: "code", Value: code},
			{Key: "errmsg", Value: id},
			{Key: "errorLabels", Value: bson.A{"RetryableWriteError"}},
		}
		for often, times := range map[string]int32{"once": 1, "again and again": math.MaxInt32} {
			t.Run(name+", "+often, func(t *testing.T) {
				t.Parallel()
				var (
					r    recorder
					said atomic.Int32
				)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // until which the driver asks again
				defer cancel()
				s := open(t, router{func(command string) bson.D {
					switch {
					case command != "update":
						return nil
					case said.Add(1) > times:
						return stored
					case said.Load() > 3: // often enough
						cancel()
					}
					return refusal
				}}.collection(t, r.options()), mongostore.Options{})
				err := s.Update(ctx, record(id, "first"), record(id, "second"))
				commands, names := r.sent()
				if times == 1 {
					if err != nil || names != "update update" || commands[0].Lookup("txnNumber").AsInt64() != commands[1].Lookup("txnNumber").AsInt64() {
						t.Errorf("Update sent %v and returned %v, want the same write twice", commands, err)
					}
					return
				}
				var failure *store.Error
				if !errors.As(err, &failure) || failure.Outcome != store.OutcomeUnknown || strings.Contains(err.Error(), id) {
					t.Errorf("Update returned %v, want a store.Error with an unknown outcome", err)
				}
			})
		}
	}
	t.Run("no majority", func(t *testing.T) {
		var r recorder
		s := open(t, router{func(command string) bson.D {
			if command != "update" {
				return nil
			}
			return append(slices.Clone(stored), bson.E{Key: "writeConcernError", Value: bson.D{{Key: "code", Value: 64}, {Key: "errmsg", Value: id}}})
		}}.collection(t, r.options()), mongostore.Options{})
		err := s.Update(t.Context(), record(id, "first"), record(id, "second"))
		var failure *store.Error
		if !errors.As(err, &failure) || failure.Outcome != store.OutcomeUnknown || !strings.Contains(failure.Class, "not confirmed") || strings.Contains(err.Error(), id) {
			t.Errorf("Update returned %v, want an unknown outcome: not confirmed", err)
		}
	})
}
