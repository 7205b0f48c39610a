//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// This file is for who is not root. The groups below one are theirs if its directory is, and cgroup.procs,
// cgroup.threads and cgroup.subtree_control in it (cgroups(7), "Delegating a hierarchy"); systemd gives each
// user who logs in such a group, and systemd-run --user such a scope in it. Where there is none, a container can
// do without, unless it is to be limited.

// confined tells whether this process has less than all the rights that there are.
func confined() bool { return os.Geteuid() != 0 || kernel.InUserNamespace() }

// None tells whether the group is in no tree.
func (g *Group) None() bool { return len(g.parts) == 0 && g.unit == nil }

// delegate is how to come by a group, for who needs one.
const delegate = "run it by systemd-run --user --scope, or have root give you a cgroup2 directory and move you below " +
	"(final/README.md, Without root)"

// errNone is for whoever asks a container without a group for what only a group has.
var errNone = errors.New("the container has no cgroup: none was delegated to the user who made it; " + delegate)

// spare is nil if the container can do without the group in this tree: if this user may not make groups there, and no
// limit needs it. Such a limit is refused by name.
func (p *part) spare(changes []change, err error) error {
	denied := errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
	if !denied || !confined() {
		return err
	}
	i := slices.IndexFunc(changes, func(c change) bool { return c.part == p })
	if i < 0 {
		return nil
	}
	return fmt.Errorf("linux.resources.%s: %s: no cgroup is delegated to this user: %w: %s",
		changes[i].field, changes[i].value, err, delegate)
}

// reachable refuses a group of cgroup2 that this process could send no other to. For that, the nearest group that
// both are below must be the user's, too: or a user could move processes out of what root has put them in.
func (p *part) reachable() error {
	if p.Version != 2 || !confined() {
		return nil
	}
	above := filepath.Join(p.Dir, commonAncestor(p.own, strings.TrimPrefix(p.dir, p.Dir)))
	if err := unix.Access(above+"/cgroup.procs", unix.W_OK); err != nil {
		return fmt.Errorf("cgroup %s: this process is in %s, and to send one from there takes %s/cgroup.procs: %w",
			p.dir, filepath.Join(p.Dir, p.own), above, err)
	}
	return nil
}

// commonAncestor returns the longest path that leads to both.
func commonAncestor(a, b string) string {
	for a != b && a != "/" {
		if strings.HasPrefix(b, a+"/") {
			break
		}
		a = path.Dir(a)
	}
	return a
}

// parentBy returns the group of cgroup2 in which a container's goes by default, for a process that is in own: the
// one above, but for a user to whom nothing but own has been given.
func (h Hierarchy) parentBy(own string) string {
	above := path.Dir(own)
	if confined() && unix.Access(h.Dir+above, unix.W_OK) != nil && unix.Access(h.Dir+own, unix.W_OK) == nil {
		return own
	}
	return above
}
