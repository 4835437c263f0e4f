#!/usr/bin/env bash
# Usage: scripts/rehearse.sh [vX.Y.Z [DIR]]
#
# Makes a release of the current commit in a copy of the repository, and tries
# it from outside: for every module that is released, an empty module that
# knows nothing of the others gets and builds it, from a git remote, by
# version. There neither go.work nor a replace directive counts, so that a
# wrong requirement shows that they hide here.
#
# Nothing outside DIR is changed. The copy is left in DIR/tree, with the commit
# and the tags that scripts/release.sh pushes; without DIR it is thrown away.
# Without a version, the newest one in CHANGELOG.md is taken.
set -euo pipefail
cd "$(dirname "$0")/.."
from=$PWD
version=${1:-v$(sed -nE 's/^## ([0-9][^ ]*).*/\1/p' CHANGELOG.md | head -n 1)}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] || { echo "not a version: $version" >&2; exit 2; }
dir=${2:-}
if [[ -z $dir ]]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
fi
tree=$dir/tree

# The tags that are there already are left behind: they would get in the way
# of a second rehearsal of the same version.
git clone -q --no-tags "$from" "$tree"
cd "$tree"
for key in user.name user.email; do
	git config "$key" "$(git -C "$from" config "$key" || echo rehearsal)"
done

export GOWORK=$tree/go.work
root=$(go list -m -f "{{if eq .Dir \"$tree\"}}{{.Path}}{{end}}" | grep .)
modules=$(go list -m -f '{{.Path}} {{.Dir}}')
export GOWORK=off

echo "--- $version: requirements"
while read -r module home; do
	while read -r other _; do
		if [[ $other != "$module" ]] && grep -qE "^(require)?[[:space:]]+$other v" "$home/go.mod"; then
			(cd "$home" && go mod edit -require="$other@$version")
		fi
	done <<<"$modules"
done <<<"$modules"
scripts/each-module.sh go mod tidy
git diff --quiet || git commit -qam "release $version"

# A command is installed by its version, which go refuses where its go.mod replaces modules: the tags are at a
# commit without that.
echo "--- $version: commands"
while read -r module home; do
	[[ -e $home/main.go && ! -e $home/.norelease ]] || continue
	while read -r other _; do
		(cd "$home" && go mod edit -dropreplace="$other")
	done <<<"$modules"
done <<<"$modules"
git diff --quiet || { git commit -qam "release $version: commands can be installed"; dropped=yes; }

echo "--- $version: tags"
while read -r module home; do
	sub=${home#"$tree"} sub=${sub#/}
	[[ -e $home/.norelease ]] || git tag "${sub:+$sub/}$version"
done <<<"$modules"
git tag
[[ -z ${dropped:-} ]] || git revert --no-edit HEAD >/dev/null

# The users' module cache is a new one; what the one of this machine holds of
# third parties is not downloaded again.
git config --file "$dir/gitconfig" "url.file://$tree/.git.insteadOf" "https://$root"
proxies=file://$(go env GOMODCACHE)/cache/download,$(go env GOPROXY)
flags="$(go env GOFLAGS) -modcacherw -trimpath"
export GIT_CONFIG_GLOBAL=$dir/gitconfig GOMODCACHE=$dir/modcache GOPROXY=$proxies GOFLAGS=${flags# }
export GOPRIVATE=$root GONOPROXY=$root GONOSUMDB=$root
while read -r module home; do
	[[ ! -e $home/.norelease ]] || continue
	echo "--- $version: a user of $module"
	user=$dir/users/${module//\//-}
	mkdir -p "$user"
	cd "$user"
	go mod init example.com/user 2>/dev/null
	go get "$module/...@$version"
	go build "$module/..."
	[[ ! -e $home/main.go ]] || GOBIN=$user/bin go install "$module@$version"
done <<<"$modules"
echo "--- $version: every module works from outside"
