package main

import (
	"fmt"
	"math"
	"slices"
)

// The formulas of docs/capacity.md: what a session takes beside its record, in bytes.
const (
	memoryAround = 32 + 136 // the id, and what stores/memory has of each; the record is rounded up to a size of Go's allocator
	valkeyAround = 140
	slotAround   = 180 // for each of the slots of a cluster
	mostApart    = 0.1 // of what a formula says, by which it may be wrong
)

// A taken is what a session takes where there are so many, in bytes.
type taken struct {
	Sessions       int
	Bytes, Formula float64
}

// valkeyFormula is what a session of n takes in Valkey.
func valkeyFormula(record, n, servers int) float64 {
	const slots = 16_384
	each := float64(record + valkeyAround)
	if servers > 1 {
		each += slotAround * float64(min(n, slots)) / float64(n)
	}
	return each
}

// allocated is what Go's allocator gives for n bytes.
func allocated(n int) int { return cap(slices.Clone(make([]byte, n))) }

func headTaken(p *page) { p.head("", "sessions", "bytes a session", "by the formula", "ratio") }

func (t taken) say(p *page, where string) {
	p.row(where, thousands(int64(t.Sessions)), fmt.Sprintf("%.0f", t.Bytes), fmt.Sprintf("%.0f", t.Formula), fmt.Sprintf("%.2f", t.Bytes/t.Formula))
}

func (t taken) target(where string) target {
	times := t.Bytes / t.Formula
	return target{
		fmt.Sprintf("%s, %s sessions, bytes for each", where, thousands(int64(t.Sessions))), fmt.Sprintf("within %.0f %% of the formula of docs/capacity.md", 100*mostApart),
		fmt.Sprintf("%.2f x", times), math.Abs(times-1) <= mostApart,
	}
}
