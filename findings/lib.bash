# What every finding shares: it prints the script's header, makes a folder that goes away at the end, puts pinned packages
# in there, and compares what is seen now with the lines under "Seen:" in that header.
set -euo pipefail
script=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off GOFLAGS=-mod=mod
sed -n '2,/^$/s/^# \{0,1\}//p' "$script"
echo '--- now:'

# quiet COMMAND...: its output only where it fails
quiet() { "$@" >quiet.log 2>&1 || { cat quiet.log >&2; return 1; }; }

# go_get MODULE@VERSION...: a Go module of our own that requires them
go_get() { [[ -e go.mod ]] || quiet go mod init finding; quiet go get "$@"; }

# npm_get PACKAGE@VERSION...
npm_get() { quiet npm install --no-audit --no-fund --no-save "$@"; }

# deb_get PACKAGE=VERSION...: unpacked in root/, whose programs find their libraries there
deb_get() {
	mkdir -p root debs
	(cd debs && quiet apt-get download "$@")
	for deb in debs/*.deb; do dpkg-deb -x "$deb" root; done
	export PATH="$work/root/usr/bin:$work/root/usr/sbin:$PATH"
	LD_LIBRARY_PATH=$(find "$work/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
	export LD_LIBRARY_PATH
}

# await COMMAND...: until it succeeds
await() { until "$@" >/dev/null 2>&1; do sleep 0.1; done; }

# free_port: a port of the loopback address that nobody listens at
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })'; }

# seen: standard input, which has to be what the header says
seen() {
	tee now
	diff <(sed -n '/^# Seen:/,/^# [A-Z]/s/^#   //p' "$script") now >difference || {
		echo '--- this has changed:' >&2
		cat difference >&2
		exit 1
	}
	echo '--- as written down'
}
