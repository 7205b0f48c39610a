//go:build linux

package main

import (
	"fmt"
	"os"
)

// needRoot refuses a verb to who is not root: in one piece, and before the first of many calls that the kernel
// would refuse. Who is root of a user namespace passes, and may do there what the namespace allows.
func needRoot(verb string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("%s: must be root, for namespaces, mounts and cgroups, and this is user %d: sudo final %s ...",
		verb, os.Geteuid(), verb)
}
