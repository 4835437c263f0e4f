#!/usr/bin/env bash
# A session id that is a UUID has another BSON type from Go than from Node.js, so neither finds what the other stored.
#
# With: go.mongodb.org/mongo-driver/v2 v2.10.0, github.com/google/uuid v1.6.0, bson 7.3.4; 2026-11-29
# Guess: A UUID is BSON's binary with the subtype for UUIDs, 4, wherever its type is called UUID.
# Happens: So it is from Node.js. In Go it is an array of bytes, which becomes binary with the general subtype 0. The sixteen bytes are equal, and
#   the two values are not.
# Seen:
#   Go: 1f000000055f6964001000000000 0c1f9f4e6e0b4f2b9b509e2f0a1b2c3d
#   Node.js: 1f000000055f6964001000000004 0c1f9f4e6e0b4f2b9b509e2f0a1b2c3d
# Matters: findOne({_id}) finds nothing, without an error, and a session that both sides save exists twice. Use strings for ids that two languages share,
#   or register an encoder.

source "$(dirname "$0")/lib.bash" "$(mktemp -d)"

go_get go.mongodb.org/mongo-driver/v2@v2.10.0 github.com/google/uuid@v1.6.0
npm_get bson@7.3.4
cat >main.go <<'GO'
package main

import (
	"fmt"

	"github.com/google/uuid"
	"go.mongodb.org/mongo-driver/v2/bson"
)

func main() {
	id := uuid.MustParse("0c1f9f4e-6e0b-4f2b-9b50-9e2f0a1b2c3d")
	doc, err := bson.Marshal(bson.D{{Key: "_id", Value: id}})
	if err != nil {
		panic(err)
	}
	fmt.Printf("Go: %x %x\n", doc[:14], doc[14:30])
}
GO
cat >main.cjs <<'JS'
const { BSON, UUID } = require('bson')
const doc = Buffer.from(BSON.serialize({ _id: new UUID('0c1f9f4e-6e0b-4f2b-9b50-9e2f0a1b2c3d') }))
console.log('Node.js:', doc.toString('hex', 0, 14), doc.toString('hex', 14, 30))
JS
{ go run .; node main.cjs; } | seen
