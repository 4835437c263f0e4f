#!/usr/bin/env bash
# Usage: scripts/node-check.sh
#
# Succeeds where Node.js 20 or newer and npm are there, which the tests beside
# the real express-session and those with axe-core need, and nothing else. Where they are not, those
# tests are skipped: it says so on stderr. Where CI is set that is a failure.
set -euo pipefail

if ! command -v npm >/dev/null; then
	reason='there is no npm'
elif ! version=$(node --version 2>/dev/null); then
	reason='there is no node'
elif major=${version#v} && ((${major%%.*} < 20)); then
	reason="node is $version"
else
	exit 0
fi

cat >&2 <<EOT
**************************************************************************
The tests beside the real express-session, and those of the shop's pages with
axe, are LEFT OUT: they need Node.js 20 or newer with npm, and $reason.
  Debian 13, Ubuntu 25.04:  apt-get install nodejs npm
  Fedora:                   dnf install nodejs
  Alpine:                   apk add nodejs npm
  macOS:                    brew install node
**************************************************************************
EOT
[[ -z ${CI:-} ]]
