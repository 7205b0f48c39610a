//go:build linux

package confine

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A policy is a profile in the kernel's numbers.
type policy struct {
	abis      []int
	otherwise uint32 // the outcome for a call without a rule
	rules     []rule
	entries   [abiCount][]entry
	last      [abiCount]int64 // the highest number that the profile speaks of, plus one; see enosys
}

// An entry is a call with a rule: the number, and below it the index of the rule. So they sort by number,
// and for one number in the order of the profile.
type entry uint64

func newEntry(number uint32, rule int) entry { return entry(number)<<32 | entry(rule) }
func (e entry) number() uint32               { return uint32(e >> 32) }
func (e entry) rule() int                    { return int(uint32(e)) }

// add translates an entry of the profile.
func (p *policy) add(s specs.LinuxSyscall, where string) error {
	ret, err := outcome(s.Action, s.ErrnoRet, where+".action", where+".errnoRet")
	if err != nil {
		return err
	}
	either, err := alternatives(s.Args, where)
	if err != nil {
		return err
	}
	if len(s.Names) == 0 {
		return fmt.Errorf("%s.names: empty", where)
	}
	first := len(p.rules)
	if ret != p.otherwise { // else it says nothing new
		for _, conditions := range either {
			p.rules = append(p.rules, rule{conditions, ret})
		}
	}
	end := len(p.rules)
	for i, name := range s.Names {
		if name == "" || name == "write" && ret == unix.SECCOMP_RET_USER_NOTIF {
			// The container writes to say that its listener is there; it would wait for an answer from nobody.
			return fmt.Errorf("%s.names[%d]: %s cannot be used for the %s syscall", where, i, s.Action, name)
		}
		p.addName(name, first, end)
		p.addPart(name, ret, len(s.Args) == 0)
	}
	return nil
}

// addName gives a call the rules from first to before end, in each ABI that has it.
func (p *policy) addName(name string, first, end int) {
	c := lookup(name)
	if c == nil {
		return
	}
	for _, column := range p.abis {
		number := c.numbers[column]
		if number < 0 {
			continue
		}
		if column != arm || number < armPrivate {
			p.last[column] = max(p.last[column], int64(number)+1)
		}
		for i := first; i < end; i++ {
			p.entries[column] = append(p.entries[column], newEntry(uint32(number), i))
		}
	}
}

// addPart gives a call of x86 that is part of another the same outcome when it is made that way. The
// arguments are out of sight there, in memory: a condition on them can only be taken as true where that is
// the harder side.
func (p *policy) addPart(name string, ret uint32, unconditional bool) {
	part := partOf(name)
	if part == nil || !slices.Contains(p.abis, x86) {
		return
	}
	p.last[x86] = max(p.last[x86], int64(part.of)+1)
	if ret == p.otherwise || !unconditional && !harder(ret, p.otherwise) {
		return
	}
	p.entries[x86] = append(p.entries[x86], newEntry(uint32(part.of), len(p.rules)))
	p.rules = append(p.rules, rule{[]condition{part.condition()}, ret})
}

// enosys is the outcome for calls that are newer than the profile: no such call, which is what a kernel says
// that is as old as the profile. Programs try a new call and go on with the old one after this answer; after
// EPERM they give up. A profile that lets pass what it does not name has no need of it, nor has a tracer.
func (p *policy) enosys() uint32 {
	switch p.otherwise & unix.SECCOMP_RET_ACTION_FULL {
	case unix.SECCOMP_RET_ALLOW, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_TRACE:
		return p.otherwise
	}
	return unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
}
