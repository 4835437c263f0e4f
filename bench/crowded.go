package main

import "context"

const crowdedCommand = "crowded"

func measureCrowded(context.Context, string, string) error { return nil }
