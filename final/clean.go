//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/simple-container/simple-container/final/internal/runtime"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const (
	savedForward  = kernel.StateDir + "/ip_forward" // what the setting was before the first container
	forwardSysctl = "/proc/sys/net/ipv4/ip_forward"
)

func cleanCommand(s *session) *cobra.Command {
	var dryRun, explain bool
	command := &cobra.Command{
		Use:   "clean",
		Short: "Remove what containers left behind when they or their runtime crashed",
		Long: `Remove what containers left behind when they or their runtime crashed: processes, cgroups,
network links, packet filter rules, mounts, directories, and layers that no image has. Running containers are left alone.
Who is not root cleans up after their own: containers that were never finished.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := s.needPlace("clean"); err != nil {
				return err
			}
			c := &cleaner{door: &kernel.Door{}, out: command.OutOrStdout(), dryRun: dryRun, root: s.root, engine: s.engine()}
			if explain {
				c.door.Explain = command.ErrOrStderr()
				c.engine.Door.Explain = c.door.Explain
			}
			if os.Geteuid() != 0 {
				return c.cleanOwn()
			}
			return c.clean()
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed, and remove nothing")
	command.Flags().BoolVarP(&explain, "explain", "v", false, "say every kernel call, with the shell command that does the same")
	return command
}

// A cleaner finds by name what containers have on the host, and removes what belongs to none that lives.
//
// A runtime holds a lock on the container's directory, and the kernel lets go of it however the runtime ends
// (clean_owner.go). The directory is made first and removed last, and an id is never used twice. So whatever
// is found first and has no locked directory then belongs to nobody.
type cleaner struct {
	door   *kernel.Door
	out    io.Writer
	dryRun bool
	root   string // the states of the OCI runtime's containers
	engine *engine.Engine

	removed int
	spared  int // containers that live
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
	c.removeLeftovers()
	c.removeAbandoned()
	c.removeConnections()
	c.removeGarbage()
	c.leaveHost()
	return c.sum()
}

// cleanOwn is for who is not root, and has containers of the OCI runtime alone: these know what they have.
func (c *cleaner) cleanOwn() error {
	c.removeAbandoned()
	return c.sum()
}

func (c *cleaner) sum() error {
	if c.removed == 0 && c.spared == 0 && len(c.errs) == 0 {
		fmt.Fprintln(c.out, "nothing to clean")
	}
	return errors.Join(c.errs...)
}

// removeLeftovers removes what commands and monitors that were killed have left of containers with names.
func (c *cleaner) removeLeftovers() {
	found, living, err := c.engine.Leftovers()
	c.failed(err)
	for _, name := range living {
		c.spared++
		fmt.Fprintf(c.out, "left container %s alone: it is running\n", name)
	}
	for _, left := range found {
		c.remove(remnant{left.Kind, left.Name, left.Name, func(*kernel.Door) error { return left.Remove() }})
	}
	if !c.dryRun {
		_ = os.Remove(c.engine.Run) // only if it is empty
	}
}

// removeAbandoned removes the containers of the OCI runtime that were never finished. The others are their
// engine's to delete, dead or alive.
func (c *cleaner) removeAbandoned() {
	r := &runtime.Runtime{Root: c.root, Door: c.door}
	ids, err := r.Abandoned()
	c.failed(err)
	for _, id := range ids {
		c.remove(remnant{"half-made container", id, id, func(*kernel.Door) error { return r.DeleteAbandoned(id) }})
	}
	if !c.dryRun {
		_ = os.Remove(c.root) // only if it is empty
	}
}

// removeConnections removes what dead containers have of the networks, and the networks that nobody is on.
func (c *cleaner) removeConnections() {
	verb := "removed"
	if c.dryRun {
		verb = "would remove"
	}
	host := &network.Host{Door: c.door}
	c.failed(host.Clean(c.dryRun, func(kind, name string) { c.report(verb, kind, name) }))
}

// removeGarbage removes what no image has.
func (c *cleaner) removeGarbage() {
	if _, err := os.Stat(c.engine.Root + "/images"); err != nil {
		return // there are none, and opening them would make a place for them
	}
	store, err := c.engine.Images()
	if err != nil {
		c.failed(err)
		return
	}
	verb := "removed"
	if c.dryRun {
		verb = "would remove"
	}
	c.failed(store.Clean(c.dryRun, func(kind, name string) { c.report(verb, kind, name) }))
}

// deadOf sorts the ids of what was found, and names those that live. The dead are claimed until unlock.
func (c *cleaner) deadOf(found []remnant) (dead map[string]bool, unlock func()) {
	dead = map[string]bool{}
	var unlocks []func()
	dirs, closeAll, err := findStateDirs() // only now: what was found belongs to a runtime that made its directory before
	defer closeAll()
	if err != nil {
		c.failed(err)
		return nil, func() {}
	}
	ids := idsOf(found)
	for _, id := range ids {
		dirs.settle(id)
	}
	deadline := time.Now().Add(dying)
	for _, id := range ids {
		isDead, unlock, err := dirs.claim(id)
		for !isDead && err == nil && time.Now().Before(deadline) {
			time.Sleep(interval)
			isDead, unlock, err = dirs.claim(id)
		}
		c.failed(err)
		if dead[id] = isDead; !isDead && err == nil {
			c.spared++
			fmt.Fprintf(c.out, "left container %s alone: it is running\n", id)
		}
		unlocks = append(unlocks, unlock)
	}
	return dead, func() {
		for _, unlock := range unlocks {
			unlock()
		}
	}
}

// patience bounds every wait for somebody else.
const (
	patience = 5 * time.Second
	interval = 10 * time.Millisecond
)

// dying is how long a runtime that was just killed may hold its locks still, until the kernel has taken it apart.
const dying = time.Second

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

// isGone knows the errors for what is not there any more: a path, a link, a process, a container.
func isGone(err error) bool {
	return slices.ContainsFunc([]error{fs.ErrNotExist, unix.ENODEV, unix.ESRCH, runtime.ErrNotExist}, func(gone error) bool {
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
	if left, err := findDirectories(c.door, nil); err != nil || len(left) > 0 || network.Up() {
		c.failed(err)
		return
	}
	c.restoreForwarding()
	if !c.dryRun {
		c.removeStateDir()
	}
}

// lockNetwork waits for its turn to change the network, but not for ever: the holder may be stopped. As in
// step 04 the lock is on the state directory itself.
func lockNetwork() (lock *os.File, err error) {
	lock, err = os.Open(kernel.StateDir)
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
			return nil, fmt.Errorf("flock %s: %w", kernel.StateDir, err)
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

// removeStateDir removes the state directory, with what is left of an interrupted write.
func (c *cleaner) removeStateDir() {
	if err := c.door.Unlink(savedForward + ".new"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.failed(err)
	}
	// Not empty: somebody else's file, or a container that starts just now. Gone: another clean was first.
	if err := c.door.Rmdir(kernel.StateDir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !isGone(err) {
		c.failed(err)
	}
}
