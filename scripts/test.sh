#!/usr/bin/env bash
# Usage: scripts/test.sh RACE PACKAGE... [-- PACKAGE...]
#
# Runs the tests of the packages that have any: those in front of the two dashes with RACE,
# which is -race or nothing, and those behind without, also where they are among the former.
set -euo pipefail
cd "$(dirname "$0")/.."
race=$1 packages=() plain=()
shift
while (($#)) && [[ $1 != -- ]]; do packages+=("$1"); shift; done
shift $(($# > 0))
# Go test would compile the others too, for the detector, with all that the examples depend on.
tested() { go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' "$@" | awk '!seen[$0]++'; }
(($# == 0)) || mapfile -t plain < <(tested "$@")
mapfile -t packages < <(tested "${packages[@]}" | grep -vxF -f <(printf '%s\n' "${plain[@]:--}"))
((${#packages[@]})) || { echo "test.sh: there is nothing to test" >&2; exit 1; }

# Both at once: each waits for servers, browsers and clocks most of the time.
# Go vet is for make vet, and what a debugger wants is left out: both take a while.
cores=$(getconf _NPROCESSORS_ONLN) failed=0 pids=()
flags=(-count=1 -timeout 30m -vet=off '-ldflags=-s -w')
go test ${race:+"$race"} -p $((cores + 1)) "${flags[@]}" "${packages[@]}" & pids+=($!)
((${#plain[@]} == 0)) || { go test -p "$cores" "${flags[@]}" "${plain[@]}" & pids+=($!); }
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
exit $failed
