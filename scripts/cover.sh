#!/usr/bin/env bash
# Usage: scripts/cover.sh PERCENT
#
# Prints which share of core's statements the tests of the root module run,
# and fails below PERCENT.
set -euo pipefail
min=${1:?usage: cover.sh PERCENT}
cd "$(dirname "$0")/.."
core=$(GOWORK=off go list -m)/core
packages=$core,$(GOWORK=off go list ./core/store ./core/internal/{async,jsontext,record,roster,seal,state,ticket,vault} | paste -sd,)

profile=$(mktemp)
trap 'rm -f "$profile"' EXIT
if ! out=$(GOWORK=off go test -coverpkg="$packages" -coverprofile="$profile" ./core/... 2>&1); then
	echo "$out" >&2
	exit 1
fi

# Functions that no test runs at all are what a reader wants to see first.
functions=$(GOWORK=off go tool cover -func="$profile")
awk '$NF == "0.0%"' <<<"$functions"
total=$(awk '$1 == "total:" { sub("%", "", $NF); print $NF }' <<<"$functions")
echo "core: $total% of statements covered, at least $min% wanted"
awk -v total="$total" -v min="$min" 'BEGIN { exit !(total != "" && total + 0 >= min + 0) }'
