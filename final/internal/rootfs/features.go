//go:build linux

package rootfs

import "slices"

// MountOptions returns the names of the options of a mount that mean something here; all others are the file
// system's.
func MountOptions() (names []string) {
	for _, table := range [][]flagOption{attributeOptions, superOptions, propagations} {
		for _, o := range table {
			names = append(names, o.name)
		}
	}
	for _, o := range attributeOptions {
		names = append(names, "r"+o.name)
	}
	names = append(names, "bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap", "defaults")
	slices.Sort(names)
	return names
}
