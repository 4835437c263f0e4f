package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// leastGain is from where on a profile for the compiler is worth its place.
const leastGain = 0.05

// A profiled is today's build beside the same one that was compiled with a profile of itself.
type profiled struct{ builds }

func measureProfile(ctx context.Context, s *servers, o options) (p profiled, err error) {
	dir, err := os.MkdirTemp("", "cloakroom-bench")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(dir)
	plain, with, profile := filepath.Join(dir, "plain"), filepath.Join(dir, "with"), filepath.Join(dir, "cpu.pprof")
	o.progress("a profile for the compiler")
	if err := compile(ctx, ".", plain); err != nil {
		return p, err
	}
	app, err := startBuild(ctx, s, plain, profile)
	if err != nil {
		return p, err
	}
	for _, t := range turns {
		if t.valkey && s.valkey == "" || !t.usual {
			continue
		}
		if _, err := app.measure(t.kind, 20*t.n); err != nil {
			app.close()
			return p, err
		}
	}
	app.close()
	if err := compile(ctx, ".", with, "-pgo", profile); err != nil {
		return p, err
	}
	p.builds, err = takeTurns(ctx, s, o, "with a profile for the compiler", with, plain)
	return p, err
}

// say implements part.
func (p profiled) say(to *page) {
	to.say("## With a profile for the compiler\n")
	to.say("Processor time in microseconds of the same program, compiled with a profile of itself (`go build -pgo`) and without.\n")
	to.head("", "with", "without", "ratio")
	for _, t := range p.builds {
		to.row(turnNames[t.kind], microseconds(t.now), microseconds(t.then), fmt.Sprintf("%.2f", ratio(t.now, t.then)))
	}
	to.say("")
}

// targets implements part.
func (p profiled) targets() []target {
	var all []float64
	for _, t := range p.builds {
		all = append(all, 1-ratio(t.now, t.then))
	}
	gain := median(all)
	return []target{{
		"compiled with a profile of itself", fmt.Sprintf("less than the %.0f %% from which on one would be shipped", 100*leastGain), fmt.Sprintf("%.0f %% in the middle of %d kinds of work", 100*gain, len(all)), gain < leastGain,
	}}
}
