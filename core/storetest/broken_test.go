package storetest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-go/cloakroom/core/internal/mapstore"
	"github.com/cloakroom-go/cloakroom/core/store"
)

type brokenStore struct {
	name  string
	open  func(f *full) store.Store
	fails []string
}

// brokenStores are stores that break one rule of the contract each, and the
// cases that have to notice.
var brokenStores = []brokenStore{
	// Load
	{"Load returns expired records", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (rec store.Record, err error) {
			f.blindly(func(s *mapstore.Store) { rec, err = s.Load(ctx, id) })
			return rec, err
		}}
	}, []string{"ExpiredLoad", "CreateSetsLife", "CreateForOneNanosecond"}},
	{"Load of an unknown id returns an empty record", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			if errors.Is(err, store.ErrNotFound) {
				return store.Record{ID: id}, nil
			}
			return rec, err
		}}
	}, []string{"LoadUnknown", "DeleteRemoves", "ExpiredLoad"}},
	{"Load shares what it does not keep", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			rec.Data, rec.Shared = bytes.Clone(rec.Data), true
			return rec, err
		}}
	}, []string{"SharedBytesAreHandedOutAgain"}},
	{"Load returns no id", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			rec.ID = ""
			return rec, err
		}}
	}, []string{"CreateThenLoad"}},
	{"Load removes the record", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			f.Delete(ctx, id)
			return rec, err
		}}
	}, []string{"CreateThenLoad"}},
	{"handed out bytes are used again", reusesBytes, []string{
		"LoadedBytesSurviveUpdate", "LoadedBytesSurviveDelete", "LoadedBytesSurviveExpiry", "LoadedBytesSurviveOtherRecords",
		"UpdateOrLoadNewestSurvives", "ListedBytesSurvive", "ReplaceLoadedBytesSurvive", "RemoveLoadedBytesSurvive",
	}},

	// Create
	{"Create overwrites", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			f.put(rec)
			return ctx.Err()
		}}
	}, []string{"CreateTwice", "CreateTwiceSameData", "CreateTwiceKeepsLife", "CreateAfterUpdate", "RaceCreate", "ErrorsOfCreateAreDiscreet"}},
	{"Create of an id in use is no error", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			if err := f.Create(ctx, rec); !errors.Is(err, store.ErrExists) {
				return err
			}
			return nil
		}}
	}, []string{"CreateTwice", "CreateTwiceSameData", "RaceCreate", "RaceCreateOverExpired", "CountAfterUpdateAndTouch", "IDCase"}},
	{"Create of the same data is no error", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			err := f.Create(ctx, rec)
			if stored, ok := f.peek(rec.ID); ok && same(stored, rec) && ctx.Err() == nil {
				return nil
			}
			return err
		}}
	}, []string{"CreateTwiceSameData", "CreateTwiceKeepsLife"}},
	{"Create of an id in use sets its life", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			err := f.Create(ctx, rec)
			f.Touch(ctx, rec.ID, rec.TTL)
			return err
		}}
	}, []string{"CreateTwiceKeepsLife"}},
	{"Create finds expired records in use", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) (err error) {
			f.blindly(func(s *mapstore.Store) {
				if _, err = s.Load(ctx, rec.ID); err == nil {
					err = store.ErrExists
				}
			})
			if errors.Is(err, store.ErrNotFound) {
				return f.Create(ctx, rec)
			}
			return err
		}}
	}, []string{"ExpiredCreate", "ExpiredCreateSameData"}},
	{"an id can be created once", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			f.lock()
			used := f.ids[rec.ID]
			f.mu.Unlock()
			if used && ctx.Err() == nil {
				return store.ErrExists
			}
			return f.Create(ctx, rec)
		}}
	}, []string{"CreateAfterDelete", "ExpiredCreate"}},
	{"Create keeps the life of an earlier record", func(f *full) store.Store {
		var lives sync.Map
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			ttl, _ := lives.LoadOrStore(rec.ID, rec.TTL)
			rec.TTL = ttl.(time.Duration)
			return f.Create(ctx, rec)
		}}
	}, []string{"CreateAfterExpiryStartsNewLife", "CreateAfterDeleteStartsNewLife"}},
	{"Create forgets other records", func(f *full) store.Store {
		var made []string
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			err := f.Create(ctx, rec)
			f.lock()
			made = append(made, rec.ID)
			var oldest string
			if len(made) > 40 {
				oldest = made[len(made)-40]
			}
			f.mu.Unlock()
			f.Delete(ctx, oldest)
			return err
		}}
	}, []string{"CreateManyRecords", "ListMany"}},
	{"Create looks and then writes", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			if _, ok := f.peek(rec.ID); ok && ctx.Err() == nil {
				return store.ErrExists
			}
			pause()
			f.put(rec)
			return ctx.Err()
		}}
	}, []string{"RaceCreate", "RaceCreateOverExpired"}},
	{"Create removes expired records in a step of its own", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			f.lock()
			used := f.ids[rec.ID]
			f.mu.Unlock()
			if _, ok := f.peek(rec.ID); used && !ok {
				pause()
				f.Delete(ctx, rec.ID)
			}
			return f.Create(ctx, rec)
		}}
	}, []string{"RaceCreateOverExpired"}},
	{"Create does not wait its turn", func(f *full) store.Store {
		var busy sync.Mutex
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			if !busy.TryLock() {
				return store.ErrConflict
			}
			defer busy.Unlock()
			pause()
			return f.Create(ctx, rec)
		}}
	}, []string{"RaceCreate", "RaceCreateDelete"}},
	{"Create keeps the caller's slice", func(f *full) store.Store {
		var slices sync.Map
		return &broken{
			full: f,
			create: func(ctx context.Context, rec store.Record) error {
				err := f.Create(ctx, rec)
				if err == nil {
					slices.Store(rec.ID, rec.Data)
				}
				return err
			},
			update: func(ctx context.Context, old, next store.Record) error {
				err := f.Update(ctx, old, next)
				if err == nil {
					slices.Delete(next.ID)
				}
				return err
			},
			load: func(ctx context.Context, id string) (store.Record, error) {
				rec, err := f.Load(ctx, id)
				if data, ok := slices.Load(id); ok && err == nil {
					rec.Data = data.([]byte)
				}
				return rec, err
			},
		}
	}, []string{"CreateKeepsNoSlice"}},
	{"Create writes behind the data", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error {
			if cap(rec.Data) >= 2*len(rec.Data) {
				_ = append(rec.Data, '\n')
			}
			return f.Create(ctx, rec)
		}}
	}, []string{"GivenBytesAreNotWritten"}},

	// Update
	{"Update creates", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				f.put(next)
				return nil
			}
			return err
		}}
	}, []string{"UpdateUnknown", "UpdateDeleted", "UpdateDeletedLoaded", "ExpiredUpdate", "ExpiredUpdateLoaded", "RaceUpdateDelete", "ErrorsOfUpdateAreDiscreet"}},
	{"Update creates and returns ErrNotFound", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				f.put(next)
			}
			return err
		}}
	}, []string{"UpdateUnknown", "UpdateDeleted"}},
	{"Update of a missing record is a conflict", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				return store.ErrConflict
			}
			return err
		}}
	}, []string{"UpdateUnknown", "UpdateDeleted", "ExpiredUpdate", "ClearRemovesAll"}},
	{"Update of a missing record is everything", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				return errors.Join(store.ErrConflict, err)
			}
			return err
		}}
	}, []string{"UpdateUnknown"}},
	{"Update revives expired records", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) (err error) {
			f.blindly(func(s *mapstore.Store) { next.TTL += time.Minute; err = s.Update(ctx, old, next) })
			return err
		}}
	}, []string{"ExpiredUpdate", "ExpiredUpdateLoaded", "ExpiredUpdateConflict"}},
	{"Update ignores what is stored", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			if err := f.Touch(ctx, old.ID, next.TTL); err != nil {
				return err
			}
			f.put(next)
			return nil
		}}
	}, []string{
		"UpdateConflict", "UpdateConflictKeepsLife", "UpdateComparesWholeContent", "UpdateLoadedTwice", "UpdateStale",
		"UpdateStaleAfterRecreation", "ExpiredStaleAfterRecreation", "RaceUpdate", "RaceUpdateLoaded", "RaceCounter", "DataOneMiB",
	}},
	{
		"Update compares the length", updateComparing(func(a, b []byte) bool { return len(a) == len(b) }),
		[]string{"UpdateComparesWholeContent", "UpdateConflict"},
	},
	{"Update compares without case", updateComparing(bytes.EqualFold), []string{"UpdateComparesWholeContent"}},
	{"Update compares a beginning", updateComparing(bytes.HasPrefix), []string{"UpdateComparesWholeContent"}},
	{
		"Update compares JSON", updateComparing(func(a, b []byte) bool { return bytes.Equal(remarshal(a), remarshal(b)) }),
		[]string{"UpdateComparesBytesNotJSON"},
	},
	{"Update compares the first 64 KiB", updateComparing(func(a, b []byte) bool {
		return bytes.Equal(a[:min(len(a), 1<<16)], b[:min(len(b), 1<<16)])
	}), []string{"DataOneMiB"}},
	{"Update in vain sets the life", func(f *full) store.Store {
		return &broken{
			full: f,
			update: func(ctx context.Context, old, next store.Record) error {
				f.Touch(ctx, old.ID, next.TTL)
				return f.Update(ctx, old, next)
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				f.Touch(ctx, old.ID, next.TTL)
				return f.UpdateOrLoad(ctx, old, next)
			},
			replace: func(ctx context.Context, old, retired, next store.Record) error {
				f.Touch(ctx, old.ID, retired.TTL)
				return f.Replace(ctx, old, retired, next)
			},
		}
	}, []string{"UpdateConflictKeepsLife", "UpdateOrLoadConflictKeepsLife", "ReplaceConflictKeepsLife"}},
	{"Update keeps the old life", func(f *full) store.Store {
		var lives sync.Map
		return &broken{
			full: f,
			create: func(ctx context.Context, rec store.Record) error {
				lives.Store(rec.ID, time.Now().Add(rec.TTL))
				return f.Create(ctx, rec)
			},
			update: func(ctx context.Context, old, next store.Record) error {
				if ends, ok := lives.Load(next.ID); ok {
					next.TTL = max(1, time.Until(ends.(time.Time)))
				}
				return f.Update(ctx, old, next)
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				if ends, ok := lives.Load(id); ok {
					ttl = min(ttl, max(1, time.Until(ends.(time.Time))))
				}
				return f.Touch(ctx, id, ttl)
			},
			replace: func(ctx context.Context, old, retired, next store.Record) error {
				if ends, ok := lives.Load(old.ID); ok {
					retired.TTL = max(1, time.Until(ends.(time.Time)))
				}
				return f.Replace(ctx, old, retired, next)
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				next.TTL = time.Hour
				return f.UpdateOrLoad(ctx, old, next)
			},
		}
	}, []string{
		"UpdateLengthensLife", "UpdateSetsLife", "TouchLengthensLife", "ReplaceLengthensLife",
		"ReplaceSetsLifeOfRetired", "UpdateOrLoadSetsLife", "UpdateOrLoadForOneNanosecond",
	}},
	{"Update leaves the end of longer data", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			if n := len(next.Data); len(old.Data) > n {
				next.Data = slices.Concat(next.Data, old.Data[n:])
			}
			return f.Update(ctx, old, next)
		}}
	}, []string{"UpdateAgainAndAgain"}},
	{"Update writes nothing", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			return f.Touch(ctx, old.ID, next.TTL)
		}}
	}, []string{"UpdateReplacesContent", "UpdateAgainAndAgain"}},
	{"Update changes all records", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			if err == nil {
				for _, rec := range f.records() {
					f.put(store.Record{ID: rec.ID, Data: next.Data, TTL: next.TTL})
				}
			}
			return err
		}}
	}, []string{"UpdateLeavesOthersAlone"}},
	{"Update believes any token", withTokens(func(f *full, old store.Record, _ int) bool { return true }, nil), []string{
		"UpdateLoadedTwice", "UpdateStale", "UpdateStaleAfterRecreation", "ExpiredStaleAfterRecreation",
		"RaceUpdateLoaded", "ReplaceStale", "UpdateOrLoadStale", "KeepTTLStale", "RemoveStale",
	}},
	{"Update takes a touch for a change", withTokens(func(_ *full, old store.Record, touches int) bool { return old.Token == touches },
		func(touches int) bool { return touches == 0 },
	), []string{"UpdateLoadedAfterTouch", "UpdateWrittenAfterTouch", "ReplaceLoadedAfterTouch", "RemoveLoadedAfterTouch", "RemoveWrittenAfterTouch"}},
	{"Update wants a token", withTokens(nil, func(int) bool { return false }), []string{
		"UpdateReplacesContent", "UpdateLoadedThenWritten", "RaceCounterWritten", "RaceUpdate", "UpdateOrLoad", "Replace",
		"Remove", "RemoveLoadedThenWritten", "RaceRemove",
	}},
	{"Update refuses a token", withTokens(func(*full, store.Record, int) bool { return false }, nil), []string{
		"UpdateLoaded", "ReplaceLoaded", "UpdateOrLoadLoaded", "ListRecordsCanBeUpdated", "RaceCounter",
		"KeepTTLLoaded", "RemoveLoaded", "RaceRemoveLoaded",
	}},
	{"Update keeps the caller's slice", func(f *full) store.Store {
		var slices sync.Map
		keep := func(rec store.Record, err error) {
			if err == nil {
				slices.Store(rec.ID, rec.Data)
			}
		}
		return &broken{
			full: f,
			update: func(ctx context.Context, old, next store.Record) error {
				err := f.Update(ctx, old, next)
				keep(next, err)
				return err
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				newest, err := f.UpdateOrLoad(ctx, old, next)
				keep(next, err)
				return newest, err
			},
			replace: func(ctx context.Context, old, retired, next store.Record) error {
				err := f.Replace(ctx, old, retired, next)
				keep(retired, err)
				keep(next, err)
				return err
			},
			load: func(ctx context.Context, id string) (store.Record, error) {
				rec, err := f.Load(ctx, id)
				if data, ok := slices.Load(id); ok && err == nil {
					rec.Data = data.([]byte)
				}
				return rec, err
			},
		}
	}, []string{"UpdateKeepsNoSlice", "UpdateOrLoadKeepsNoSlice", "ReplaceKeepsNoSlice"}},
	{"Update looks and then writes", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			rec, ok := f.peek(old.ID)
			if !ok {
				return store.ErrNotFound
			}
			if !same(rec, old) {
				return store.ErrConflict
			}
			pause()
			f.put(next)
			return nil
		}}
	}, []string{"RaceUpdate", "RaceUpdateLoaded", "RaceCounter", "RaceCounterWritten", "RaceManyCounters", "RaceUpdateDelete", "RaceReplaceUpdate"}},
	{"Update writes in two halves", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			half := next
			half.Data = append(bytes.Clone(next.Data[:len(next.Data)/2]), bytes.Repeat([]byte{' '}, len(next.Data)/2)...)
			if err := f.Update(ctx, old, half); err != nil {
				return err
			}
			pause()
			return f.Update(ctx, half, next)
		}}
	}, []string{"RaceLoadSeesWholeRecords"}},

	// Touch
	{"Touch creates", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			err := f.Touch(ctx, id, ttl)
			if errors.Is(err, store.ErrNotFound) {
				f.put(store.Record{ID: id, Data: []byte(`{}`), TTL: ttl})
				return nil
			}
			return err
		}}
	}, []string{"TouchUnknown", "TouchDeleted", "ExpiredTouch", "ErrorsOfTouchAreDiscreet"}},
	{"Touch of a missing record is no error", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			if err := f.Touch(ctx, id, ttl); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}}
	}, []string{"TouchUnknown", "TouchDeleted", "ExpiredTouch"}},
	{"Touch revives expired records", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) (err error) {
			f.blindly(func(s *mapstore.Store) { err = s.Touch(ctx, id, ttl+time.Minute) })
			return err
		}}
	}, []string{"ExpiredTouch"}},
	{"Touch revives deleted records", func(f *full) store.Store {
		var deleted sync.Map
		return &broken{
			full: f,
			delete: func(ctx context.Context, id string) error {
				if rec, ok := f.peek(id); ok && ctx.Err() == nil {
					deleted.Store(id, rec)
				}
				return f.Delete(ctx, id)
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				if rec, ok := deleted.LoadAndDelete(id); ok {
					f.Create(ctx, store.Record{ID: id, Data: rec.(store.Record).Data, TTL: ttl})
				}
				return f.Touch(ctx, id, ttl)
			},
		}
	}, []string{"TouchDeleted"}},
	{"Touch empties the record", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			err := f.Touch(ctx, id, ttl)
			if err == nil {
				f.put(store.Record{ID: id, Data: []byte(`{}`), TTL: ttl})
			}
			return err
		}}
	}, []string{"TouchKeepsData", "TouchKeepsUpdatedData"}},
	{"Touch writes what was loaded last", func(f *full) store.Store {
		var loaded sync.Map
		return &broken{
			full: f,
			load: func(ctx context.Context, id string) (store.Record, error) {
				rec, err := f.Load(ctx, id)
				if err == nil {
					loaded.Store(id, rec)
				}
				return rec, err
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				err := f.Touch(ctx, id, ttl)
				if rec, ok := loaded.Load(id); ok && err == nil {
					f.put(store.Record{ID: id, Data: rec.(store.Record).Data, TTL: ttl})
				}
				return err
			},
		}
	}, []string{"TouchKeepsUpdatedData"}},
	{"Touch loads and then writes", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			rec, err := f.Load(ctx, id)
			if err != nil {
				return err
			}
			pause()
			f.put(store.Record{ID: id, Data: rec.Data, TTL: ttl})
			return nil
		}}
	}, []string{"RaceTouchDelete", "RaceCounterTouched"}},
	{"Touch only lengthens", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			return f.Touch(ctx, id, max(ttl, time.Hour))
		}}
	}, []string{"TouchSetsLife", "TouchForOneNanosecond"}},
	{"Touch does nothing", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, _ time.Duration) error {
			_, err := f.Load(ctx, id)
			return err
		}}
	}, []string{"TouchSetsLife", "TouchLengthensLife"}},
	{"Touch touches all records", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			err := f.Touch(ctx, id, ttl)
			for _, rec := range f.records() {
				f.Touch(ctx, rec.ID, ttl)
			}
			return err
		}}
	}, []string{"TouchLeavesOthersAlone"}},

	// Delete
	{"Delete of a missing record is an error", func(f *full) store.Store {
		return &broken{full: f, delete: func(ctx context.Context, id string) error {
			if _, err := f.Load(ctx, id); err != nil {
				return err
			}
			return f.Delete(ctx, id)
		}}
	}, []string{"DeleteUnknown", "DeleteTwice", "ExpiredDelete", "RaceDelete"}},
	{"Delete does nothing", func(f *full) store.Store {
		return &broken{full: f, delete: func(ctx context.Context, id string) error { return ctx.Err() }}
	}, []string{"DeleteRemoves", "DeleteTwice", "UpdateDeleted"}},
	{"Delete spares what was updated", func(f *full) store.Store {
		var updated sync.Map
		return &broken{
			full: f,
			update: func(ctx context.Context, old, next store.Record) error {
				updated.Store(next.ID, true)
				return f.Update(ctx, old, next)
			},
			delete: func(ctx context.Context, id string) error {
				if _, ok := updated.Load(id); ok {
					return ctx.Err()
				}
				return f.Delete(ctx, id)
			},
		}
	}, []string{"DeleteWhateverItHolds"}},
	{"Delete removes all records", func(f *full) store.Store {
		return &broken{full: f, delete: func(ctx context.Context, id string) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return f.Clear(ctx)
		}}
	}, []string{"DeleteLeavesOthersAlone"}},
	{"Delete takes the id for a pattern", func(f *full) store.Store {
		return &broken{full: f, delete: func(ctx context.Context, id string) error {
			for _, rec := range f.records() {
				if ok, _ := path.Match(id, rec.ID); ok {
					f.Delete(ctx, rec.ID)
				}
			}
			return f.Delete(ctx, id)
		}}
	}, []string{"IDAsterisk", "IDLeadingAsterisk", "IDQuestionMark", "IDBrackets"}},

	// ids
	{"ids without case", mapsIDs(strings.ToLower), []string{"IDCase", "IDUnicode"}},
	{"ids trimmed", mapsIDs(strings.TrimSpace), []string{"IDSpaces", "IDTabAndNewline"}},
	{"ids of 255 bytes", mapsIDs(func(id string) string { return id[:min(len(id), 255)] }), []string{"ID300Bytes"}},
	{"ids that end at a NUL", mapsIDs(func(id string) string { id, _, _ = strings.Cut(id, "\x00"); return id }), []string{"IDNUL"}},
	{"ids without control characters", mapsIDs(func(id string) string {
		return strings.Map(func(r rune) rune {
			if r < ' ' {
				return -1
			}
			return r
		}, id)
	}), []string{"IDControlCharacters", "IDTabAndNewline"}},
	{"ids are paths", mapsIDs(path.Clean), []string{"IDDots", "IDSlashes"}},
	{"ids unescaped", mapsIDs(func(id string) string { return strings.ReplaceAll(id, `\\`, `\`) }), []string{"IDBackslash"}},
	{"ids unquoted", mapsIDs(func(id string) string { return strings.ReplaceAll(id, `''`, `'`) }), []string{"IDQuotes"}},
	{"ids decoded", mapsIDs(func(id string) string {
		if s, err := url.QueryUnescape(id); err == nil {
			return s
		}
		return id
	}), []string{"IDPercent", "IDPlus"}},
	{"ids without colons", mapsIDs(func(id string) string { return strings.Trim(id, ":") }), []string{"IDColons"}},
	{"ids without dollars", mapsIDs(func(id string) string { return strings.Trim(id, "$") }), []string{"IDDollar"}},
	{"ids are hash tags", mapsIDs(func(id string) string {
		if open := strings.IndexByte(id, '{'); open >= 0 {
			if end := strings.IndexByte(id[open:], '}'); end > 1 {
				return id[open+1 : open+end]
			}
		}
		return id
	}), []string{"IDBraces"}},
	{"ids in Latin-1", mapsIDs(func(id string) string {
		return strings.Map(func(r rune) rune {
			if r > 0xff {
				return '?'
			}
			return r
		}, id)
	}), []string{"IDEmoji"}},
	{"ids without invisible characters", mapsIDs(func(id string) string { return strings.Trim(id, "\u2028\ufeff") }), []string{"IDInvisible"}},
	{"ids by their beginning", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			for _, other := range f.records() {
				if errors.Is(err, store.ErrNotFound) && strings.HasPrefix(other.ID, id) {
					return store.Record{ID: id, Data: other.Data}, nil
				}
			}
			return rec, err
		}}
	}, []string{"IDPrefix"}},

	// data
	{"data compacted", mapsData(func(data []byte) []byte {
		var b bytes.Buffer
		if json.Compact(&b, data) != nil {
			return data
		}
		return b.Bytes()
	}), []string{"DataWhitespace"}},
	{"data encoded anew", mapsData(remarshal), []string{
		"DataOrderAndDuplicates", "DataNumbers", "DataEscapes", "DataLoneSurrogateEscape", "DataQuotes", "DataUnicode", "DataLikeExpress",
	}},
	{"data without emoji", mapsData(func(data []byte) []byte {
		return bytes.Map(func(r rune) rune {
			if r > 0xffff {
				return '?'
			}
			return r
		}, data)
	}), []string{"DataEmoji"}},
	{
		"data without operators", mapsData(func(data []byte) []byte { return bytes.ReplaceAll(data, []byte(`"$`), []byte(`"`)) }),
		[]string{"DataNamesOfOperators"},
	},
	{"data up to a depth", refuses(func(rec store.Record) bool { return bytes.Count(rec.Data, []byte("[")) > 30 }), []string{"DataDeep"}},
	{"data up to a million bytes", refuses(func(rec store.Record) bool { return len(rec.Data) > 1_000_000 }), []string{"DataOneMiB"}},
	{"data that is an object", refuses(func(rec store.Record) bool { return bytes.HasPrefix(rec.Data, []byte("[n")) }), []string{"DataNoObject"}},
	{"empty objects are no records", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			if err == nil && string(rec.Data) == "{}" {
				return store.Record{}, store.ErrNotFound
			}
			return rec, err
		}}
	}, []string{"DataSmallest"}},

	// life
	{
		"life in seconds, none is at once", mapsLife(func(ttl time.Duration) time.Duration { return max(1, ttl.Truncate(time.Second)) }),
		[]string{"CreateSetsLife", "UpdateSetsLife", "TouchSetsLife"},
	},
	{"life in seconds, none is for ever", mapsLife(func(ttl time.Duration) time.Duration {
		if ttl < time.Second {
			return time.Hour
		}
		return ttl.Truncate(time.Second)
	}), []string{
		"CreateSetsLife", "UpdateSetsLife", "TouchSetsLife", "CreateForOneNanosecond", "UpdateForOneNanosecond", "TouchForOneNanosecond",
		"ReplaceForOneNanosecond", "UpdateOrLoadForOneNanosecond", "UpdateOrLoadSetsLife",
	}},
	{
		"life in milliseconds, none is refused", refuses(func(rec store.Record) bool { return rec.TTL < time.Millisecond }),
		[]string{"CreateForOneNanosecond", "UpdateForOneNanosecond", "TouchForOneNanosecond"},
	},
	{"life in whole milliseconds", refuses(func(rec store.Record) bool { return rec.TTL%time.Millisecond != 0 }), []string{
		"CreateForOneMillisecondAndABit", "UpdateForOneMillisecondAndABit", "TouchForOneMillisecondAndABit",
		"CreateForOddNanoseconds", "UpdateForOddNanoseconds", "TouchForOddNanoseconds",
	}},
	{"life overflows", mapsLife(func(ttl time.Duration) time.Duration {
		if ttl > 200*365*24*time.Hour {
			return 1
		}
		return ttl
	}), []string{"CreateForCenturies", "UpdateForCenturies", "TouchForCenturies"}},
	{
		"life of a year at most", refuses(func(rec store.Record) bool { return rec.TTL > 366*24*time.Hour }),
		[]string{"CreateForCenturies", "UpdateForCenturies", "TouchForCenturies"},
	},

	// contexts
	{"contexts ignored", ignoresContexts, []string{
		"CancelledLoad", "CancelledCreate", "CancelledUpdate", "CancelledTouch", "CancelledDelete",
		"TimedOutLoad", "TimedOutCreate", "TimedOutUpdate", "TimedOutTouch", "TimedOutDelete",
		"ReplaceCancelled", "ReplaceTimedOut", "UpdateOrLoadCancelled", "UpdateOrLoadTimedOut", "ListCancelled", "ListTimedOut",
		"KeepTTLCancelled", "KeepTTLTimedOut", "RemoveCancelled", "RemoveTimedOut",
		"CountCancelled", "CountTimedOut", "ClearCancelled", "ClearTimedOut", "PingCancelled", "PingTimedOut",
	}},
	{"contexts seen too late", func(f *full) store.Store {
		b := ignoresContexts(f).(*broken)
		load, create, update, touch, remove, deletes, clear := b.load, b.create, b.update, b.touch, b.remove, b.delete, b.clear
		b.load = func(ctx context.Context, id string) (store.Record, error) {
			rec, err := load(ctx, id)
			return rec, late(ctx, err)
		}
		b.create = func(ctx context.Context, rec store.Record) error { return late(ctx, create(ctx, rec)) }
		b.update = func(ctx context.Context, old, next store.Record) error { return late(ctx, update(ctx, old, next)) }
		b.touch = func(ctx context.Context, id string, ttl time.Duration) error { return late(ctx, touch(ctx, id, ttl)) }
		b.delete = func(ctx context.Context, id string) error { return late(ctx, deletes(ctx, id)) }
		b.remove = func(ctx context.Context, old store.Record) error { return late(ctx, remove(ctx, old)) }
		b.clear = func(ctx context.Context) error { return late(ctx, clear(ctx)) }
		return b
	}, []string{
		"CancelledCreate", "CancelledUpdate", "CancelledTouch", "CancelledDelete", "ClearCancelled",
		"InterruptedCreate", "InterruptedUpdate", "InterruptedDelete", "RemoveCancelled", "RemoveInterrupted",
	}},
	{"contexts end in the driver's words", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			if _, ok := ctx.Deadline(); ok {
				return store.Record{}, errors.New("i/o timeout")
			}
			return f.Load(ctx, id)
		}}
	}, []string{"InterruptedLoad", "TimedOutLoad"}},

	// errors
	{"errors of Load have the id", func(f *full) store.Store {
		return &broken{full: f, load: func(ctx context.Context, id string) (store.Record, error) {
			rec, err := f.Load(ctx, id)
			return rec, named(err, id)
		}}
	}, []string{"ErrorsOfLoadAreDiscreet", "LoadUnknown"}},
	{"errors of Create have the id", func(f *full) store.Store {
		return &broken{full: f, create: func(ctx context.Context, rec store.Record) error { return named(f.Create(ctx, rec), rec.ID) }}
	}, []string{"ErrorsOfCreateAreDiscreet", "CreateTwice"}},
	{"errors of Update have the data", func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			return named(f.Update(ctx, old, next), string(next.Data))
		}}
	}, []string{"ErrorsOfUpdateAreDiscreet", "UpdateConflict"}},
	{"errors of Touch have the id, inside", func(f *full) store.Store {
		return &broken{full: f, touch: func(ctx context.Context, id string, ttl time.Duration) error {
			if err := f.Touch(ctx, id, ttl); err != nil {
				return &store.Error{Store: "broken", Verb: "touch", Err: discreetOutside{named(err, strings.ToUpper(id))}}
			}
			return nil
		}}
	}, []string{"ErrorsOfTouchAreDiscreet", "TouchUnknown"}},

	// Replacer
	{"Replace leaves old", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			return f.Create(ctx, next)
		}}
	}, []string{"Replace", "ReplaceLoaded", "ReplaceUnknown", "ReplaceConflict"}},
	{"Replace creates no next", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			return f.Update(ctx, old, retired)
		}}
	}, []string{"Replace", "ReplaceExists"}},
	{"Replace removes old", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			err := f.Replace(ctx, old, retired, next)
			if err == nil {
				f.Delete(ctx, old.ID)
			}
			return err
		}}
	}, []string{"Replace"}},
	{"Replace in two steps, next first", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if err := f.Create(ctx, next); err != nil {
				return err
			}
			pause()
			return f.Update(ctx, old, retired)
		}}
	}, []string{"ReplaceUnknown", "ReplaceDeleted", "ReplaceConflict", "ReplaceStale", "ReplaceExpired", "RaceReplace", "RaceReplaceUpdate", "RaceReplaceIsOneStep"}},
	{"Replace in two steps, old first", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if err := f.Update(ctx, old, retired); err != nil {
				return err
			}
			pause()
			return f.Create(ctx, next)
		}}
	}, []string{"ReplaceExists", "RaceReplaceCreate", "RaceReplaceIsOneStep"}},
	{"Replace looks and then writes", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			stored, ok := f.peek(old.ID)
			if !ok {
				return store.ErrNotFound
			}
			if !same(stored, old) {
				return store.ErrConflict
			}
			if _, ok := f.peek(next.ID); ok {
				return store.ErrExists
			}
			pause()
			f.put(next)
			f.put(retired)
			return nil
		}}
	}, []string{"RaceReplace", "RaceReplaceUpdate", "RaceReplaceDelete", "RaceReplaceCreate"}},
	{"Replace waits for nobody", func(f *full) store.Store {
		var busy sync.Mutex
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if !busy.TryLock() {
				return &store.Error{Store: "broken", Verb: "replace", Class: "deadlock"}
			}
			defer busy.Unlock()
			pause()
			return f.Replace(ctx, old, retired, next)
		}}
	}, []string{"RaceReplace", "RaceReplaceCrosswise"}},
	{"Replace overwrites next", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if err := f.Update(ctx, old, retired); err != nil {
				return err
			}
			f.put(next)
			return nil
		}}
	}, []string{"ReplaceExists", "RaceReplaceCreate"}},
	{"Replace finds an expired next in use", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) (err error) {
			f.blindly(func(s *mapstore.Store) { _, err = s.Load(ctx, next.ID) })
			if err == nil {
				return store.ErrExists
			}
			return f.Replace(ctx, old, retired, next)
		}}
	}, []string{"ReplaceOverExpiredNext"}},
	{"Replace renews once", func(f *full) store.Store {
		var renewed sync.Map
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			if _, ok := renewed.Load(old.ID); ok {
				return store.ErrConflict
			}
			renewed.Store(next.ID, true)
			return f.Replace(ctx, old, retired, next)
		}}
	}, []string{"ReplaceAgainAndAgain"}},
	{"Replace gives both the same life", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			retired.TTL = max(retired.TTL, next.TTL)
			next.TTL = retired.TTL
			return f.Replace(ctx, old, retired, next)
		}}
	}, []string{"ReplaceSetsLifeOfRetired", "ReplaceSetsLifeOfNext"}},
	{"Replace changes all records", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			err := f.Replace(ctx, old, retired, next)
			if err == nil {
				for _, rec := range f.records() {
					if rec.ID != next.ID {
						f.put(store.Record{ID: rec.ID, Data: retired.Data, TTL: retired.TTL})
					}
				}
			}
			return err
		}}
	}, []string{"ReplaceLeavesOthersAlone"}},
	{"Replace is not supported but half done", func(f *full) store.Store {
		return &broken{full: f, replace: func(ctx context.Context, old, retired, next store.Record) error {
			f.Create(ctx, next)
			return errors.ErrUnsupported
		}}
	}, []string{"Replace"}},

	// UpdateLoader
	{"UpdateOrLoad returns the stale record", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			return old, f.Update(ctx, old, next)
		}}
	}, []string{"UpdateOrLoadConflict", "UpdateOrLoadStale", "RaceUpdateOrLoad", "RaceUpdateOrLoadCounter"}},
	{"UpdateOrLoad loads nothing", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			return store.Record{}, f.Update(ctx, old, next)
		}}
	}, []string{"UpdateOrLoadConflict", "UpdateOrLoadStale", "UpdateOrLoadNewestSurvives"}},
	{"UpdateOrLoad writes nothing", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			return f.Load(ctx, old.ID)
		}}
	}, []string{"UpdateOrLoad", "UpdateOrLoadLoaded"}},
	{"UpdateOrLoad creates", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			newest, err := f.UpdateOrLoad(ctx, old, next)
			if errors.Is(err, store.ErrNotFound) {
				f.put(next)
				return store.Record{}, nil
			}
			return newest, err
		}}
	}, []string{"UpdateOrLoadUnknown", "UpdateOrLoadDeleted", "UpdateOrLoadExpired"}},
	{"UpdateOrLoad of other content is no error", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			newest, err := f.UpdateOrLoad(ctx, old, next)
			if errors.Is(err, store.ErrConflict) {
				err = nil
			}
			return newest, err
		}}
	}, []string{"UpdateOrLoadConflict", "UpdateOrLoadStale"}},
	{"UpdateOrLoad looks and then writes", func(f *full) store.Store {
		return &broken{full: f, updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			rec, err := f.Load(ctx, old.ID)
			if err != nil {
				return rec, err
			}
			if !same(rec, old) {
				return rec, store.ErrConflict
			}
			pause()
			f.put(next)
			return store.Record{}, nil
		}}
	}, []string{"RaceUpdateOrLoad", "RaceUpdateOrLoadCounter"}},

	// Lister
	{"All yields expired records", func(f *full) store.Store {
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			var recs []store.Record
			f.blindly(func(s *mapstore.Store) {
				for id := range f.ids {
					if rec, err := s.Load(context.Background(), id); err == nil {
						recs = append(recs, rec)
					}
				}
			})
			return yields(ctx, recs)
		}}
	}, []string{"ListNoExpired"}},
	{
		"All yields a record twice", lists(func(recs []store.Record) []store.Record { return append(recs, recs[:min(1, len(recs))]...) }),
		[]string{"ListAll", "ListMany"},
	},
	{"All leaves one out", lists(func(recs []store.Record) []store.Record { return recs[min(1, len(recs)):] }), []string{"ListAll", "ListMany"}},
	{"All yields a hundred", lists(func(recs []store.Record) []store.Record { return recs[:min(100, len(recs))] }), []string{"ListMany"}},
	{"All yields nothing as something", lists(func(recs []store.Record) []store.Record {
		if len(recs) == 0 {
			recs = make([]store.Record, 1)
		}
		return recs
	}), []string{"ListNone"}},
	{"All yields encoded ids", lists(func(recs []store.Record) []store.Record {
		for i := range recs {
			recs[i].ID = url.PathEscape(recs[i].ID)
		}
		return recs
	}), []string{"ListOddIDs"}},
	{"All yields ids without data", lists(func(recs []store.Record) []store.Record {
		for i := range recs {
			recs[i].Data = nil
		}
		return recs
	}), []string{"ListAll"}},
	{"All yields what was created", func(f *full) store.Store {
		var made sync.Map
		return &broken{
			full: f,
			create: func(ctx context.Context, rec store.Record) error {
				made.Store(rec.ID, store.Record{ID: rec.ID, Data: bytes.Clone(rec.Data)})
				return f.Create(ctx, rec)
			},
			all: func(ctx context.Context) iter.Seq2[store.Record, error] {
				var recs []store.Record
				for _, rec := range made.Range {
					recs = append(recs, rec.(store.Record))
				}
				return yields(ctx, recs)
			},
		}
	}, []string{"ListNewestContent", "ListNoDeleted"}},
	{"All goes on where the last walk stopped", func(f *full) store.Store {
		var cursor int
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				recs := f.records()
				for cursor = min(cursor, len(recs)); cursor < len(recs); cursor++ {
					if !yield(recs[cursor], ctx.Err()) {
						cursor++
						return
					}
				}
				cursor = 0
			}
		}}
	}, []string{"ListBreak"}},
	{"All keeps others out", func(f *full) store.Store {
		var walking atomic.Bool
		return &broken{
			full: f,
			all: func(ctx context.Context) iter.Seq2[store.Record, error] {
				return func(yield func(store.Record, error) bool) {
					walking.Store(true)
					defer walking.Store(false)
					f.All(ctx)(yield)
				}
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				if walking.Load() {
					return &store.Error{Store: "broken", Verb: "touch", Class: "locked"}
				}
				return f.Touch(ctx, id, ttl)
			},
		}
	}, []string{"ListNested"}},
	{"All goes on after an error", func(f *full) store.Store {
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				for _, rec := range f.records() {
					if !yield(rec, ctx.Err()) {
						return
					}
				}
			}
		}}
	}, []string{"ListCancelled", "ListTimedOut", "ListCancelledOnTheWay"}},
	{"All ends early without an error", func(f *full) store.Store {
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				for rec, err := range f.All(context.WithoutCancel(ctx)) {
					if ctx.Err() != nil || !yield(rec, err) {
						return
					}
				}
			}
		}}
	}, []string{"ListCancelled", "ListCancelledOnTheWay"}},
	{"All counts its pages", func(f *full) store.Store {
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				if err := ctx.Err(); err != nil {
					yield(store.Record{}, err)
					return
				}
				const page = 10
				for offset := 0; ; offset += page {
					recs := f.records()
					slices.SortFunc(recs, func(a, b store.Record) int { return strings.Compare(b.ID, a.ID) })
					for _, rec := range recs[min(offset, len(recs)):min(offset+page, len(recs))] {
						if !yield(rec, nil) {
							return
						}
					}
					if offset+page >= len(recs) {
						return
					}
					pause()
				}
			}
		}}
	}, []string{"RaceList"}},

	// Counter
	{"Count counts expired records", func(f *full) store.Store {
		return &broken{full: f, count: func(ctx context.Context) (n int, err error) {
			f.blindly(func(s *mapstore.Store) {
				for id := range f.ids {
					if _, err := s.Load(context.Background(), id); err == nil {
						n++
					}
				}
			})
			return n, ctx.Err()
		}}
	}, []string{"CountNoExpired"}},
	{"Count counts calls", func(f *full) store.Store {
		var n atomic.Int64
		return &broken{
			full:   f,
			create: func(ctx context.Context, rec store.Record) error { n.Add(1); return f.Create(ctx, rec) },
			update: func(ctx context.Context, old, next store.Record) error { n.Add(1); return f.Update(ctx, old, next) },
			delete: func(ctx context.Context, id string) error { n.Add(-1); return f.Delete(ctx, id) },
			count:  func(ctx context.Context) (int, error) { return int(n.Load()), ctx.Err() },
		}
	}, []string{"Count", "CountAfterUpdateAndTouch", "CountNoExpired"}},
	{"Count counts the records of all stores", func() func(*full) store.Store {
		var n atomic.Int64
		return func(f *full) store.Store {
			return &broken{
				full:   f,
				create: func(ctx context.Context, rec store.Record) error { n.Add(1); return f.Create(ctx, rec) },
				count:  func(ctx context.Context) (int, error) { return int(n.Load()), ctx.Err() },
			}
		}
	}(), []string{"CountOwnRecordsOnly"}},

	// Clearer
	{"Clear leaves one", func(f *full) store.Store {
		return &broken{full: f, clear: func(ctx context.Context) error {
			recs := f.records()
			err := f.Clear(ctx)
			for _, rec := range recs[:min(1, len(recs))] {
				f.put(store.Record{ID: rec.ID, Data: rec.Data, TTL: time.Hour})
			}
			return err
		}}
	}, []string{"ClearRemovesAll"}},
	{"Clear of nothing is an error", func(f *full) store.Store {
		return &broken{full: f, clear: func(ctx context.Context) error {
			if len(f.records()) == 0 {
				return store.ErrNotFound
			}
			return f.Clear(ctx)
		}}
	}, []string{"ClearNone"}},
	{"Clear keeps the ids", func(f *full) store.Store {
		var cleared atomic.Bool
		return &broken{
			full:  f,
			clear: func(ctx context.Context) error { cleared.Store(true); return f.Clear(ctx) },
			create: func(ctx context.Context, rec store.Record) error {
				if cleared.Load() {
					return store.ErrExists
				}
				return f.Create(ctx, rec)
			},
		}
	}, []string{"ClearThenCreate"}},
	{"Clear clears all stores", func() func(*full) store.Store {
		var mu sync.Mutex
		var stores []*full
		return func(f *full) store.Store {
			mu.Lock()
			defer mu.Unlock()
			stores = append(stores, f)
			return &broken{full: f, clear: func(ctx context.Context) error {
				mu.Lock()
				defer mu.Unlock()
				for _, other := range stores {
					if err := other.Clear(ctx); err != nil {
						return err
					}
				}
				return nil
			}}
		}
	}(), []string{"ClearNoOtherStore"}},

	// Pinger
	{"Ping wants records", func(f *full) store.Store {
		return &broken{full: f, ping: func(ctx context.Context) error {
			if len(f.records()) == 0 {
				return &store.Error{Store: "broken", Verb: "ping", Class: "empty"}
			}
			return ctx.Err()
		}}
	}, []string{"Ping"}},
}

// pause gives others the time to come in between.
func pause() { time.Sleep(200 * time.Microsecond) }

func named(err error, secret string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", err, secret)
}

// discreetOutside hides the text of an error but not the error.
type discreetOutside struct{ err error }

func (e discreetOutside) Error() string { return "failed" }
func (e discreetOutside) Unwrap() error { return e.err }

// late returns the context's error after the call was made.
func late(ctx context.Context, err error) error {
	if _, ok := ctx.Deadline(); ok {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return &store.Error{Store: "broken", Outcome: store.OutcomeNotApplied, Err: ctx.Err()}
	}
	return err
}

func remarshal(data []byte) []byte {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return data
	}
	data, _ = json.Marshal(v)
	return data
}

// updateComparing is a store whose Update compares what is stored and what is
// expected to be by equal.
func updateComparing(equal func(stored, old []byte) bool) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{full: f, update: func(ctx context.Context, old, next store.Record) error {
			if rec, ok := f.peek(old.ID); ok && equal(rec.Data, old.Data) {
				old = rec
			}
			return f.Update(ctx, old, next)
		}}
	}
}

// withTokens is a store that counts touches, notes the count in the token and
// decides by it whether to compare the content: by believe for a loaded record,
// by accept for another.
func withTokens(believe func(f *full, old store.Record, touches int) bool, accept func(touches int) bool) func(*full) store.Store {
	return func(f *full) store.Store {
		touches := make(map[string]int)
		count := func(id string, add int) int {
			f.lock()
			defer f.mu.Unlock()
			touches[id] += add
			return touches[id]
		}
		judge := func(old store.Record) (store.Record, error) {
			n := count(old.ID, 0)
			switch {
			case old.Token == nil && accept != nil && !accept(n):
				return old, store.ErrConflict
			case old.Token == nil || believe == nil:
				return old, nil
			case !believe(f, old, n):
				return old, store.ErrConflict
			}
			if stored, ok := f.peek(old.ID); ok {
				return stored, nil
			}
			return old, nil
		}
		return &broken{
			full: f,
			load: func(ctx context.Context, id string) (store.Record, error) {
				rec, err := f.Load(ctx, id)
				rec.Token = count(id, 0)
				return rec, err
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				count(id, 1)
				return f.Touch(ctx, id, ttl)
			},
			update: func(ctx context.Context, old, next store.Record) error {
				old, err := judge(old)
				if err != nil {
					return err
				}
				return f.Update(ctx, old, next)
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				judged, err := judge(old)
				if err != nil {
					rec, _ := f.peek(old.ID)
					return rec, err
				}
				return f.UpdateOrLoad(ctx, judged, next)
			},
			replace: func(ctx context.Context, old, retired, next store.Record) error {
				old, err := judge(old)
				if err != nil {
					return err
				}
				return f.Replace(ctx, old, retired, next)
			},
			remove: func(ctx context.Context, old store.Record) error {
				old, err := judge(old)
				if err != nil {
					return err
				}
				return f.Remove(ctx, old)
			},
			all: func(ctx context.Context) iter.Seq2[store.Record, error] {
				recs := f.records()
				for i := range recs {
					recs[i].Token = count(recs[i].ID, 0)
				}
				return yields(ctx, recs)
			},
		}
	}
}

// translated is a store that makes something else of each record before it
// stores or looks for it.
func translated(in func(store.Record) (store.Record, error)) func(*full) store.Store {
	return func(f *full) store.Store {
		three := func(a, b, c store.Record) (x, y, z store.Record, err error) {
			x, errX := in(a)
			y, errY := in(b)
			z, errZ := in(c)
			return x, y, z, errors.Join(errX, errY, errZ)
		}
		return &broken{
			full: f,
			load: func(ctx context.Context, id string) (store.Record, error) {
				key, err := in(store.Record{ID: id, TTL: time.Hour})
				if err != nil {
					return key, err
				}
				rec, err := f.Load(ctx, key.ID)
				rec.ID = id
				return rec, err
			},
			create: func(ctx context.Context, rec store.Record) error {
				rec, err := in(rec)
				if err != nil {
					return err
				}
				return f.Create(ctx, rec)
			},
			update: func(ctx context.Context, old, next store.Record) error {
				old.TTL = time.Hour
				old, next, _, err := three(old, next, next)
				if err != nil {
					return err
				}
				return f.Update(ctx, old, next)
			},
			touch: func(ctx context.Context, id string, ttl time.Duration) error {
				rec, err := in(store.Record{ID: id, TTL: ttl})
				if err != nil {
					return err
				}
				return f.Touch(ctx, rec.ID, rec.TTL)
			},
			delete: func(ctx context.Context, id string) error {
				rec, err := in(store.Record{ID: id, TTL: time.Hour})
				if err != nil {
					return err
				}
				return f.Delete(ctx, rec.ID)
			},
			remove: func(ctx context.Context, old store.Record) error {
				old.TTL = time.Hour
				old, err := in(old)
				if err != nil {
					return err
				}
				return f.Remove(ctx, old)
			},
			replace: func(ctx context.Context, old, retired, next store.Record) error {
				old.TTL = time.Hour
				old, retired, next, err := three(old, retired, next)
				if err != nil {
					return err
				}
				return f.Replace(ctx, old, retired, next)
			},
			updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
				old.TTL = time.Hour
				old, next, _, err := three(old, next, next)
				if err != nil {
					return store.Record{}, err
				}
				return f.UpdateOrLoad(ctx, old, next)
			},
		}
	}
}

func mapsIDs(to func(string) string) func(*full) store.Store {
	return translated(func(rec store.Record) (store.Record, error) {
		rec.ID = to(rec.ID)
		return rec, nil
	})
}

func mapsData(to func([]byte) []byte) func(*full) store.Store {
	return translated(func(rec store.Record) (store.Record, error) {
		rec.Data = to(rec.Data)
		return rec, nil
	})
}

func mapsLife(to func(time.Duration) time.Duration) func(*full) store.Store {
	return translated(func(rec store.Record) (store.Record, error) {
		rec.TTL = to(rec.TTL)
		return rec, nil
	})
}

func refuses(what func(store.Record) bool) func(*full) store.Store {
	return translated(func(rec store.Record) (store.Record, error) {
		if what(rec) {
			return rec, &store.Error{Store: "broken", Class: "refused", Outcome: store.OutcomeNotApplied}
		}
		return rec, nil
	})
}

func ignoresContexts(f *full) store.Store {
	on := context.WithoutCancel
	return &broken{
		full:   f,
		load:   func(ctx context.Context, id string) (store.Record, error) { return f.Load(on(ctx), id) },
		create: func(ctx context.Context, rec store.Record) error { return f.Create(on(ctx), rec) },
		update: func(ctx context.Context, old, next store.Record) error { return f.Update(on(ctx), old, next) },
		touch:  func(ctx context.Context, id string, ttl time.Duration) error { return f.Touch(on(ctx), id, ttl) },
		delete: func(ctx context.Context, id string) error { return f.Delete(on(ctx), id) },
		remove: func(ctx context.Context, old store.Record) error { return f.Remove(on(ctx), old) },
		replace: func(ctx context.Context, old, retired, next store.Record) error {
			return f.Replace(on(ctx), old, retired, next)
		},
		updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			return f.UpdateOrLoad(on(ctx), old, next)
		},
		all:     func(ctx context.Context) iter.Seq2[store.Record, error] { return f.All(on(ctx)) },
		inspect: func(ctx context.Context, ids []string) ([]store.Record, error) { return f.Inspect(on(ctx), ids) },
		count:   func(ctx context.Context) (int, error) { return f.Count(on(ctx)) },
		clear:   func(ctx context.Context) error { return f.Clear(on(ctx)) },
		ping:    func(ctx context.Context) error { return f.Ping(on(ctx)) },
	}
}

// lists is a store whose All yields what change makes of the records.
func lists(change func([]store.Record) []store.Record) func(*full) store.Store {
	return func(f *full) store.Store {
		return &broken{full: f, all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return yields(ctx, change(f.records()))
		}}
	}
}

func yields(ctx context.Context, recs []store.Record) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(store.Record{}, err)
			return
		}
		for _, rec := range recs {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// reusesBytes is a store that overwrites all bytes that it handed out when it is
// given data with the text FIRST: only then, because the cases that look for
// this use one goroutine, and a store with a data race would fail the race
// detector and not the suite.
func reusesBytes(f *full) store.Store {
	handed := make(map[*byte][]byte)
	out := func(rec store.Record, err error) (store.Record, error) {
		if len(rec.Data) > 0 {
			rec.Data = bytes.Clone(rec.Data)
			f.lock()
			handed[&rec.Data[0]] = rec.Data
			f.mu.Unlock()
		}
		return rec, err
	}
	in := func(recs ...store.Record) {
		for _, rec := range recs {
			if bytes.Contains(rec.Data, []byte(`"FIRST"`)) {
				f.lock()
				for data := range maps.Values(handed) {
					copy(data, rec.Data)
				}
				f.mu.Unlock()
			}
		}
	}
	return &broken{
		full: f,
		load: func(ctx context.Context, id string) (store.Record, error) { return out(f.Load(ctx, id)) },
		create: func(ctx context.Context, rec store.Record) error {
			in(rec)
			return f.Create(ctx, rec)
		},
		update: func(ctx context.Context, old, next store.Record) error {
			err := f.Update(ctx, old, next)
			in(next)
			return err
		},
		replace: func(ctx context.Context, old, retired, next store.Record) error {
			err := f.Replace(ctx, old, retired, next)
			in(retired, next)
			return err
		},
		updateOrLoad: func(ctx context.Context, old, next store.Record) (store.Record, error) {
			return out(f.UpdateOrLoad(ctx, old, next))
		},
		inspect: func(ctx context.Context, ids []string) ([]store.Record, error) {
			recs, err := f.Inspect(ctx, ids)
			for i := range recs {
				recs[i], _ = out(recs[i], nil)
			}
			return recs, err
		},
		all: func(ctx context.Context) iter.Seq2[store.Record, error] {
			return func(yield func(store.Record, error) bool) {
				for rec, err := range f.All(ctx) {
					if !yield(out(rec, err)) {
						return
					}
				}
			}
		},
	}
}
