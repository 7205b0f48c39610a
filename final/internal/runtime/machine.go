//go:build linux

package runtime

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// This file looks at the machine: what a plan depends on beside the spec.

// cgroups finds the trees of cgroups, and where this process is in them.
func (r *Runtime) cgroups() (cgroup.Layout, cgroup.Membership, error) {
	table, err := kernel.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	const place = "/sys/fs/cgroup"
	var lines strings.Builder // of hundreds, where there are many containers
	for line := range strings.Lines(table) {
		if strings.Contains(line, " "+place) {
			lines.WriteString(line)
		}
	}
	mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(lines.String()), mountinfo.PrefixFilter(place))
	if err != nil {
		return nil, nil, fmt.Errorf("read mountinfo: %w", err)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return nil, nil, err
	}
	own, err := kernel.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, nil, err
	}
	return layout, cgroup.ParseMembership(own), nil
}

// describe completes the options of the plan of a new container.
func (r *Runtime) describe(o *plan.Options, c *Container, s *specs.Spec, group *cgroup.Group, asked CreateOptions) error {
	if err := r.describeProcess(o, s, s.Process); err != nil {
		return err
	}
	if s.Linux != nil {
		if err := confine.CheckMountLabel(s.Linux.MountLabel, o.Host); err != nil {
			return err
		}
	}
	o.Host.DenySetgroups, o.Host.MayDenyGroups = deniesSetgroups(s), rootless() && !plan.NewUser(s)
	if err := checkGroups(s.Process, o.Host.DenySetgroups); err != nil {
		return err
	}
	settleEnv(s.Process, c.Rootfs)
	o.ID, o.NewKeyring = c.ID, !asked.NoNewKeyring
	o.Rootfs = rootfs.Options{
		Root: c.Rootfs, Bundle: c.Bundle, NoPivot: asked.NoPivot,
		UserNamespace: plan.Has(s, specs.UserNamespace) || kernel.InUserNamespace(),
		NetNamespace:  plan.Has(s, specs.NetworkNamespace),
		Cgroup:        cgroupMount(group, plan.Has(s, specs.CgroupNamespace)),
	}
	return rootfs.Survey(s, &o.Rootfs)
}

// cgroupMount says what the container sees of the cgroups.
func cgroupMount(group *cgroup.Group, namespace bool) rootfs.Cgroup {
	c := rootfs.Cgroup{Namespace: namespace}
	for _, m := range group.Mounts() {
		if m.Name == "" {
			c.Tree = m.Dir // v2 alone
			continue
		}
		kind := "cgroup"
		if m.Version == 2 {
			kind = "cgroup2"
		}
		h := rootfs.Hierarchy{Name: m.Name, Type: kind, Options: m.Options, Group: m.Dir, Links: m.Links}
		c.Hierarchies = append(c.Hierarchies, h)
	}
	return c
}

// describeProcess completes what concerns the process, the container's first or another.
func (r *Runtime) describeProcess(o *plan.Options, s *specs.Spec, p *specs.Process) (err error) {
	if s.Linux != nil {
		if err := checkListener(s.Linux.Seccomp); err != nil {
			return err
		}
		if o.Filter, err = confine.Compile(s.Linux.Seccomp, kernel.SeccompFlags()); err != nil {
			return err
		}
	}
	status, err := readOwn()
	if err != nil {
		return err
	}
	o.Ignored, o.Rootless = status.ignored, rootless()
	if o.Host, err = host(s, p, status); err != nil {
		return err
	}
	if r.inGo() {
		limit, err := kernel.NoFile()
		if err != nil {
			return err
		}
		o.NoFile, o.Threads = &limit, true
	}
	if !p.Terminal {
		o.Chown = streams(p.User.UID)
	}
	return nil
}

// host is what the kernel says of capabilities and security modules.
func host(s *specs.Spec, p *specs.Process, status own) (h confine.Host, err error) {
	last, err := kernel.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		return h, err
	}
	if h.LastCapability, err = strconv.Atoi(strings.TrimSpace(last)); err != nil {
		return h, fmt.Errorf("read /proc/sys/kernel/cap_last_cap: %w", err)
	}
	h.Held = ^uint64(0)
	if !plan.Has(s, specs.UserNamespace) {
		h.Held = status.permitted & status.bounding
	}
	if confine.Labelled(p) || s.Linux != nil && s.Linux.MountLabel != "" {
		h.LSMs = kernel.SecurityModules()
	}
	if confine.Labelled(p) {
		return h, kernel.CheckProc() // a file anywhere else takes the label, and does nothing
	}
	return h, nil
}

// own is what the kernel says of this process (proc_pid_status(5)).
type own struct{ permitted, bounding, ignored uint64 }

func readOwn() (status own, err error) {
	text, err := kernel.ReadFile("/proc/thread-self/status")
	if err != nil {
		return status, err
	}
	for _, field := range []struct {
		name string
		to   *uint64
	}{{"CapPrm:\t", &status.permitted}, {"CapBnd:\t", &status.bounding}, {"SigIgn:\t", &status.ignored}} {
		_, rest, _ := strings.Cut(text, field.name)
		line, _, _ := strings.Cut(rest, "\n")
		if *field.to, err = strconv.ParseUint(line, 16, 64); err != nil {
			return status, fmt.Errorf("read /proc/thread-self/status: %s%q: %w", field.name, line, err)
		}
	}
	return status, nil
}

// streams are the numbers of those of our standard streams that belong to another user. /dev/null is left alone: it is
// everybody's. So is a file that was opened for reading: its new owner could open it again for writing.
func streams(uid uint32) (list []int) {
	var null, stat unix.Stat_t
	nullErr := unix.Stat("/dev/null", &null)
	for number, file := range standard() {
		fd := int(file.Fd())
		if unix.Fstat(fd, &stat) != nil || stat.Uid == uid {
			continue
		}
		if nullErr == nil && stat.Mode&unix.S_IFMT == unix.S_IFCHR && stat.Rdev == null.Rdev {
			continue
		}
		kind := stat.Mode & unix.S_IFMT
		if kind == unix.S_IFREG || kind == unix.S_IFBLK || kind == unix.S_IFDIR {
			flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
			if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
				continue
			}
		}
		list = append(list, number)
	}
	return list
}
