package valkeystore

import (
	"github.com/valkey-io/valkey-go"
)

// The scripts answer with a nil reply when there is no record, with the record
// that is stored when it is not the one to be replaced, and with 1 when the
// write was done. Their numbers of keys and arguments are fixed, and they touch
// no other keys.

// holds is what the scripts that take the place of something begin with: KEYS[1] is
// the key, ARGV[1] is how to compare, and ARGV[2] with what.
const holds = `
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
`

// updateScript is Update: KEYS = {key}, ARGV = {how, old, next, life}. An empty life
// is the one that the record has.
var updateScript = valkey.NewLuaScript(holds+`
if ARGV[4] == '' then
  redis.call('SET', KEYS[1], ARGV[3], 'KEEPTTL')
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return 1
`, valkey.WithLoadSHA1(true))

// replaceScript is Replace: KEYS = {old, next}, ARGV = {how, old, retired, its
// life, next, its life}. An empty string says that next exists.
var replaceScript = valkey.NewLuaScript(holds+`
if not redis.call('SET', KEYS[2], ARGV[5], 'NX', 'PX', ARGV[6]) then
  return ''
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
return 1
`, valkey.WithLoadSHA1(true))

// removal is Remove: KEYS = {key}, ARGV = {how, old}.
const removal = holds + `
redis.call('DEL', KEYS[1])
return 1
`

var removeScript = valkey.NewLuaScript(removal, valkey.WithLoadSHA1(true))

// nothing is a write that leaves nothing behind, unless there is something: KEYS =
// {key}. It answers with 1 when it wrote.
const nothing = `
if not redis.call('SET', KEYS[1], '', 'NX', 'PX', 1) then
  return 0
end
return redis.call('DEL', KEYS[1])
`

// written reads the answer of a script: nil when the write was done, else what
// is stored instead.
func written(result valkey.ValkeyResult) ([]byte, error) {
	message, err := result.ToMessage()
	if err != nil || message.IsInt64() {
		return nil, err
	}
	return message.AsBytes()
}
