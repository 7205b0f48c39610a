//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// A rule of the device controller, with nothing left open.
type rule struct {
	allow  bool
	kind   byte   // 'b' or 'c'
	major  int64  // or wild
	minor  int64  // or wild
	access access // what of it the rule is about
}

// wild stands for every number.
const wild = -1

// access is what is done with a device: the bits are those of struct bpf_cgroup_dev_ctx (linux/bpf.h).
type access uint32

const (
	toMake access = 1 << iota
	toRead
	toWrite
	toAll = toMake | toRead | toWrite
)

func (a access) String() string {
	text := ""
	for i, letter := range []string{"r", "w", "m"} {
		if a&[]access{toRead, toWrite, toMake}[i] != 0 {
			text += letter
		}
	}
	return text
}

// String is the line that v1 has for it: c 1:3 rwm.
func (r rule) String() string {
	number := func(n int64) string {
		if n == wild {
			return "*"
		}
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%c %s:%s %s", r.kind, number(r.major), number(r.minor), r.access)
}

// defaultDevices are the rules for the devices that every container has (OCI config-linux.md, "Default
// Devices"), and for making, not using, any. They go after those of config.json.
func defaultDevices() []specs.LinuxDeviceCgroup {
	row := func(major, minor int64) specs.LinuxDeviceCgroup {
		r := specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: &major, Access: "rwm"}
		if minor != wild {
			r.Minor = &minor
		}
		return r
	}
	return []specs.LinuxDeviceCgroup{
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "b", Access: "m"},
		row(1, 3),      // null
		row(1, 8),      // random
		row(1, 7),      // full
		row(5, 0),      // tty
		row(1, 5),      // zero
		row(1, 9),      // urandom
		row(136, wild), // pts/0, pts/1 and so on
		row(5, 2),      // ptmx
	}
}

func devicesOf(r *specs.LinuxResources) []specs.LinuxDeviceCgroup {
	if r == nil {
		return nil
	}
	return r.Devices
}

// parseRules makes rules of the list in config.json. Each bit of an access is decided by the last rule that is
// about it, and one that no rule is about is denied. A rule about everything ends what came before it; open
// tells whether the last such rule allows.
func parseRules(devices []specs.LinuxDeviceCgroup) (rules []rule, open bool, err error) {
	for i, d := range devices {
		field := fmt.Sprintf("devices[%d]", i)
		r := rule{allow: d.Allow, major: wild, minor: wild}
		if r.access, err = parseAccess(d.Access); err != nil {
			return nil, false, refuse(field+".access", fmt.Sprintf("%q", d.Access), err.Error())
		}
		for _, n := range []struct {
			name string
			from *int64
			to   *int64
			max  int64
		}{{"major", d.Major, &r.major, 1<<12 - 1}, {"minor", d.Minor, &r.minor, 1<<20 - 1}} {
			if n.from == nil {
				continue
			}
			if *n.from < wild || *n.from > n.max {
				return nil, false, refuse(field+"."+n.name, *n.from, fmt.Sprintf("want 0 to %d, or -1 for any", n.max))
			}
			*n.to = *n.from
		}
		kinds := d.Type
		switch d.Type {
		case "", "a":
			kinds = "bc"
			if r.major == wild && r.minor == wild && r.access == toAll {
				rules, open = nil, d.Allow
				continue
			}
		case "b", "c":
		case "u": // an unbuffered character device
			kinds = "c"
		default:
			return nil, false, refuse(field+".type", fmt.Sprintf("%q", d.Type), "want a, b or c")
		}
		for _, r.kind = range []byte(kinds) {
			rules = append(rules, r)
		}
	}
	return rules, open, nil
}

// parseAccess reads "rwm"; nothing at all is everything.
func parseAccess(text string) (a access, err error) {
	if text == "" {
		return toAll, nil
	}
	for _, letter := range text {
		switch letter {
		case 'r':
			a |= toRead
		case 'w':
			a |= toWrite
		case 'm':
			a |= toMake
		default:
			return 0, errors.New("want some of r, w and m")
		}
	}
	return a, nil
}

// allow puts the group under the device rules, and those for the default devices: by the devices controller of
// v1 where it is mounted, by a BPF program on cgroup2. Whoever has a user namespace only can do neither, but
// cannot make a device node either (capabilities(7), CAP_MKNOD). Of a fresh group it is known that it has none yet.
func (g *Group) allow(door *kernel.Door, devices []specs.LinuxDeviceCgroup, fresh bool) error {
	rules, open, err := parseRules(append(slices.Clone(devices), defaultDevices()...))
	if err != nil {
		return err
	}
	switch p := g.part("devices"); {
	case p != nil:
		err = p.allowV1(door, fresh, rules, open)
	case g.v2() != nil:
		err = attachDevices(door, g.v2().dir, fresh, rules, open)
	default:
		return refuse("devices", len(devices), "no devices controller is mounted, and no cgroup2 tree")
	}
	if errors.Is(err, unix.EPERM) && confined() {
		door.Skip("linux.resources.devices", "in a user namespace device nodes cannot be made")
		return nil
	}
	if err != nil {
		return fmt.Errorf("linux.resources.devices: %w", err)
	}
	return nil
}

// allowV1 writes the rules as exceptions to a default. v1 knows no order and no "all but": an exception is
// only taken back by naming it as it was made. Rules that need more than that are refused.
func (p *part) allowV1(door *kernel.Door, fresh bool, rules []rule, open bool) error {
	exceptions, err := exceptionsOf(rules, open)
	if err != nil {
		return err
	}
	to, back, first := p.dir+"/devices.allow", p.dir+"/devices.deny", p.dir+"/devices.deny"
	if open {
		to, back, first = back, to, to
	}
	before := strings.Split(readFile(p.dir+"/devices.list"), "\n")
	if isOpen := slices.Contains(before, "a *:* rwm"); isOpen != open || open && !fresh {
		if err := door.Write(first, "a"); err != nil {
			return err
		}
		before = nil
	}
	if open {
		before = nil // the list does not say what is denied
	}
	// What a running container may do goes from the old list to the new one with nothing in between denied.
	if err := door.WriteEach(to, without(exceptions, before)...); err != nil {
		return err
	}
	return door.WriteEach(back, without(before, exceptions)...)
}

// without returns the words of a list that are not in another.
func without(list, other []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(word string) bool {
		return word == "" || slices.Contains(other, word)
	})
}

// exceptionsOf does to a list of rules what the kernel does with them, so that what it would make of them is
// known before it is asked (security/device_cgroup.c).
func exceptionsOf(rules []rule, open bool) (lines []string, err error) {
	var list []rule
	for _, r := range rules {
		if r.allow != open { // one more exception
			i := slices.IndexFunc(list, r.sameDevices)
			if i < 0 {
				list = append(list, r)
			} else {
				list[i].access |= r.access
			}
			continue
		}
		for i := range list {
			if list[i].sameDevices(r) {
				list[i].access &^= r.access
			} else if list[i].overlaps(r) && list[i].access&r.access != 0 {
				return nil, fmt.Errorf("%v: cgroup v1 cannot make an exception to the rule %v", r, list[i])
			}
		}
		list = slices.DeleteFunc(list, func(r rule) bool { return r.access == 0 })
	}
	for _, r := range list {
		lines = append(lines, r.String())
	}
	return lines, nil
}

func (r rule) sameDevices(other rule) bool {
	return r.kind == other.kind && r.major == other.major && r.minor == other.minor
}

func (r rule) overlaps(other rule) bool {
	meet := func(a, b int64) bool { return a == b || a == wild || b == wild }
	return r.kind == other.kind && meet(r.major, other.major) && meet(r.minor, other.minor)
}
