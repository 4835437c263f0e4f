#!/usr/bin/env bash
# Usage: scripts/soak.sh FOR
#
# Runs the long forms of the tests of the guarantees, such as FOR=10m of histories
# on each store, and prints their figures. The short forms are in make test, with
# the race detector; here time counts.
set -euo pipefail
cd "$(dirname "$0")/.."
export SOAK=$1

run() { # run PACKAGE [TEST]: its figures, each with its test, without what only says that it went well
	go test -count=1 -timeout 0 -v -run "${2:-.}" "./$1" | awk '
		/^===/ { if ($2 != "PAUSE") name = $3; next }
		/^ *--- (PASS|SKIP)|^PASS$|, killed (before|after)|allowed:|: found in|performed as|other calls were made|cannot change these two/ { next }
		sub(/^ *[a-z_]*\.go:[0-9]+: /, "") { $0 = name ": " $0 }
		{ print; fflush() }'
}

failed=()
for what in "tests/adapters ^TestAdapters$" "tests/interleavings" "tests/histories" "tests/crashes" "tests/memory" "stores/valkey ^TestStore$" \
	"tests/valkey ^Test(FaultMatrix|FaultMatrixCluster|ExactlyOnce|Outage|ThreeProcesses|UsersOfThreeProcesses|Adapters|AdaptersCluster|AdaptersCaching|CachingOwnWrites)$" \
	"tests/mongo ^Test(FaultMatrix|ExactlyOnce|Outage|ThreeProcesses|UsersOfThreeProcesses|StepDown|Adapters)$" \
	"tests/sql" "stores/sqlite ^Test(Store|KilledProcesses|KilledBetweenStatements|NobodyStarves|ManyWritersAreTenTimesAsFastAsWithAWaitForTheDiskEach|OneWriterLosesLittle|AReadCostsLittleMoreThanTheDrivers)$" \
	"predecessors ^TestOnlyTheFirstRequestPaysForTakingOver$" \
	"tests/valkeytopology ^Test(Cluster|TLSServer|OldServer|Crash|Hang|Reshard|ClusterFailover|LogoutsThroughFailover|Sentinel)$"; do
	read -r package tests <<<"$what"
	echo "=== $package"
	run "$package" "$tests" || failed+=("$package")
done
if ((${#failed[@]})); then
	echo "FAILED: ${failed[*]}" >&2
	exit 1
fi
