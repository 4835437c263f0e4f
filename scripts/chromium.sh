#!/usr/bin/env bash
# Usage: CHROMIUM=$(scripts/chromium.sh) go test ./tests/browser
#        scripts/chromium.sh find
#
# Prints the path of a Chromium for the tests: what CHROMIUM names, or what the
# PATH has; else, on Debian, one from Debian's packages, which are unpacked below
# TESTSERVERS_DIR (see scripts/servers.sh; up to 560 MB) and run there, without
# root and without a change to the system. That one has no windows: it takes half
# the time, keeps no pages for the back button, and binds no sessions: the tests of
# that are skipped. Where CI is set it is a whole one. Where none can be had, it prints
# nothing and says so on stderr, and the tests are skipped. Where CI is set that is a
# failure. With find it looks, and fetches nothing.
set -euo pipefail
umask 022

DIR=${TESTSERVERS_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cloakroom-testservers}
mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd -P)
ROOT=$DIR/chromium package=chromium-headless-shell
[[ -z ${CI:-} ]] || ROOT=$DIR/chromium-whole package=chromium

# What the system has already is not unpacked again: it is this release of Debian's.
unpack() {
	new=$(mktemp -d -p "$DIR")
	trap 'rm -rf "$new"' EXIT
	cd "$new"
	mkdir -p apt/lists/partial apt/cache/archives/partial debs
	apt=(apt-get -qq -o Dir::State::lists="$new/apt/lists" -o Dir::Cache="$new/apt/cache" -o Debug::NoLocking=true
		-o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Retries=3)
	"${apt[@]}" update
	"${apt[@]}" -s install "$package" fonts-dejavu-core |
		awk '/^Inst /{v=$3; sub(/^\(/,"",v); print $2 "=" v}' >list
	(cd debs && xargs -r "${apt[@]}" download <../list)
	for deb in debs/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --no-same-owner --no-same-permissions --keep-directory-symlink; done
	rm -rf apt debs
	chmod -R u+w,a+rX .
	cat >fonts.conf <<-C
		<fontconfig>
		<dir>/usr/share/fonts</dir><dir prefix="relative">usr/share/fonts</dir><cachedir prefix="xdg">fontconfig</cachedir>
		</fontconfig>
	C
	cat >run <<-'W'
		#!/bin/sh
		r=$(cd "${0%/*}" && pwd)
		for d in "$r"/lib/*-linux-gnu* "$r"/usr/lib/*-linux-gnu* "$r"/usr/lib/*-linux-gnu*/pulseaudio "$r"/usr/lib/*-linux-gnu*/nss; do
			[ ! -d "$d" ] || LD_LIBRARY_PATH=$d${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
		done
		export LD_LIBRARY_PATH FONTCONFIG_FILE="$r/fonts.conf"
		exec "$r/usr/lib/chromium/PACKAGE" "$@"
	W
	sed -i "s/PACKAGE/$package/" run
	chmod 755 run
	./run --headless --no-sandbox --dump-dom 'data:text/html,<p>it runs</p>' 2>log | grep 'it runs' >/dev/null || { cat log; exit 1; } >&2
	rm -rf "$ROOT"
	mv "$new" "$ROOT"
}
if [[ ${1:-} == unpack ]]; then
	unpack >&2
	exit
fi

# Prints the path, and what that one cannot do.
found() {
	echo "$1"
	[[ $1 != *headless-shell && $1-$package != $ROOT/run-*headless-shell ]] ||
		echo "chromium.sh: this is the headless shell, so sessions that are bound to their browser are NOT TESTED there: that needs a whole Chromium" >&2
}

for name in ${CHROMIUM:+"$CHROMIUM"} chromium chromium-browser google-chrome chrome chromium-headless-shell "$ROOT/run"; do
	if path=$(command -v "$name"); then
		if [[ ${1:-} == find ]]; then echo "$path"; else found "$path"; fi
		exit
	fi
done

[[ ${1:-} != find ]] || exit 1
reason='there is no program of that name, and this is not Debian'
if [[ $(uname -s) == Linux ]] && grep -qs '^ID=debian$' /etc/os-release; then
	echo "chromium.sh: unpacking Debian's Chromium" >&2
	if bash "${BASH_SOURCE[0]}" unpack; then # which stops at the first failure, as a function would not here
		found "$ROOT/run"
		exit
	fi
	reason="Debian's packages do not run here: see above"
fi

cat >&2 <<EOT
**************************************************************************
The tests in a browser are LEFT OUT: they need Chromium, and $reason.
  Debian:   apt-get install chromium
  Fedora:   dnf install chromium
  Alpine:   apk add chromium
  macOS:    brew install --cask chromium, and set CHROMIUM to its program
**************************************************************************
EOT
[[ -z ${CI:-} ]]
