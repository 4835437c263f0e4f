package target

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/x/mongo/driver/connstring"

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
	if err := refuseUnknown(*u, query); err != nil {
		return nil, err
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

// refuseUnknown refuses parameters that the driver takes for nothing: a name that is misspelt
// leads to another collection, or to a server that is asked in another way. query is that of u
// without those of ours.
func refuseUnknown(u url.URL, query url.Values) error {
	quotable := !strings.Contains(u.RawQuery, "@") // else it is of a password that is not escaped
	query = maps.Clone(query)
	maps.DeleteFunc(query, func(name string, _ []string) bool {
		return slices.Contains([]string{"srvmaxhosts", "srvservicename"}, strings.ToLower(name)) // of mongodb+srv alone
	})
	u.Scheme, u.RawQuery = "mongodb", query.Encode() // which needs no DNS
	parsed, _ := connstring.Parse(u.String())        // what is wrong with it otherwise the driver refuses
	if parsed == nil {
		return nil
	}
	for name := range parsed.UnknownOptions {
		if quotable && query.Get(name) != "" {
			return urlError("the parameter %s is not known. There are collection, objects, and those of MongoDB's drivers", name)
		}
		return urlError("a parameter is not known. There are collection, objects, and those of MongoDB's drivers")
	}
	return nil
}
