//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"
	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const (
	networkLock   = kernel.StateDir + "/network.lock" // held while links and forwarding change
	savedForward  = kernel.StateDir + "/ip_forward"   // what the setting was before the first container
	forwardSysctl = "/proc/sys/net/ipv4/ip_forward"
)

func cleanCommand() *cobra.Command {
	var dryRun, explain bool
	command := &cobra.Command{
		Use:   "clean",
		Short: "Remove what containers left behind when they or their runtime crashed",
		Long: `Remove what containers left behind when they or their runtime crashed: processes, cgroups,
network links, packet filter rules, mounts and directories. Running containers are left alone.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if os.Geteuid() != 0 {
				return errors.New("clean: must be root, so: go run -exec sudo ./final clean")
			}
			c := &cleaner{door: &kernel.Door{}, out: command.OutOrStdout(), dryRun: dryRun}
			if explain {
				c.door.Explain = command.ErrOrStderr()
			}
			return c.clean()
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	command.Flags().BoolVar(&explain, "explain", false, "say every kernel call, with the shell command that does the same")
	return command
}

// A cleaner finds by name what containers have on the host, and removes what belongs to none that lives.
//
// A container lives as long as its runtime holds a lock on the container's directory; the kernel lets go of
// the lock however the runtime ends. The directory is made first and removed last, and an id is never used
// twice. So whatever is found first and has no locked directory then belongs to nobody.
type cleaner struct {
	door   *kernel.Door
	out    io.Writer
	dryRun bool

	removed int
	errs    []error
}

// clean goes on after an error, and returns all of them.
func (c *cleaner) clean() error {
	found, err := findRemnants(c.door)
	c.failed(err)
	dead, unlock := c.deadOf(found)
	defer unlock()
	for _, r := range found {
		if dead[r.id] {
			c.remove(r)
		}
	}
	c.leaveHost()
	if c.removed == 0 && len(c.errs) == 0 {
		fmt.Fprintln(c.out, "nothing to clean")
	}
	return errors.Join(c.errs...)
}

// A remnant is one thing on the host that bears a container's id.
type remnant struct {
	kind   string // the word for it
	name   string
	id     string
	remove func(*kernel.Door) error
}

// findRemnants returns everything that bears a container's id, in the order in which it can be removed:
// who uses comes before what is used.
func findRemnants(door *kernel.Door) (all []remnant, err error) {
	var errs []error
	mounts, err := door.Mounts()
	errs = append(errs, err)
	for _, find := range []func(*kernel.Door, []*mountinfo.Info) ([]remnant, error){
		findProcesses, findCgroups, findRules, findLinks, findMounts, findDirectories,
	} {
		found, err := find(door, mounts)
		all, errs = append(all, found...), append(errs, err)
	}
	return all, errors.Join(errs...)
}

// findProcesses finds those whose root is a container's overlay. They are in the container's cgroup as a
// rule, and end with that; a container of step 02 has none.
func findProcesses(*kernel.Door, []*mountinfo.Info) (found []remnant, err error) {
	processes, err := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		id, ok := containerOf(pid)
		if !ok {
			continue
		}
		same := func() bool { now, ok := containerOf(pid); return ok && now == id }
		found = append(found, remnant{"process", strconv.Itoa(pid), id, func(door *kernel.Door) error {
			return endProcess(door, pid, same)
		}})
	}
	return found, err
}

// endProcess kills a process and waits until it has left its container.
func endProcess(door *kernel.Door, pid int, same func() bool) error {
	if err := door.Kill(pid, same); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); same(); time.Sleep(interval) {
		if time.Now().After(deadline) {
			return fmt.Errorf("kill %d: still there after %v", pid, patience)
		}
	}
	return nil
}

// containerOf returns the id of the container that a process has its root in: the root's mount names the
// directory of the upper layer. A process that ends meanwhile has none.
func containerOf(pid int) (id string, ok bool) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/mountinfo", pid))
	if err != nil {
		return "", false
	}
	defer file.Close()
	// 93 61 0:52 / / rw,nodev - overlay overlay rw,lowerdir=/srv/rootfs,upperdir=/run/simple-container/ID/upper,...
	root, err := mountinfo.GetMountsFromReader(file, mountinfo.SingleEntryFilter("/"))
	if err != nil || len(root) == 0 || root[0].FSType != "overlay" {
		return "", false
	}
	_, path, _ := strings.Cut(root[0].VFSOptions, "upperdir="+kernel.StateDir+"/")
	id, _, _ = strings.Cut(path, "/")
	return id, kernel.IsID(id)
}

func findCgroups(_ *kernel.Door, mounts []*mountinfo.Info) (found []remnant, err error) {
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return nil, err
	}
	groups, err := layout.Groups(func(name string) bool { _, ok := kernel.ID(name); return ok })
	for _, dir := range groups {
		id, _ := kernel.ID(filepath.Base(dir))
		found = append(found, remnant{"cgroup", dir, id, func(door *kernel.Door) error {
			return cgroup.Remove(door, dir)
		}})
	}
	return found, err
}

func findRules(door *kernel.Door, _ []*mountinfo.Info) (found []remnant, err error) {
	rules, err := network.Rules(door)
	for _, rule := range rules {
		found = append(found, remnant{"rule", rule.String(), rule.ID, rule.Delete})
	}
	return found, err
}

func findLinks(door *kernel.Door, _ []*mountinfo.Info) (found []remnant, err error) {
	links, err := door.Links()
	for _, link := range links {
		if id, ok := network.LinkID(link); ok {
			found = append(found, remnant{"link", link.Attrs().Name, id, func(door *kernel.Door) error {
				return door.DeleteLink(link)
			}})
		}
	}
	return found, err
}

func findMounts(_ *kernel.Door, mounts []*mountinfo.Info) (found []remnant, err error) {
	for _, point := range kernel.MountsBelow(mounts, kernel.StateDir) {
		below, _ := strings.CutPrefix(point, kernel.StateDir+"/")
		if id, _, _ := strings.Cut(below, "/"); kernel.IsID(id) {
			found = append(found, remnant{"mount", point, id, func(door *kernel.Door) error {
				err := door.Unmount(point)
				if errors.Is(err, unix.EINVAL) { // not a mount point: it went with another it was tied to
					return fs.ErrNotExist
				}
				return err
			}})
		}
	}
	return found, nil
}

// findDirectories finds the containers' directories, and in each the mount points it may have.
func findDirectories(*kernel.Door, []*mountinfo.Info) (found []remnant, err error) {
	entries, err := os.ReadDir(kernel.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, entry := range entries {
		if id := entry.Name(); kernel.IsID(id) {
			dir := filepath.Join(kernel.StateDir, id)
			found = append(found, remnant{"directory", dir, id, func(door *kernel.Door) error {
				return removeDirectory(door, dir)
			}})
		}
	}
	return found, nil
}

// removeDirectory removes a container's directory and the empty directories in it, with nothing but rmdir:
// what has anything in it was not made by us, or is a mount that would not go.
func removeDirectory(door *kernel.Door, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := door.Rmdir(filepath.Join(dir, entry.Name())); err != nil {
			return err
		}
	}
	return door.Rmdir(dir)
}

// deadOf sorts the ids of what was found, and names those that live. The locks of the dead are ours until
// unlock: a second clean at the same time then leaves them to this one.
func (c *cleaner) deadOf(found []remnant) (dead map[string]bool, unlock func()) {
	dead = map[string]bool{}
	var locks []*os.File
	for _, id := range idsOf(found) {
		dir := filepath.Join(kernel.StateDir, id)
		settle(dir)
		lock, free, err := tryLock(dir)
		switch {
		case err != nil:
			c.failed(err)
		case !free:
			fmt.Fprintf(c.out, "left container %s alone: it is running\n", id)
		default:
			dead[id] = true
			if lock != nil {
				locks = append(locks, lock)
			}
		}
	}
	return dead, func() {
		for _, lock := range locks {
			lock.Close()
		}
	}
}

func idsOf(found []remnant) []string {
	var ids []string
	for _, r := range found {
		ids = append(ids, r.id)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// patience bounds every wait for somebody else.
const (
	patience = 5 * time.Second
	interval = 10 * time.Millisecond
)

// newborn is how long a directory may be there before it is locked. That takes a runtime microseconds,
// but it may be stopped in between.
const newborn = 2 * time.Second

// settle waits until a directory is no longer newborn. It must not try the lock before that: a runtime
// that finds its own new directory locked gives up.
func settle(dir string) {
	if info, err := os.Stat(dir); err == nil {
		time.Sleep(min(newborn-time.Since(info.ModTime()), newborn)) // the clock may have been set back
	}
}

// tryLock tells whether nobody owns a container's directory, and then owns it. A directory that is not
// there has no owner and no lock.
func tryLock(dir string) (lock *os.File, free bool, err error) {
	lock, err = os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return lock, true, nil
	}
	lock.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("flock %s: %w", dir, err)
}

// remove removes one thing and says so. What went away by itself meanwhile is neither an error nor ours.
func (c *cleaner) remove(r remnant) {
	if c.dryRun {
		c.report("would remove", r.kind, r.name)
		return
	}
	switch err := r.remove(c.door); {
	case err == nil:
		c.report("removed", r.kind, r.name)
	case !isGone(err):
		c.failed(fmt.Errorf("%s of container %s: %w", r.kind, r.id, err))
	}
}

// isGone knows the errors for what is not there any more: a path, a link, a process.
func isGone(err error) bool {
	return slices.ContainsFunc([]error{fs.ErrNotExist, unix.ENODEV, unix.ESRCH}, func(gone error) bool {
		return errors.Is(err, gone)
	})
}

func (c *cleaner) report(words ...string) {
	c.removed++
	fmt.Fprintln(c.out, strings.Join(words, " "))
}

func (c *cleaner) failed(err error) {
	if err != nil {
		c.errs = append(c.errs, err)
	}
}

// leaveHost tidies what belongs to no single container: a pair of links that nobody came to name, and when
// no container is left, the forwarding of packets and the state directory. It holds the lock that whoever
// makes a network holds; who waits for it has made the container's directory already, and is seen.
func (c *cleaner) leaveHost() {
	if _, err := os.Stat(kernel.StateDir); err != nil {
		c.removeHalfMade() // no directory, so nobody is just making a pair
		return
	}
	if !c.dryRun {
		lock, err := lockNetwork()
		if err != nil {
			c.failed(err)
			return
		}
		defer lock.Close()
	}
	c.removeHalfMade()
	if left, err := findDirectories(c.door, nil); err != nil || len(left) > 0 {
		c.failed(err)
		return
	}
	c.restoreForwarding()
	if !c.dryRun {
		c.removeStateDir()
	}
}

// lockNetwork waits for its turn to change the network, but not for ever: the holder may be stopped.
func lockNetwork() (lock *os.File, err error) {
	lock, err = os.OpenFile(networkLock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(interval) {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return lock, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || time.Now().After(deadline) {
			lock.Close()
			return nil, fmt.Errorf("flock %s: %w", networkLock, err)
		}
	}
}

func (c *cleaner) removeHalfMade() {
	links, err := c.door.Links()
	c.failed(err)
	for _, link := range links {
		if network.HalfMade(link, links) {
			c.remove(remnant{"link", link.Attrs().Name, "unknown", func(door *kernel.Door) error {
				return door.DeleteLink(link)
			}})
		}
	}
}

// restoreForwarding gives ip_forward the value it had before the first container.
func (c *cleaner) restoreForwarding() {
	saved, err := os.ReadFile(savedForward)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	value := strings.TrimSpace(string(saved))
	switch {
	case err != nil:
		c.failed(err)
	case c.dryRun:
		c.report("would restore", "net.ipv4.ip_forward", value)
	default:
		if err := c.door.Set(forwardSysctl, value); err != nil {
			c.failed(err)
			return // the file is the only memory of the value
		}
		c.report("restored", "net.ipv4.ip_forward", value)
		c.failed(c.door.Unlink(savedForward))
	}
}

// removeStateDir removes the state directory with the files that the containers share. They are not worth a
// line each.
func (c *cleaner) removeStateDir() {
	for _, file := range []string{savedForward + ".new", networkLock} {
		if err := c.door.Unlink(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.failed(err)
		}
	}
	// Not empty: somebody else's file, or a container that starts just now.
	if err := c.door.Rmdir(kernel.StateDir); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		c.failed(err)
	}
}
