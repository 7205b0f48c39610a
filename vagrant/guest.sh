#!/usr/bin/env bash
# Makes a VM ready for the workshop: run in the guest, as root, by the
# Vagrantfile each time the VM comes up, and by hand under Lima.
#
# The repository is a folder of the host's there. Such a folder (vboxsf, 9p,
# virtiofs) holds no device nodes, no other owners, often no links, so two
# directories of it are put on the guest's own disk: rootfs, the root file
# system that the steps look for, and .cache, where the micro-VM unpacks
# packages. Go's build cache is in the guest's home directory anyway.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
disk=/var/lib/simple-container-workshop

"$repository/vagrant/provision.sh" "$@"

owner=$(stat --format %u:%g "$repository")
for name in rootfs .cache; do
	! mountpoint --quiet "$repository/$name" || continue
	mkdir --parents "$disk/$name" "$repository/$name"
	if [ "$name" = rootfs ] && [ -z "$(ls --almost-all "$disk/rootfs")" ]; then
		# Made before it is a mount point, which no rename can replace.
		(cd "$repository" && /usr/local/bin/go run ./final rootfs "$disk/rootfs" >/dev/null)
	fi
	[ "$name" = rootfs ] || chown "$owner" "$disk/$name"
	mount --bind "$disk/$name" "$repository/$name"
done

# go asks git for the commit it builds. For root git refuses: the folder is not root's.
git config --system --get-all safe.directory 2>/dev/null | grep --quiet --line-regexp --fixed-strings "$repository" ||
	git config --system --add safe.directory "$repository"
