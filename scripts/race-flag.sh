#!/usr/bin/env bash
# Usage: go test $(scripts/race-flag.sh) ...
#
# Prints -race where this machine can build the race detector, which takes a C
# compiler. Where it cannot, the tests run without: it prints nothing and says
# so on stderr. Where CI is set that is a failure, because there nobody would
# notice that data races were not looked for.
set -euo pipefail

if reason=$(go build -race runtime/cgo 2>&1); then
	echo -race
	exit
fi

cat >&2 <<EOT
**************************************************************************
The race detector is LEFT OUT: it needs a C compiler and its headers.
  Debian, Ubuntu:  apt-get install gcc libc6-dev
  Fedora:          dnf install gcc glibc-devel
  Alpine:          apk add gcc musl-dev
  macOS:           xcode-select --install
The go command says: $reason
**************************************************************************
EOT
[[ -z ${CI:-} ]]
