//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// Containers are root's, but for those of the OCI runtime that have a user namespace: these anybody may have, with
// their states where other programs of the session have theirs.

// ownRoot is where this user's containers have their states.
func ownRoot() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) && kernel.OfUser() {
		return filepath.Join(dir, "simple-container/oci")
	}
	return kernel.OCIStateDir
}

// needPlace refuses an OCI verb to who is not root and has no such place, or has kept another's, as su(1) does.
func (s *session) needPlace(verb string) error {
	if os.Geteuid() == 0 || s.root != ownRoot() {
		return nil
	}
	err := errors.New("it is not set")
	if s.root != kernel.OCIStateDir {
		dir := os.Getenv("XDG_RUNTIME_DIR")
		if _, err = os.Stat(dir); err == nil {
			err = runtime.CheckPlace(dir)
		}
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: user %d has no place for states in XDG_RUNTIME_DIR: %w: "+
		"sudo final %[1]s ..., or final --root DIR %[1]s ...", verb, os.Geteuid(), err)
}

// needRoot refuses a verb to who is not root: in one piece, and before the first of many calls that the kernel
// would refuse. Who is root of a user namespace passes, and may do there what the namespace allows.
func needRoot(verb string) error {
	if os.Geteuid() == 0 {
		return nil
	}
	return fmt.Errorf("%s: must be root, for namespaces, mounts and cgroups, and this is user %d: sudo final %s ...",
		verb, os.Geteuid(), verb)
}
