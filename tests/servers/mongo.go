package servers

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A Mongo is a private server that speaks MongoDB's protocol: a replica set of
// one, or FerretDB. What it acknowledged survives Kill.
type Mongo struct {
	Process
}

// StartMongo starts a server by the program that MONGO_SERVER names, with these
// of mongod's options on its command line, and returns when it takes writes.
func StartMongo(tb testing.TB, options ...string) *Mongo {
	tb.Helper()
	program := Env(tb, "MONGO_SERVER")
	port := strconv.Itoa(FreePort(tb))
	s := &Mongo{Process{Addr: net.JoinHostPort("127.0.0.1", port), Dir: tempDir(tb), tb: tb, last: syscall.SIGTERM}} // PostgreSQL has shared memory to give back
	db := filepath.Join(s.Dir, "db")
	if err := os.Mkdir(db, 0o700); err != nil {
		tb.Fatal(err)
	}
	s.answers = s.ready
	s.command = append([]string{
		program, "--port", port, "--bind_ip", "127.0.0.1", "--dbpath", db, "--replSet", "test", "--wiredTigerCacheSizeGB", "0.25",
		"--setParameter", "enableTestCommands=1", // fail points
		"--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
	}, options...)
	s.run()
	return s
}

// URI returns how a client reaches the server.
func (s *Mongo) URI() string { return "mongodb://" + s.Addr + "/" }

// ready reports whether the server takes writes. A member of a replica set that
// does not exist yet makes one of itself.
func (s *Mongo) ready() error {
	hello, err := s.Do(bson.D{{Key: "hello", Value: 1}})
	switch {
	case err != nil:
		return err
	case hello["isWritablePrimary"] == true:
		return nil
	case hello["isreplicaset"] == true:
		_, err = s.Do(bson.D{{Key: "replSetInitiate", Value: bson.D{
			{Key: "_id", Value: "test"},
			{Key: "members", Value: bson.A{bson.D{{Key: "_id", Value: 0}, {Key: "host", Value: s.Addr}}}},
		}}})
	}
	return errors.Join(errors.New("it is not the primary yet"), err)
}

// ReplicaSet reports whether the server is a member of a replica set, which MongoDB
// is and FerretDB is not.
func (s *Mongo) ReplicaSet() bool {
	s.tb.Helper()
	hello, err := s.Do(bson.D{{Key: "hello", Value: 1}})
	if err != nil {
		s.tb.Fatalf("hello: %v", err)
	}
	return hello["setName"] != nil
}

// Do runs a command on the database admin, over a connection for this.
func (s *Mongo) Do(command bson.D) (bson.M, error) {
	return DoMongo(options.Client().ApplyURI(s.URI()).SetDirect(true).SetServerSelectionTimeout(Patience/10), command)
}

// DoMongo runs a command on the database admin, with a client for this.
func DoMongo(option *options.ClientOptions, command bson.D) (bson.M, error) {
	client, err := mongo.Connect(option)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	defer func() { _ = client.Disconnect(ctx) }() // it was for this command
	var reply bson.M
	err = client.Database("admin").RunCommand(ctx, command).Decode(&reply)
	return reply, err
}
