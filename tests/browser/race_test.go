//go:build race

package browser

func init() { buildFlags = append(buildFlags, "-race") }
