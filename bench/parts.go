package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A choice is a part that can be measured.
type choice struct {
	name  string
	large bool // takes minutes and gigabytes
	needs func(*servers) string
	do    func(ctx context.Context, s *servers, o options) (part, error)
}

func choices() []choice {
	return []choice{
		{"builds", false, needsGit, func(ctx context.Context, s *servers, o options) (part, error) { return compareBuilds(ctx, s, o) }},
		{"extensions", false, needsNothing, func(ctx context.Context, _ *servers, o options) (part, error) { return measureExtensions(ctx, o) }},
		{"growth", false, needsNothing, func(ctx context.Context, _ *servers, o options) (part, error) { return measureGrowth(ctx, o) }},
		{"tail", false, needsValkey, func(ctx context.Context, s *servers, o options) (part, error) { return measureTail(ctx, s, o) }},
		{"slow", false, needsNothing, func(ctx context.Context, _ *servers, o options) (part, error) { return measureSlow(ctx, o) }},
		{"pgo", true, needsNothing, func(ctx context.Context, s *servers, o options) (part, error) { return measureProfile(ctx, s, o) }},
		{"memory", true, needsNothing, func(ctx context.Context, _ *servers, o options) (part, error) { return measureCrowds(ctx, o) }},
		{"valkey", true, needsServers, func(ctx context.Context, _ *servers, o options) (part, error) { return measureFullValkeys(ctx, o) }},
	}
}

func partNames() (names []string) {
	for _, c := range choices() {
		names = append(names, c.name)
	}
	return names
}

func needsNothing(*servers) string { return "" }

func needsGit(*servers) string {
	if err := exec.Command("git", "-C", "..", "cat-file", "-e", earlier).Run(); err != nil { //nolint:noctx // takes no time
		return "git does not know the commit " + earlier
	}
	return ""
}

func needsValkey(s *servers) string {
	if s.valkey == "" {
		return "VALKEY_ADDR is not set"
	}
	return ""
}

// addParts measures those parts that are wanted and can be had.
func (r *results) addParts(ctx context.Context, s *servers, want func(choice) bool) error {
	for _, c := range choices() {
		if !want(c) {
			continue
		}
		if why := c.needs(s); why != "" {
			r.leaveOut(c.name + ", as " + why)
			continue
		}
		p, err := c.do(ctx, s, r.options)
		if errors.Is(err, errBusy) {
			r.leaveOut(c.name + ", as " + err.Error())
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		r.parts = append(r.parts, p)
	}
	return nil
}

// measureParts measures parts without all the rest: some of them to look at, or the large
// ones, which have a page of their own.
func measureParts(ctx context.Context, s *servers, o options) (err error) {
	r := &results{options: o}
	if r.machine, err = describe(ctx, s); err != nil {
		return err
	}
	only := strings.Split(o.only, ",")
	err = r.addParts(ctx, s, func(c choice) bool {
		return o.only == "" && c.large || slices.Contains(only, c.name)
	})
	if err != nil {
		return err
	}
	p := new(page)
	p.say("# What many sessions cost\n")
	p.say("Written by `make bench BENCH=-large`; [RESULTS.md](RESULTS.md) has all else.\n")
	for _, why := range r.left {
		p.say("**Left out: %s.**\n", why)
	}
	r.sayMachine(p)
	p.say("")
	r.sayTargets(p)
	for _, part := range r.parts {
		part.say(p)
	}
	text := strings.TrimRight(p.String(), "\n") + "\n"
	if o.only != "" {
		fmt.Print(text)
		return nil
	}
	judge(r.targets())
	name := filepath.Join(o.out, "LARGE.md")
	o.progress("written: %s", name)
	return os.WriteFile(name, []byte(text), 0o644)
}
