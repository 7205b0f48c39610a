//go:build linux

package trace

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// native are this machine's own programs, compat the 32-bit ones that it runs too.
var (
	native = kind{specs.ArchAARCH64, unix.AUDIT_ARCH_AARCH64}
	compat = kind{specs.ArchARM, unix.AUDIT_ARCH_ARM}
)
