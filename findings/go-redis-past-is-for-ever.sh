#!/usr/bin/env bash
# What is left of a session that has just ended, given to go-redis, makes a key that never expires.
#
# With: github.com/redis/go-redis/v9 v9.23.0, github.com/alexedwards/scs/goredisstore v0.0.0-20250212122300-421ef1d8611c, github.com/alexedwards/scs/redisstore v0.0.0-20251002162104-209de6e426de, redis-server 7.0.15 of Debian 12; 2026-11-29
# Guess: time.Until of a moment that has passed is negative, and a negative life is refused, as the server refuses it, or is none.
# Happens: Set and SetArgs send no expiry with it, for which the server keeps the key for good; SetNX and SetEx send it, and are refused; Expire sends it,
#   which deletes. GetEx with 0, "nothing left", takes the expiry away. scs's store on go-redis is such a Set; the one on redigo sends the moment itself.
# Seen:
#   the server, SET .. PX -1: ERR invalid expire time in 'set' command; no key
#   go-redis Set(-1s): no error; a key for ever
#   go-redis SetArgs(-1s): no error; a key for ever
#   go-redis SetNX(-1s): ERR invalid expire time in 'set' command; no key
#   go-redis SetEx(-1s): ERR invalid expire time in 'setex' command; no key
#   go-redis Expire(-1s) of a key with an hour: no error; no key
#   go-redis GetEx(0) of a key with an hour: no error; a key for ever
#   scs goredisstore, a second late: no error; a key for ever
#   scs redisstore, a second late: no error; no key
# Matters: A request that loads a session in its last second and saves it after that leaves a record that nothing ever removes. Whoever moves such keys sees
#   sessions without an expiry that no code seems to make. Delete where nothing is left, or give Set the time as a clock time (ExpireAt of SetArgs).

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get github.com/redis/go-redis/v9@v9.23.0 github.com/alexedwards/scs/goredisstore@v0.0.0-20250212122300-421ef1d8611c github.com/alexedwards/scs/redisstore@v0.0.0-20251002162104-209de6e426de github.com/gomodule/redigo@v1.9.2
redis_up
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/redisstore"
	"github.com/gomodule/redigo/redis"
	goredis "github.com/redis/go-redis/v9"
)

func main() {
	ctx, addr := context.Background(), "127.0.0.1:"+os.Args[1]
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	pool := &redis.Pool{Dial: func() (redis.Conn, error) { return redis.Dial("tcp", addr) }}
	show := func(what, key string, err error) {
		said := "no error"
		if err != nil {
			said = err.Error()
		}
		ttl, err := c.PTTL(ctx, key).Result()
		if err != nil {
			panic(err)
		}
		kept := "a key with an expiry"
		switch ttl {
		case -1:
			kept = "a key for ever"
		case -2:
			kept = "no key"
		}
		fmt.Printf("%s: %s; %s\n", what, said, kept)
		c.FlushDB(ctx)
	}
	hour := func() { c.Set(ctx, "k", "v", time.Hour) }
	const late = -time.Second
	show("the server, SET .. PX -1", "k", c.Do(ctx, "SET", "k", "v", "PX", -1).Err())
	show("go-redis Set(-1s)", "k", c.Set(ctx, "k", "v", late).Err())
	show("go-redis SetArgs(-1s)", "k", c.SetArgs(ctx, "k", "v", goredis.SetArgs{TTL: late}).Err())
	show("go-redis SetNX(-1s)", "k", c.SetNX(ctx, "k", "v", late).Err())
	show("go-redis SetEx(-1s)", "k", c.SetEx(ctx, "k", "v", late).Err())
	hour()
	show("go-redis Expire(-1s) of a key with an hour", "k", c.Expire(ctx, "k", late).Err())
	hour()
	show("go-redis GetEx(0) of a key with an hour", "k", c.GetEx(ctx, "k", 0).Err())
	show("scs goredisstore, a second late", "scs:session:t", goredisstore.New(c).CommitCtx(ctx, "t", []byte("v"), time.Now().Add(late)))
	show("scs redisstore, a second late", "scs:session:t", redisstore.New(pool).Commit("t", []byte("v"), time.Now().Add(late)))
}
GO
go run . "$port" | seen
