package target

import (
	"context"
	"net/url"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	mongostore "github.com/cloakroom-go/cloakroom/stores/mongo"
)

// How long a server is waited for that looks to the driver like one that will be up soon.
const mongoTimeout = 10 * time.Second

func openMongo(ctx context.Context, u *url.URL, o Options) (*Target, error) {
	query := u.Query()
	collection, objects := take(query, "collection"), take(query, "objects") != ""
	if collection == "" {
		collection = "sessions"
	}
	u.RawQuery = query.Encode()
	database := strings.Trim(u.Path, "/")
	if database == "" {
		database = "test"
	}
	opts := options.Client().ApplyURI(u.String())
	if opts.ConnectTimeout == nil {
		opts.SetConnectTimeout(mongoTimeout / 2)
	}
	if opts.ServerSelectionTimeout == nil {
		opts.SetServerSelectionTimeout(mongoTimeout)
	}
	client, err := mongo.Connect(opts)
	if err != nil { // it quotes the URI, password and all
		return nil, urlError("want mongodb://user:password@host:port/database, or mongodb+srv:// and a name that DNS knows")
	}
	coll := client.Database(database).Collection(collection)
	s, err := mongostore.New(coll, mongostore.Options{Objects: objects})
	if err == nil && o.Create {
		err = s.EnsureIndexes(ctx)
	}
	t := &Target{Store: s, Kind: "mongodb", Where: strings.Join(opts.Hosts, ",") + "/" + database + "." + collection, Mongo: coll}
	t.onClose(func() { _ = client.Disconnect(context.WithoutCancel(ctx)) })
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}
