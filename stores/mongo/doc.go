// Package mongostore keeps sessions in MongoDB 4.4 and newer, or in another server
// that speaks its protocol. It is the store for an app of which several instances
// run and that has such a database already.
//
//	client, err := mongo.Connect(options.Client().ApplyURI("mongodb://127.0.0.1:27017"))
//	...
//	store, err := mongostore.New(client.Database("app").Collection("sessions"), mongostore.Options{})
//	...
//	err = store.EnsureIndexes(ctx) // at a deployment, or at every start
//	...
//	cfg := core.Config{Store: store, ...}
//
// [Open] makes the client from a URI, for who needs it for nothing else.
//
// A session is a document as connect-mongo keeps it, so that an Express app can
// use the same sessions at the same time:
//
//	{_id: "the id", session: '{"cookie":{...},"user":"bob"}', expires: ISODate("...")}
//
// Options.Objects makes session a sub-document, as stringify: false does there.
// Fields of others in a document stay as they are.
//
// # What a request costs
//
// A request that only reads is one FindOne, and once per Config.TouchInterval an
// UpdateOne. One that changes the session is a FindOne and an UpdateOne, and a
// new id a FindOne, an InsertOne and an UpdateOne. A SignIn waits for three round
// trips, too: its list, in the collection with "_users" behind the name, is read
// and changed beside the others. Requests
// without a cookie that store nothing cost none.
//
// # What it relies on
//
// An update, and a logout, names the content that was loaded in its filter, and
// there is no upsert: the server decides between two that race, and nothing brings back what
// was deleted. Every read asks for what has not expired by the server's clock; the
// index of [Store.EnsureIndexes] only makes room. The expiry of a new session is
// set by the clock of the app, so the two should agree to the second.
//
// Reads and writes are of majority concern unless Options say otherwise, so what
// was acknowledged survives a failover, a logout too. Reads go to the primary.
// Where the driver sends a write again, or where its reply is lost, core finds out
// what became of it. An answer about another document than the one that was asked
// for is an error: FerretDB 2 answers unacknowledged writes, so there the sessions
// need a client of their own, with which nothing else is written that way. A
// document with a wrong type inside is [store.ErrUndecodable]. A transaction in the context of a call is not joined.
//
// docs/mongo.md in the repository tells operators what to set: indexes, sharding,
// concerns, privileges, timeouts, monitoring.
package mongostore
