//go:build !unix

package main

import "time"

var started = time.Now()

// processorTime returns the time that has passed, where the system has no
// better answer.
func processorTime() time.Duration { return time.Since(started) }
