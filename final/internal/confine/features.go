//go:build linux

package confine

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Actions returns the names of the actions that profiles can have.
func Actions() (names []string) {
	for _, a := range actions {
		names = append(names, string(a.name))
	}
	return names
}

// Operators returns the names of the operators that profiles can have.
func Operators() (names []string) {
	for _, name := range operatorNames {
		names = append(names, string(name))
	}
	return append(names, string(specs.OpMaskedEqual))
}

// Architectures returns the names of those that a profile can name on this machine, its own first.
func Architectures() (names []string) {
	m, err := thisMachine()
	if err != nil {
		return nil // there are no filters here
	}
	for _, number := range m {
		names = append(names, string(abis[number].name))
	}
	return names
}

// MemoryPolicyModes returns the names of the modes of linux.memoryPolicy.
func MemoryPolicyModes() (names []string) {
	for _, mode := range memoryModes {
		names = append(names, string(mode.name))
	}
	return names
}

// MemoryPolicyFlags returns the names of the flags of linux.memoryPolicy.
func MemoryPolicyFlags() (names []string) {
	for _, flag := range memoryFlags {
		names = append(names, flag.Name)
	}
	return names
}

// FilterFlags returns the names of the flags, of those that known has, that profiles can have.
func FilterFlags(known uint) (names []string) {
	for _, flag := range flagNames {
		if uint(flag.Value)&known != 0 && flag.Value != unix.SECCOMP_FILTER_FLAG_NEW_LISTENER {
			names = append(names, flag.Name)
		}
	}
	return names
}
