//go:build linux

package confine

// A Host is what the runtime's side knows about the machine and about the namespaces of a container. All
// else follows from the specification.
type Host struct {
	LastCapability int      // /proc/sys/kernel/cap_last_cap
	Held           uint64   // CapPrm and CapBnd of the runtime; every bit where the container's user namespace is new
	DenySetgroups  bool     // /proc/PID/setgroups says "deny" (user_namespaces(7))
	MayDenyGroups  bool     // perhaps it does: nobody knows of a user namespace that is joined by a path
	LSMs           []string // the security modules that are on, as kernel.SecurityModules has them
}
