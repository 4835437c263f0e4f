package valkeystore

import (
	"github.com/valkey-io/valkey-go"
)

// The scripts answer with a nil reply when there is no record, with the record
// that is stored when it is not the one to be replaced, and with 1 when the
// write was done. Their numbers of keys and arguments are fixed, and they touch
// no other keys.

// updateScript is Update: KEYS = {key}, ARGV = {how, old, next, life}.
var updateScript = valkey.NewLuaScript(`
local stored = redis.call('GET', KEYS[1])
if not stored then
  return nil
end
local content = stored
if ARGV[1] == 'sha1' then
  content = redis.sha1hex(stored)
end
if content ~= ARGV[2] then
  return stored
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
`, valkey.WithLoadSHA1(true))

// replaceScript is Replace: KEYS = {old, next}, ARGV = {how, old, retired, its
// life, next, its life}. An empty string says that next exists.
var replaceScript = valkey.NewLuaScript(`
local stored = redis.call('GET', KEYS[1])
if not stored then
  return nil
end
local content = stored
if ARGV[1] == 'sha1' then
  content = redis.sha1hex(stored)
end
if content ~= ARGV[2] then
  return stored
end
if not redis.call('SET', KEYS[2], ARGV[5], 'NX', 'PX', ARGV[6]) then
  return ''
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
`, valkey.WithLoadSHA1(true))

// writeNothing is a write that leaves nothing behind: KEYS = {key}.
const writeNothing = `redis.call('SET', KEYS[1], '', 'PX', 1) return redis.call('DEL', KEYS[1])`

// written reads the answer of a script: nil when the write was done, else what
// is stored instead.
func written(result valkey.ValkeyResult) ([]byte, error) {
	message, err := result.ToMessage()
	if err != nil || message.IsInt64() {
		return nil, err
	}
	return message.AsBytes()
}
