#!/usr/bin/env bash
# Usage: scripts/release.sh vX.Y.Z [REMOTE]
#
# Releases every module of the workspace at one version: rehearses the release
# (scripts/rehearse.sh), tests each module by itself as it was rehearsed, and
# only then pushes the commit and the tags, all or none. A module whose
# directory holds a file named .norelease gets no tag.
#
# A version that was pushed cannot be taken back, only retracted.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: release.sh vX.Y.Z [REMOTE]}
remote=${2:-origin}
branch=$(git symbolic-ref --short HEAD)
url=$(git remote get-url --push "$remote")

refuse() {
	echo "not released: $*" >&2
	exit 1
}
[[ -z $(git status --porcelain) ]] || refuse "the work tree is not clean"
grep -qE "^## ${version#v} - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
	refuse "CHANGELOG.md has no line \"## ${version#v} - $(date +%F)\""
[[ -z $(git ls-remote --tags "$remote" "refs/tags/$version") ]] || refuse "$version is released already"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
scripts/rehearse.sh "$version" "$tmp"
(
	cd "$tmp/tree"
	make tidy-check vet lint api-check
	GOWORK=off scripts/each-module.sh go test ./...
)
mapfile -t tags < <(git -C "$tmp/tree" tag)
git -C "$tmp/tree" push --atomic "$url" "HEAD:refs/heads/$branch" "${tags[@]}"
git pull -q --ff-only --tags "$remote" "$branch"
