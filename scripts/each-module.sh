#!/usr/bin/env bash
# Usage: scripts/each-module.sh COMMAND [ARG...]
#
# Runs the command in the directory of every module of go.work, goes on after
# a failure, and fails at the end if any of them failed.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$PWD
modules=$(GOWORK=$top/go.work go list -m -f '{{.Dir}}')

failed=()
while read -r dir; do
	name=${dir#"$top"} name=${name#/}
	echo "--- ${name:-.}"
	(cd "$dir" && "$@") || failed+=("${name:-.}")
done <<<"$modules"

if ((${#failed[@]})); then
	echo "failed in: ${failed[*]}" >&2
	exit 1
fi
