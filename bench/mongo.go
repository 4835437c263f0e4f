package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	ginmongo "github.com/gin-contrib/sessions/mongo/mongodriver"
	mongov1 "go.mongodb.org/mongo-driver/mongo"
	optionsv1 "go.mongodb.org/mongo-driver/mongo/options"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	driveroptions "go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// mongoDatabase is where everybody keeps the sessions.
const mongoDatabase = "cloakroom_bench"

// openMongo returns a collection of a client of its own.
func openMongo(s *servers, collection string) (*mongo.Collection, func(), error) {
	client, err := mongo.Connect(driveroptions.Client().ApplyURI(s.mongo))
	if err != nil {
		return nil, nil, err
	}
	closed := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(ctx) // what is still under way is given up
	}
	return client.Database(mongoDatabase).Collection(collection), closed, nil
}

// mongoRecords is the driver as its manual has it, with the operations that a
// session needs: the server's clock decides what has expired, and a write is
// confirmed by the majority.
type mongoRecords struct{ collection *mongo.Collection }

func openMongoFloor(_ context.Context, s *servers) (*app, error) {
	collection, closed, err := openMongo(s, "floor")
	if err != nil {
		return nil, err
	}
	return floorApp(mongoRecords{collection.Clone(driveroptions.Collection().SetWriteConcern(writeconcern.Majority()))}, closed), nil
}

type mongoRecord struct {
	ID      string    `bson:"_id"`
	Session string    `bson:"session"`
	Expires time.Time `bson:"expires"`
}

// liveMongo is the filter for a document that has not expired.
func liveMongo(id string) bson.D {
	return bson.D{
		{Key: "_id", Value: id},
		{Key: "$expr", Value: bson.D{{Key: "$gt", Value: bson.A{"$expires", "$$NOW"}}}},
	}
}

func (m mongoRecords) get(ctx context.Context, id string) ([]byte, error) {
	var found mongoRecord
	err := m.collection.FindOne(ctx, liveMongo(id)).Decode(&found)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil, nil
	}
	return []byte(found.Session), err
}

func (m mongoRecords) latest(ctx context.Context, id string) ([]byte, error) { return m.get(ctx, id) }

func (m mongoRecords) create(ctx context.Context, id string, record []byte) error {
	_, err := m.collection.InsertOne(ctx, mongoRecord{id, string(record), time.Now().Add(floorLife * time.Second)})
	return err
}

func (m mongoRecords) set(ctx context.Context, id string, _, record []byte) error {
	result, err := m.collection.UpdateOne(ctx, liveMongo(id), mongo.Pipeline{{{Key: "$set", Value: bson.D{
		{Key: "session", Value: bson.D{{Key: "$literal", Value: string(record)}}},
		{Key: "expires", Value: bson.D{{Key: "$add", Value: bson.A{"$$NOW", floorLife * 1000}}}},
	}}}})
	if err == nil && result.MatchedCount == 0 {
		err = errNoSession
	}
	return err
}

func (m mongoRecords) move(ctx context.Context, old, id string, record []byte) error {
	if err := m.create(ctx, id, record); err != nil {
		return err
	}
	_, err := m.collection.DeleteOne(ctx, bson.D{{Key: "_id", Value: old}})
	return err
}

// openGinMongo is gin-contrib/sessions with the driver that it has, which its
// makers no longer develop.
func openGinMongo(ctx context.Context, s *servers) (*app, error) {
	client, err := mongov1.Connect(ctx, optionsv1.Client().ApplyURI(s.mongo))
	if err != nil {
		return nil, err
	}
	closed := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = client.Disconnect(ctx) // what is still under way is given up
	}
	return ginContrib(ginmongo.NewStore(client.Database(mongoDatabase).Collection("gin"), 86400, false, []byte(secret)), closed), nil
}

func mongoVersion(ctx context.Context, s *servers) (f fact, err error) {
	collection, closed, err := openMongo(s, "none")
	if err != nil {
		return f, err
	}
	defer closed()
	var info struct {
		Version  string
		FerretDB struct{ Version string } `bson:"ferretdb"`
	}
	if err := collection.Database().RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		return f, fmt.Errorf("buildInfo: %w", err)
	}
	if v := info.FerretDB.Version; v != "" {
		return fact{"MongoDB's protocol", "FerretDB " + v + " on PostgreSQL"}, nil
	}
	return fact{"MongoDB", info.Version}, nil
}
