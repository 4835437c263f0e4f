package doctor

import (
	"errors"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

func (e *examination) mongo() {
	admin := e.Mongo.Database().Client().Database("admin")
	e.mongoVersion(admin)
	e.mongoServer(admin)
	lists := e.Mongo.Database().Collection(e.Mongo.Name() + "_users")
	for _, coll := range []*mongo.Collection{e.Mongo, lists} {
		e.index(coll)
		e.expired(coll)
	}
	e.collation()
	e.foreignDocuments()
}

func (e *examination) mongoVersion(admin *mongo.Database) {
	const check = "version"
	var info struct {
		Version  string
		FerretDB bson.M `bson:"ferretdb"`
	}
	if err := admin.RunCommand(e.ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info); err != nil {
		e.unknown(check, "buildInfo", err)
		return
	}
	switch v := parseVersion(info.Version); {
	case info.FerretDB != nil:
		e.find(OK, check, "give the sessions a client of their own: see docs/mongo.md, Other servers", "FerretDB, as MongoDB %s", info.Version)
	case v.before(4, 4):
		e.find(Failure, check, "upgrade", "MongoDB %s is older than what Cloakroom works with (4.4)", info.Version)
	default:
		e.find(OK, check, "", "MongoDB %s", info.Version)
	}
}

// mongoServer looks at what a server says of itself: its clock, its replica set, and
// whether it removes what has expired.
func (e *examination) mongoServer(admin *mongo.Database) {
	var hello struct {
		Now     time.Time `bson:"localTime"`
		SetName string    `bson:"setName"`
		Msg     string    `bson:"msg"`
		Hosts   []string  `bson:"hosts"`
	}
	e.clock("hello", func() (time.Time, error) {
		err := admin.RunCommand(e.ctx, bson.D{{Key: "hello", Value: 1}}).Decode(&hello)
		return hello.Now, err
	})
	switch {
	case hello.Msg == "isdbgrid": // a router, whose shards are replica sets
	case hello.SetName == "":
		e.find(Note, "replica set", "", "the server is no member of a replica set: while it is down, requests get 503")
	case len(hello.Hosts) == 2:
		e.find(Warning, "replica set", "take three members that hold data", "the replica set has two members that hold data: while one is down, no write is confirmed, and requests that write get 503")
	}
	var parameter struct {
		Enabled *bool `bson:"ttlMonitorEnabled"`
	}
	err := admin.RunCommand(e.ctx, bson.D{{Key: "getParameter", Value: 1}, {Key: "ttlMonitorEnabled", Value: 1}}).Decode(&parameter)
	if err == nil && parameter.Enabled != nil && !*parameter.Enabled {
		e.find(Failure, "ttl job", "db.adminCommand({ setParameter: 1, ttlMonitorEnabled: true })", "ttlMonitorEnabled is false: nothing removes what has expired")
	}
}

// index looks for the index by which the server removes what has expired.
func (e *examination) index(coll *mongo.Collection) {
	const check = "index"
	const do = "call Store.EnsureIndexes at a deployment, or: db.%s.createIndex({ expires: 1 }, { expireAfterSeconds: 0 })"
	cursor, err := coll.Indexes().List(e.ctx)
	var indexes []struct {
		Key   bson.D
		After *int32 `bson:"expireAfterSeconds"`
	}
	if err == nil {
		err = cursor.All(e.ctx, &indexes)
	}
	var missing mongo.CommandError
	const namespaceNotFound = 26
	if err != nil && (!errors.As(err, &missing) || missing.Code != namespaceNotFound) {
		e.unknown(check, "listIndexes", err)
		return
	}
	for _, index := range indexes {
		if len(index.Key) != 1 || index.Key[0].Key != "expires" || index.After == nil {
			continue
		}
		if *index.After != 0 {
			e.find(Failure, check, "drop that index, and call Store.EnsureIndexes", "the index of %s removes what has expired %d seconds late", coll.Name(), *index.After)
			return
		}
		e.find(OK, check, "", "%s has the index by which the server removes what has expired", coll.Name())
		return
	}
	level := Failure
	if len(indexes) == 0 { // there is no collection yet
		level = Warning
	}
	e.find(level, check, fmt.Sprintf(do, coll.Name()), "%s has no index on expires with expireAfterSeconds 0: what has expired stays for good", coll.Name())
}

// late is how long the server may take to remove what has expired.
const late = 10 * time.Minute

// expired looks whether the server does remove what has expired.
func (e *examination) expired(coll *mongo.Collection) {
	const enough = 10_000
	filter := bson.D{{Key: "expires", Value: bson.D{{Key: "$lt", Value: e.o.Now().Add(-late)}}}}
	n, err := coll.CountDocuments(e.ctx, filter, options.Count().SetLimit(enough))
	if err == nil && n > 0 {
		e.find(Failure, "ttl job", "see whether the index is there, and whether the server's TTL monitor runs (db.serverStatus().metrics.ttl; with FerretDB the job of DocumentDB in PostgreSQL)",
			"%d documents of %s expired more than %v ago and are still there: nobody can use them, and they take room", n, coll.Name(), late)
	}
}

// collation looks whether ids are compared as they are.
func (e *examination) collation() {
	specs, err := e.Mongo.Database().ListCollectionSpecifications(e.ctx, bson.D{{Key: "name", Value: e.Mongo.Name()}})
	if err != nil || len(specs) != 1 {
		return
	}
	if _, err := specs[0].Options.LookupErr("collation"); err == nil {
		e.find(Failure, "collation", "make a collection without one, and copy the sessions there", "the collection has a collation of its own: ids that differ in case may be taken for one another")
	}
}

// foreignDocuments looks for what is no session.
func (e *examination) foreignDocuments() {
	const enough = 10_000
	no := bson.D{{Key: "session", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$type", Value: bson.A{"string", "object"}}}}}}}
	n, err := e.Mongo.CountDocuments(e.ctx, no, options.Count().SetLimit(enough))
	if err == nil && n > 0 {
		e.find(Failure, "foreign records", "see what writes there, and give it another collection", "%d documents of the collection are no sessions: another program writes there", n)
	}
}
