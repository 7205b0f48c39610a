//go:build linux

package runtime

import "github.com/opencontainers/runtime-spec/specs-go"

// allowed are the devices that every container may use, whatever linux.resources.devices says: those that
// the runtime puts in /dev, and the making of nodes, which is no use of them.
var allowed = []struct {
	kind         string
	major, minor int64
	access       string
}{
	{"c", -1, -1, "m"}, {"b", -1, -1, "m"},
	{"c", 1, 3, "rwm"}, {"c", 1, 5, "rwm"}, {"c", 1, 7, "rwm"}, // null, zero, full
	{"c", 1, 8, "rwm"}, {"c", 1, 9, "rwm"}, {"c", 5, 0, "rwm"}, // random, urandom, tty
	{"c", 5, 2, "rwm"}, {"c", 136, -1, "rwm"}, // ptmx and the terminals it makes
}

// resourcesOf are the limits of the spec, with the rules for the devices complete.
func resourcesOf(s *specs.Spec) *specs.LinuxResources {
	resources := specs.LinuxResources{}
	if s.Linux != nil && s.Linux.Resources != nil {
		resources = *s.Linux.Resources
	}
	rules := append([]specs.LinuxDeviceCgroup{}, resources.Devices...)
	for _, a := range allowed {
		rules = append(rules, specs.LinuxDeviceCgroup{Allow: true, Type: a.kind, Major: &a.major, Minor: &a.minor, Access: a.access})
	}
	resources.Devices = rules
	return &resources
}
