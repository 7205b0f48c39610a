//go:build linux

package confine

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// personality says which machine uname(2) speaks of (personality(2)).
func personality(l *op.List, p *specs.LinuxPersonality) error {
	if p == nil {
		return nil
	}
	if len(p.Flags) > 0 {
		return fmt.Errorf("linux.personality.flags: %q: the specification has none", p.Flags)
	}
	set := op.Op{Name: "personality", Nr: unix.SYS_PERSONALITY, Means: fmt.Sprintf("linux.personality: %q", p.Domain),
		Why: "which machine programs believe to be on"}
	switch p.Domain {
	case specs.PerLinux:
		set.Args, set.Shell = []op.Arg{op.Int(0).As("PER_LINUX")}, "setarch"
	case specs.PerLinux32:
		set.Args, set.Shell = []op.Arg{op.Int(8).As("PER_LINUX32")}, "setarch linux32"
	default:
		return fmt.Errorf("linux.personality.domain: %q: want LINUX or LINUX32", p.Domain)
	}
	l.Add(set)
	return nil
}
