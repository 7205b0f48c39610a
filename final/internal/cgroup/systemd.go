//go:build linux

package cgroup

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// With systemd, the tree is systemd's: it makes the group, as a scope with the container's first process in
// it, and leaves what is in the scope to us (Delegate=yes). Limits that systemd has words for are its
// properties too, or it would put its own values back at the next daemon-reload; then all are written as
// they are without systemd, which is exact, and read back.

// A property is one setting of a unit (org.freedesktop.systemd1(5)).
type property struct {
	Name  string
	Value any // of a type that signatureOf knows
}

func prop(name string, value any) property { return property{name, value} }

// An allowedPath is a device that DeviceAllow has, and how it may be used.
type allowedPath struct{ Path, Access string }

// startUnit has the scope made with a process in it, and then does what Create and Add do without systemd. The
// process waits for its parent meanwhile: it runs nothing before the limits are there.
func (g *Group) startUnit(door *kernel.Door, pid int) (err error) {
	s, err := dialSystemd()
	if err != nil {
		return err
	}
	defer s.conn.Close()
	properties := append(g.unit.start(pid), g.limits(g.unit.resources)...)
	if err := s.start(door, g.unit.name, properties); err != nil {
		return err
	}
	g.unit.started = true
	defer func() {
		if err != nil {
			_ = s.stop(door, g.unit.name) // the first error says more
		}
	}()
	if err := g.follow(pid); err != nil {
		return err
	}
	changes, err := g.changes(g.unit.resources, readFile)
	if err != nil {
		return err
	}
	if err := g.make(door, g.unit.resources, changes); err != nil {
		return err
	}
	return g.Add(door, pid, false, false)
}

// follow corrects the directories by where systemd has put the process: a systemd that serves one user, or
// runs in a container, does not have its slices at the root.
func (g *Group) follow(pid int) error {
	text, err := kernel.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return err
	}
	member := ParseMembership(text)
	where := ""
	for _, p := range g.parts {
		if p.Version == 2 || p.Name == "systemd" {
			if at := member.in(p.Hierarchy); filepath.Base(at) == g.unit.name {
				where = at
			}
		}
	}
	if where == "" {
		return fmt.Errorf("systemd unit %s: process %d is not in its cgroup", g.unit.name, pid)
	}
	for i := range g.parts {
		g.parts[i].dir = filepath.Join(g.parts[i].Dir, where)
	}
	return nil
}

// start are the properties of the scope itself.
func (u *unit) start(pid int) []property {
	properties := []property{
		prop("Description", "container "+u.name),
		prop("PIDs", []uint32{uint32(pid)}),
		prop("DefaultDependencies", false), // it ends when its processes end, not at shutdown's word
		prop("MemoryAccounting", true),
		prop("CPUAccounting", true),
		prop("IOAccounting", true),
		prop("TasksAccounting", true),
	}
	if strings.HasSuffix(u.name, ".slice") {
		properties = append(properties, prop("Wants", []string{u.slice}))
	} else {
		properties = append(properties, prop("Slice", u.slice), prop("Delegate", true))
	}
	return append(properties, u.properties...)
}

// limits are the properties for what is limited, as far as systemd knows it.
func (g *Group) limits(r *specs.LinuxResources) (list []property) {
	if r == nil {
		return nil
	}
	memory := g.part("memory")
	if m := r.Memory; m != nil && memory != nil {
		name := map[int]string{1: "MemoryLimit", 2: "MemoryMax"}[memory.Version]
		limit, swap := value(m.Limit), value(m.Swap)
		if limit != 0 {
			list = append(list, prop(name, unlimited(limit)))
		}
		if low := value(m.Reservation); low != 0 && memory.Version == 2 {
			list = append(list, prop("MemoryLow", unlimited(low)))
		}
		if limit == 0 { // an update leaves it as it is
			limit, _ = strconv.ParseInt(readFile(memory.dir+"/memory.max"), 10, 64)
		}
		if memory.Version == 2 && (swap == -1 || limit == -1 && swap == 0) {
			list = append(list, prop("MemorySwapMax", unlimited(-1)))
		} else if memory.Version == 2 && swap > 0 && limit > 0 {
			list = append(list, prop("MemorySwapMax", unlimited(swap-limit)))
		}
	}
	if c := r.CPU; c != nil {
		list = append(list, g.cpuLimits(c)...)
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		list = append(list, prop("TasksMax", unlimited(max(*r.Pids.Limit, -1))))
	}
	if devices := g.part("devices"); devices != nil && r.Devices != nil {
		list = append(list, deviceLimits(r.Devices)...)
	}
	if g.v2() != nil {
		list = append(list, g.unifiedLimits(r.Unified)...)
	}
	return list
}

func (g *Group) cpuLimits(c *specs.LinuxCPU) (list []property) {
	if n := value(c.Shares); n != 0 {
		if p := g.part("cpu"); p != nil && p.Version == 1 {
			list = append(list, prop("CPUShares", n))
		} else {
			list = append(list, prop("CPUWeight", weightOfShares(n)))
		}
	}
	quota, period := g.quotaAndPeriod(c)
	if period != 0 {
		list = append(list, prop("CPUQuotaPeriodUSec", period))
	}
	if quota != 0 {
		perSecond := uint64(math.MaxUint64)
		if quota > 0 {
			const percent = 10_000 // of a second; systemd knows no less, and rounds down
			perSecond = (uint64(quota)*1_000_000/cmp.Or(period, 100_000) + percent - 1) / percent * percent
		}
		list = append(list, prop("CPUQuotaPerSecUSec", perSecond))
	}
	if p := g.part("cpuset"); p != nil && p.Version == 2 { // systemd leaves the cpuset of v1 alone
		if bits := bitmap(c.Cpus); bits != nil {
			list = append(list, prop("AllowedCPUs", bits))
		}
		if bits := bitmap(c.Mems); bits != nil {
			list = append(list, prop("AllowedMemoryNodes", bits))
		}
	}
	return list
}

// quotaAndPeriod are those that are asked for. If it is only one, the other is what the group has already, if it is there.
func (g *Group) quotaAndPeriod(c *specs.LinuxCPU) (quota int64, period uint64) {
	quota, period = value(c.Quota), value(c.Period)
	p := g.part("cpu")
	if p == nil || (quota == 0) == (period == 0) {
		return quota, period
	}
	now := strings.Fields(readFile(p.dir + "/cpu.max")) // 50000 100000
	if p.Version == 1 {
		now = []string{readFile(p.dir + "/cpu.cfs_quota_us"), readFile(p.dir + "/cpu.cfs_period_us")}
	}
	switch {
	case len(now) != 2:
	case quota == 0:
		quota, _ = strconv.ParseInt(now[0], 10, 64) // "max" is 0: it stays without
	default:
		period, _ = strconv.ParseUint(now[1], 10, 64)
	}
	return quota, period
}

// unlimited is a limit as systemd has it, where the largest number is none.
func unlimited(n int64) uint64 { return uint64(n) }

// bitmap makes a list such as 0-2,8 the bytes that systemd wants: bit n of byte n/8.
func bitmap(text string) []byte {
	list, err := parseList(text) // Create has seen to it
	if err != nil || len(list) == 0 {
		return nil
	}
	bits := make([]byte, list[len(list)-1]/8+1)
	for _, n := range list {
		bits[n/8] |= 1 << (n % 8)
	}
	return bits
}

// deviceLimits are the rules of v1. systemd knows devices by path, or whole groups by their name in
// /proc/devices.
func deviceLimits(devices []specs.LinuxDeviceCgroup) []property {
	rules, open, err := parseRules(append(slices.Clone(devices), defaultDevices()...))
	if open || err != nil {
		return []property{prop("DevicePolicy", "auto"), prop("DeviceAllow", []allowedPath{})}
	}
	list := []allowedPath{}
	for _, r := range rules {
		kind := map[byte]string{'b': "block", 'c': "char"}[r.kind]
		switch {
		case !r.allow:
		case r.major == wild:
			list = append(list, allowedPath{kind + "-*", r.access.String()})
		case r.minor == wild:
			list = append(list, allowedPath{fmt.Sprintf("%s-%d", kind, r.major), r.access.String()})
		default:
			list = append(list, allowedPath{fmt.Sprintf("/dev/%s/%d:%d", kind, r.major, r.minor), r.access.String()})
		}
	}
	return []property{prop("DevicePolicy", "strict"), prop("DeviceAllow", list)}
}

// updateUnit tells systemd the new limits.
func (g *Group) updateUnit(door *kernel.Door, r *specs.LinuxResources) error {
	properties := g.limits(r)
	if len(properties) == 0 {
		return nil
	}
	s, err := dialSystemd()
	if err != nil {
		return err
	}
	defer s.conn.Close()
	_, err = s.call(door, "SetUnitProperties", words(g.unit.name, properties), g.unit.name, true, properties)
	return err
}

// stopUnit has systemd forget the unit. As a rule it has already, since the last process is gone.
func (u *unit) stopUnit(door *kernel.Door) error {
	if !u.started {
		return nil
	}
	s, err := dialSystemd()
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return s.stop(door, u.name)
}
