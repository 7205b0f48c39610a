#!/usr/bin/env bash
# Installs what this repository needs on Debian or Ubuntu: the one truth of it.
# `make setup`, the Vagrantfile, lima.yaml and CI run this file.
#
#   sudo vagrant/provision.sh            workshop, tests and micro-VM
#   sudo vagrant/provision.sh --minimal  the workshop only
#
# Run it as often as you like: it says in one line what it is about to do, and
# nothing when everything is there. All it needs is the distribution's mirror,
# as apt knows it, and the Go module proxy: Go's own download site is not asked.
set -euo pipefail

# What `go run ./step05-metrics` uses.
workshop=(ca-certificates git iproute2 iptables make procps sudo util-linux)

# What the tests and the micro-VM use on top. gcc and libc6-dev: everything is
# built with cgo and without.
tests=(containernetworking-plugins cpio debootstrap gcc libc6-dev nftables qemu-system-arm qemu-system-x86 shellcheck strace uidmap xz-utils zstd)

# The engines that final is tested with, by the command and the package that has it here: one that is there
# already may be of another packager, Docker's for one, and is left alone. Docker itself is tested where it
# is, and not installed: its daemon takes the machine's packet forwarding over.
engines=(catatonit:catatonit conmon:conmon containerd:containerd crun:crun podman:podman runc:runc skopeo:skopeo)

# Tested with where the distribution has it: vagrant has left Ubuntu's archive, and chromium, which looks at
# final's dashboard, is a snap there.
optional=(chromium vagrant)

# Any Go since 1.21 can fetch the toolchain that go.mod names. Older ones
# cannot even read the line.
oldest_go=21

# What the environment says of the way out.
way_out=GOPROXY,GOSUMDB,GONOSUMDB,http_proxy,https_proxy,no_proxy

say() { echo "provision: $*"; }
die() {
	echo "provision: $*" >&2
	exit 1
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=/usr/local/bin # on sudo's secure_path, unlike /usr/local/go/bin

main() {
	local packages=("${workshop[@]}")
	case "${1-}" in
	"") packages+=("${tests[@]}") ;;
	--minimal) engines=() optional=() ;;
	*) die "unknown argument $1: usage: provision.sh [--minimal]" ;;
	esac
	check_host
	install_packages "${packages[@]}"
	install_engines
	install_optional
	install_go
	fetch_modules
}

check_host() {
	[ "$(id -u)" = 0 ] || die "needs root: sudo $0"
	# shellcheck source=/dev/null
	. /etc/os-release
	case " $ID ${ID_LIKE-} " in
	*" debian "*) ;;
	*) die "$ID is not Debian or Ubuntu: install these by hand: ${workshop[*]} ${tests[*]}, and Go 1.$oldest_go or newer" ;;
	esac
}

# apt runs apt-get unattended, and waits when somebody else is at it.
apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# The lists are read once, and only if something is to be installed.
updated=
update() {
	[ -z "$updated" ] || return 0
	say "read the package lists"
	local try
	for try in 1 2 3; do
		if apt update; then
			updated=yes
			return
		fi
		sleep $((try * 5))
	done
	die "apt-get update failed three times: is there a network, and are the sources of apt in order?"
}

# install_packages installs those that are missing, nothing they only recommend, and removes none for them.
install_packages() {
	local missing
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	update
	say "install ${missing//$'\n'/ }"
	local said
	# shellcheck disable=SC2086 # a list
	said=$(apt install --yes --no-remove --no-install-recommends $missing 2>&1) || die "apt-get install failed: $said"
}

missing_packages() {
	local installed
	installed=$(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null | sed -n 's/^ii  *//p' || true)
	printf '%s\n' "$@" | grep --invert-match --line-regexp --fixed-strings --file=<(echo "$installed") || true
}

install_engines() {
	local engine packages=()
	for engine in "${engines[@]}"; do
		command -v "${engine%:*}" >/dev/null || packages+=("${engine#*:}")
	done
	[ ${#packages[@]} = 0 ] || install_packages "${packages[@]}"
}

install_optional() {
	local package
	for package in "${optional[@]}"; do
		[ -n "$(missing_packages "$package")" ] || continue
		update
		if apt-cache show "$package" >/dev/null 2>&1; then
			install_packages "$package"
		else
			say "no $package in this distribution: its tests will be skipped"
		fi
	done
}

# install_go sees to it that go and gofmt in $bin work in this repository.
install_go() {
	works "$bin/go" && return
	local go
	for go in "$(command -v go || true)" /usr/local/go/bin/go; do
		if [ "$go" != "$bin/go" ] && works "$go"; then
			say "link $go into $bin"
			ln -sf "$go" "$bin/go"
			ln -sf "$(dirname "$go")/gofmt" "$bin/gofmt"
			return
		fi
	done
	install_packaged_go
	works "$bin/go" || die "$bin/go cannot build this repository: $(cd "$repository" && "$bin/go" version 2>&1)"
}

# works says whether this go is one and can use, or fetch, the toolchain of go.mod.
works() { [ -x "$1" ] && (cd "$repository" && "$1" version >/dev/null 2>&1); }

# install_packaged_go installs the newest golang-1.NN-go that the distribution
# has. Its commands are in a directory of their own, and it may be set to stay
# as old as it is (GOTOOLCHAIN=local, in Ubuntu): the two files in $bin see to both.
install_packaged_go() {
	local package
	update
	package=$(newest_go)
	if [ -z "$package" ]; then
		add_backports
		package=$(newest_go)
	fi
	[ -n "$package" ] || die "this distribution has no Go 1.$oldest_go or newer: install one in /usr/local/go by hand"
	install_packages "$package"
	local version=${package#golang-}
	write_command go "exec /usr/lib/go-${version%-go}/bin/go"
	# The one that belongs to the toolchain in use, as go fmt does.
	write_command gofmt "exec \"\$($bin/go env GOROOT)/bin/gofmt\""
	say "fetch the Go toolchain that go.mod names"
}

write_command() {
	rm -f "$bin/$1" # not through a link
	cat >"$bin/$1" <<-END
		#!/bin/sh
		# written by provision.sh
		export GOTOOLCHAIN="\${GOTOOLCHAIN:-auto}"
		$2 "\$@"
	END
	chmod 755 "$bin/$1"
}

newest_go() {
	apt-cache pkgnames golang-1. | sed -n 's/^golang-1\.\([0-9]*\)-go$/\1/p' | sort -n |
		awk -v oldest=$oldest_go '$1 >= oldest { newest = $1 } END { if (newest) print "golang-1." newest "-go" }'
}

# add_backports adds Debian's backports of this release, from the mirror that
# the release itself comes from. apt takes nothing from there unless told to.
add_backports() {
	# shellcheck source=/dev/null
	. /etc/os-release
	[ "$ID" = debian ] || return 0
	local mirror suite="$VERSION_CODENAME-backports"
	# shellcheck disable=SC2016 # apt's own variables
	mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk -v release="$VERSION_CODENAME" '$1 == release && $2 == "main" { print $3; exit }')
	[ -n "$mirror" ] || return 0
	say "add $suite to the sources of apt, for Go"
	local list="/etc/apt/sources.list.d/$suite.list"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$list"
	updated=
	(update) || { # a mirror need not have it, and apt is to go on working
		rm -f "$list"
		die "$mirror has no $suite: install Go 1.$oldest_go or newer in /usr/local/go by hand"
	}
	updated=yes
}

# fetch_modules fills the module cache, so that everything after this works
# without a network. The cache is in the home directory: there is one of the
# user who builds here, and one of root, who runs the tests.
fetch_modules() {
	local user
	for user in "$(workshop_user)" root; do
		as "$user" "$bin/go" mod download || die "go mod download failed: is the Go module proxy within reach?"
	done
}

# workshop_user is whoever called sudo, or else the owner of the repository:
# Vagrant and Lima call this file as root.
workshop_user() {
	local user=${SUDO_USER:-$(stat --format %U "$repository")}
	if id "$user" >/dev/null 2>&1; then echo "$user"; else echo root; fi
}

# as runs a command in the repository as a user, who gets out the way we do.
as() {
	local user=$1
	shift
	(
		cd "$repository"
		if [ "$user" = root ]; then "$@"; else sudo --user "$user" --set-home --preserve-env=$way_out -- "$@"; fi
	)
}

main "$@"
