#!/usr/bin/env bash
# Usage: scripts/fuzz.sh DURATION [PATTERN]
#
# Runs every fuzz test of every module, or those whose names match PATTERN, for
# DURATION each (such as 30s or 10m) with two workers, and goes on after one
# that failed. Inputs that fail are written to testdata/fuzz of the package.
#
# A run that finds nothing ends well however busy the machine is: each package is
# built before its time begins, and a worker that was late at the end of its time
# is no failure.
set -euo pipefail
time=${1:?usage: fuzz.sh DURATION [PATTERN]}
pattern=${2:-.}
cd "$(dirname "$0")/.."
corpora=$(go env GOCACHE)/fuzz # where go test keeps what it found, too
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The go command itself takes one fuzz test at a time, and one package.
listing=$(go test -list '^Fuzz' work)
failed=() count=0 names=()

fuzz() { # fuzz PACKAGE NAME DIR
	local rc=0 log=$tmp/log
	echo "--- $1 $2"
	(cd "$3" && "$tmp/fuzz.test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$time" -test.fuzzminimizetime 10s \
		-test.parallel 2 -test.fuzzcachedir "$corpora/$1") >"$log" 2>&1 || rc=$?
	grep -vE '^fuzz: (elapsed|minimizing)' "$log" || true
	grep -E '^fuzz: elapsed' "$log" | tail -n 1 || true
	# Before Go 1.27 the end of the time may come out as a failure
	# (golang.org/issue/75804).
	if ((rc)) && ! { grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written to' "$log"; }; then
		failed+=("$2")
	fi
}

while read -r first second _; do
	case $first in
	Fuzz*) [[ ! $first =~ $pattern ]] || names+=("$first") ;;
	ok)
		if ((${#names[@]})); then
			dir=$(go list -f '{{.Dir}}' "$second")
			go test -c -fuzz . -o "$tmp/fuzz.test" "$second"
			for name in "${names[@]}"; do
				fuzz "$second" "$name" "$dir"
				count=$((count + 1))
			done
		fi
		names=()
		;;
	esac
done <<<"$listing"

((count)) || { echo "no fuzz test matches $pattern" >&2; exit 1; }
if ((${#failed[@]})); then
	echo "failed: ${failed[*]}" >&2
	exit 1
fi
echo "$count fuzz tests found nothing in $time each"
