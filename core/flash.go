package core

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/cloakroom-go/cloakroom/core/internal/jsontext"
)

// Messages for the next page. They are one key of the session, whose value is bounded
// by itself: a page that leaves messages which nobody is shown must not make the
// session too large to be stored.

const (
	maxFlashes = 100 // messages, and kinds
	flashPart  = 4   // flashes take at most this part of Config.MaxBytes
)

// Flashes names a kind of messages for the next page that are values of type T. Declare
// each once, as a constant:
//
//	const notices core.Flashes[Notice] = "notice"
//
// They are stored as connect-flash does, under the key "flash": an object that has an array
// of messages for each kind. [Session.Flash] and [Session.Flashes] are those of strings.
type Flashes[T any] string

// Add leaves a message for the next request that asks for this kind. Where it cannot be
// encoded, the commit fails with a [*KeyError].
//
// A session keeps 100 messages at most, and no more than a quarter of Config.MaxBytes
// of them: the oldest one goes, of the kind that has most. A single message that is
// larger than that stays, for as long as the session may be as large.
func (f Flashes[T]) Add(s *Session, v T) {
	if raw := s.encodeFlash(v); raw != nil {
		s.addFlashes(string(f), false, raw)
	}
}

// Now adds a message for the page of this request: Pop returns it after those that were
// left by others, and it is never stored.
func (f Flashes[T]) Now(s *Session, v T) {
	raw := s.encodeFlash(v)
	if raw == nil || !s.lock() {
		return
	}
	defer s.x.unlock()
	rare := s.needRarities()
	if rare.flashesNow == nil {
		rare.flashesNow = make(flashesByKind, 1)
	}
	rare.flashesNow[string(f)] = append(rare.flashesNow[string(f)], raw)
}

// Pop returns the messages of this kind and removes them at the commit. Two requests at
// the same time may both get them; one that is added meanwhile is not lost. What is of
// another shape than T is removed, too, and not returned.
//
// A page that the browser only fetches ahead (Sec-Purpose: prefetch) gets none that were
// left for it, and takes none from the page that is really opened.
func (f Flashes[T]) Pop(s *Session) (all []T) {
	for _, raw := range s.popFlashes(string(f)) {
		var v T
		if jsontext.DecodePlain(raw, &v) {
			all = append(all, v)
			continue
		}
		decoded := new(T) // else each v would escape
		if json.Unmarshal(raw, decoded) == nil {
			all = append(all, *decoded)
		}
	}
	return all
}

// Keep leaves those messages of this kind for the next request as well that Pop has
// removed in this one: for a handler which leads on to another page after all. They come
// before those that were left since.
func (f Flashes[T]) Keep(s *Session) {
	if !s.lock() {
		return
	}
	popped := s.rarities().flashesPopped[string(f)]
	delete(s.rarities().flashesPopped, string(f))
	s.x.unlock()
	if len(popped) > 0 {
		s.addFlashes(string(f), true, popped...)
	}
}

// Flash leaves a message for the next request: of a kind such as "info" or
// "error". It is [Flashes.Add] for strings.
func (s *Session) Flash(kind, message string) { Flashes[string](kind).Add(s, message) }

// Flashes returns the messages of a kind and removes them at the commit. It is
// [Flashes.Pop] for strings.
func (s *Session) Flashes(kind string) []string { return Flashes[string](kind).Pop(s) }

// flashesByKind are the messages as they are stored.
type flashesByKind map[string][]json.RawMessage

// flashes is the key that holds them, which is that of connect-flash.
const flashes Key[flashesByKind] = "flash"

// areFlashes reports whether a value is what messages are stored as.
func areFlashes(raw json.RawMessage) bool { return json.Unmarshal(raw, new(flashesByKind)) == nil }

// encodeFlash returns the JSON of a message. It returns nil for one that cannot be encoded,
// which makes the commit fail.
func (s *Session) encodeFlash(v any) json.RawMessage {
	raw, err := jsontext.Encode(v)
	if err != nil {
		s.failKey(string(flashes), "set", jsontext.EncodingError(v, err))
		return nil
	}
	return raw
}

// addFlashes adds messages of a kind, in front of those that are there or behind.
func (s *Session) addFlashes(kind string, inFront bool, added ...json.RawMessage) {
	most := s.x.m.cfg.MaxBytes / flashPart
	s.update(string(flashes), func(stored json.RawMessage) (json.RawMessage, error) {
		rare := s.needRarities()
		if rare.flashBook == nil {
			rare.flashBook = new(flashBook)
		}
		if len(added) == 1 && !inFront && rare.flashBook.add(stored, kind, added[0], most) {
			return rare.flashBook.of, nil
		}
		all, err := decodeKey[flashesByKind](string(flashes), "update", stored)
		if err != nil && stored != nil {
			return nil, err
		}
		if all == nil {
			all = make(flashesByKind, 1)
		}
		if inFront {
			all[kind] = slices.Concat(added, all[kind])
		} else {
			all[kind] = append(all[kind], added...)
		}
		boundFlashes(all, kind, most)
		rare.flashBook.begin(all)
		return rare.flashBook.of, nil
	}, func() {})
}

// boundFlashes drops messages while there are more than maxFlashes, or more than most
// bytes of them and their kinds: each time the oldest of the kind that has most and, of
// several kinds with as many, of the first one by name. What was added last, to kind,
// stays.
func boundFlashes(all flashesByKind, kind string, most int) {
	names := slices.Sorted(maps.Keys(all))
	count, size := 0, 0
	for _, name := range names { // another program may have stored any number
		if len(all) > maxFlashes && name != kind {
			delete(all, name)
			continue
		}
		all[name] = all[name][max(0, len(all[name])-maxFlashes):]
		count, size = count+len(all[name]), size+len(name)
		for _, message := range all[name] {
			size += len(message)
		}
	}
	for count > maxFlashes || size > most {
		fullest, fill := "", 0
		for _, name := range names {
			if n := len(all[name]); n > fill && (name != kind || n > 1) {
				fullest, fill = name, n
			}
		}
		if fill == 0 {
			return
		}
		count, size = count-1, size-len(all[fullest][0])
		if all[fullest] = all[fullest][1:]; fill == 1 {
			size -= len(fullest)
			delete(all, fullest)
		}
	}
}

// popFlashes returns the messages of a kind, and removes them.
func (s *Session) popFlashes(kind string) []json.RawMessage {
	var stored []json.RawMessage
	if !s.x.isFetchedAhead() {
		stored = flashes.Get(s)[kind]
	}
	if len(stored) > 0 {
		s.removeFlashes(kind, stored)
	}
	if !s.lock() {
		return stored
	}
	defer s.x.unlock()
	now := s.rarities().flashesNow[kind]
	delete(s.rarities().flashesNow, kind)
	if len(stored) > 0 {
		rare := s.needRarities()
		if rare.flashesPopped == nil {
			rare.flashesPopped = make(flashesByKind, 1)
		}
		rare.flashesPopped[kind] = append(rare.flashesPopped[kind], stored...)
	}
	return slices.Concat(stored, now)
}

// removeFlashes removes messages of a kind that were seen, each once. Those that another
// request leaves meanwhile stay.
func (s *Session) removeFlashes(kind string, seen []json.RawMessage) {
	s.update(string(flashes), func(stored json.RawMessage) (json.RawMessage, error) {
		all, _ := decodeKey[flashesByKind](string(flashes), "update", stored)
		if len(all[kind]) == 0 { // another request removed them
			return stored, nil
		}
		times := make(map[string]int, len(seen))
		for _, message := range seen {
			times[string(message)]++
		}
		left := slices.DeleteFunc(all[kind], func(message json.RawMessage) bool {
			times[string(message)]--
			return times[string(message)] >= 0
		})
		if all[kind] = left; len(left) == 0 {
			delete(all, kind)
		}
		if len(all) == 0 {
			return nil, nil
		}
		return jsontext.Encode(all)
	}, func() {})
}
