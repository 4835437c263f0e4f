#!/usr/bin/env bash
# Usage: browsers=$(scripts/chromium.sh) && set -a && eval "$browsers" && go test ./tests/browser
#        scripts/chromium.sh find
#
# Prints which Chromium the tests use, as assignments for a shell:
#
#   CHROMIUM         a whole one: what CHROMIUM names, or what the PATH has
#   CHROMIUM_SHELL   the headless shell of Chromium, for the tests to which both are the same: it has no windows, takes a
#                    third of the time, keeps no pages for the back button, and binds no sessions. It is what
#                    CHROMIUM_SHELL names, or chromium-headless-shell on the PATH
#
# On Debian, what is missing of these is unpacked from Debian's packages below TESTSERVERS_DIR (see scripts/servers.sh;
# up to 560 MB) and runs there, without root and without a change to the system; a whole one only where CI is set. Where
# one of the two is missing, the other serves all tests, but those of what only a whole one does are skipped. Where both
# are, it says so on stderr, and all tests in a browser are skipped; where CI is set that is a failure.
#
# With find it prints the path of a whole one that is there, fetches nothing, and fails where there is none.
set -euo pipefail
umask 022

DIR=${TESTSERVERS_DIR:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/cloakroom-testservers}
mkdir -p "$DIR" && DIR=$(cd "$DIR" && pwd -P)
SHELL_ROOT=$DIR/chromium WHOLE_ROOT=$DIR/chromium-whole

# Unpacks a package of Debian's, with what it needs and the system does not have, into a folder. Packages of Chromium are
# taken even if the system has them: their programs look for files beside their own.
unpack() {
	package=$1 root=$2
	new=$(mktemp -d -p "$DIR")
	trap 'rm -rf "$new"' EXIT
	cd "$new"
	mkdir -p apt/lists/partial apt/cache/archives/partial debs
	apt=(apt-get -qq -o Dir::State::lists="$new/apt/lists" -o Dir::Cache="$new/apt/cache" -o Debug::NoLocking=true
		-o APT::Sandbox::User="$(id -un)" -o APT::Install-Recommends=false -o Acquire::Languages=none -o Acquire::Retries=3)
	"${apt[@]}" update
	"${apt[@]}" -s --reinstall install "$package" chromium-common fonts-dejavu-core |
		sed -n 's/^Inst \([^ ]*\) .*(\([^ ]*\) .*/\1=\2/p' >list
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
	rm -rf "$root"
	mv "$new" "$root"
}
if [[ ${1:-} == unpack ]]; then
	echo "chromium.sh: unpacking Debian's $2" >&2
	unpack "$2" "$3" >&2
	exit
fi

# Prints the path of the first program that is there.
first() {
	for name; do
		[[ -z $name ]] || ! command -v "$name" || return 0
	done
	return 1
}
find_whole() { first "${CHROMIUM:-}" chromium chromium-browser google-chrome chrome "$WHOLE_ROOT/run"; }
find_shell() { first "${CHROMIUM_SHELL:-}" chromium-headless-shell "$SHELL_ROOT/run"; }

if [[ ${1:-} == find ]]; then
	find_whole
	exit
fi

reason='there is no program of that name, and this is not Debian'
debian() { [[ $(uname -s) == Linux ]] && grep -qs '^ID=debian$' /etc/os-release; }
# A process of its own stops at the first failure, as a function would not here.
fetch() { bash "${BASH_SOURCE[0]}" unpack "$@" || { reason="Debian's packages do not run here: see above" && false; }; }

shell=$(find_shell) || { debian && fetch chromium-headless-shell "$SHELL_ROOT" && shell=$SHELL_ROOT/run; } || true
whole=$(find_whole) || { [[ -n ${CI:-} ]] && debian && fetch chromium "$WHOLE_ROOT" && whole=$WHOLE_ROOT/run; } || true
printf 'CHROMIUM=%q\nCHROMIUM_SHELL=%q\n' "$whole" "$shell"
[[ -z $whole ]] || exit 0
if [[ -n $shell ]]; then
	echo "chromium.sh: there is the headless shell alone, so sessions that are bound to their browser are NOT TESTED there: that needs a whole Chromium" >&2
else
	cat >&2 <<-EOT
		**************************************************************************
		The tests in a browser are LEFT OUT: they need Chromium, and $reason.
		  Debian:   apt-get install chromium
		  Fedora:   dnf install chromium
		  Alpine:   apk add chromium
		  macOS:    brew install --cask chromium, and set CHROMIUM to its program
		**************************************************************************
	EOT
fi
[[ -z ${CI:-} ]]
