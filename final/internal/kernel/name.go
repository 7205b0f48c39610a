//go:build linux

package kernel

import "strings"

// Prefix begins the name of everything that a container has on the host: simple-container-ID is its cgroup,
// the alias of its link and the comment of its packet filter rules. So a clean-up needs no memory of what
// happened.
const Prefix = "simple-container-"

// StateDir holds one directory per container, named by the container's id.
const StateDir = "/run/simple-container"

// The containers of the OCI runtime have places of their own. Their ids are whatever an engine likes, and they
// live without a process of ours that could hold a lock: a clean-up by name is not for them.
const (
	OCIPrefix   = "oci-" + Prefix
	OCIStateDir = StateDir + "/oci"
)

// ID returns the container's id in the name of something on the host. It is strict, 12 lower-case
// hexadecimal digits: what follows from it is a removal.
func ID(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, Prefix)
	return id, ok && IsID(id)
}

// IsID tells whether name is a container's id.
func IsID(name string) bool {
	return len(name) == 12 && strings.Trim(name, "0123456789abcdef") == ""
}
