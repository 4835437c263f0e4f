package core

import (
	"fmt"
	"testing"
	"time"
)

func TestRecentRemembersTheLatestAndForgetsTheOldest(t *testing.T) {
	start := time.Now()
	r := newRecent(rememberTouched)
	const ids = rememberTouched / 8
	for i := range ids {
		r.put(fmt.Sprint(i), start.Add(time.Duration(i)), lifespan{idle: time.Hour})
	}
	forgotten := 0
	for i := range ids {
		if !r.within(fmt.Sprint(i), start.Add(ids), time.Minute) {
			forgotten++
		}
	}
	if forgotten > ids/100 {
		t.Errorf("%d of %d ids are forgotten in a table that has room for eight times as many", forgotten, ids)
	}
	if last := r.last(fmt.Sprint(ids - 1)); last.life.idle != time.Hour || !last.at.Equal(start.Add(ids-1)) {
		t.Errorf("last returned %+v", last)
	}
	if r.within("never noted", start, time.Hour) || r.last("never noted") != (recentSlot{}) {
		t.Error("something is remembered of an id that was never noted")
	}

	small := newRecent(len(r.shards) * ways) // one group in each shard
	for i := range 1000 {
		small.put(fmt.Sprint(i), start.Add(time.Duration(i)), lifespan{})
	}
	if !small.within("999", start.Add(1000), time.Minute) || small.within("0", start.Add(1000), time.Minute) {
		t.Error("a full table does not prefer the latest")
	}
}
