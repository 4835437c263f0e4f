//go:build !linux

package main

import "time"

func pause(then time.Time) { time.Sleep(time.Until(then)) }
