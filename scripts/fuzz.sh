#!/usr/bin/env bash
# Usage: scripts/fuzz.sh DURATION
#
# Runs every fuzz test of every module for DURATION each: the go command itself
# takes one fuzz test at a time.
set -euo pipefail
time=${1:?usage: fuzz.sh DURATION}
cd "$(dirname "$0")/.."

# The listing names a package's tests first, then the package.
listing=$(go test -list '^Fuzz' work)
names=()
while read -r first second _; do
	case $first in
	Fuzz*) names+=("$first") ;;
	ok)
		for name in ${names[@]+"${names[@]}"}; do
			echo "--- $second $name"
			go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$second"
		done
		names=()
		;;
	esac
done <<<"$listing"
