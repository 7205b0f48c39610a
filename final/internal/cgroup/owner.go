//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// Owned gives the group to a user of the host, who can then make groups below, but those of v1, where that is not
// safe (config-linux.md, "Cgroup ownership"). The limits stay ours: only the files that the kernel names are given away.
func (g *Group) Owned(door *kernel.Door, uid int) error {
	p := g.v2()
	if p == nil {
		return nil
	}
	err := door.Chown(p.dir, uid)
	if errors.Is(err, unix.EPERM) && confined() {
		door.Skip("linux.cgroupsPath", fmt.Sprintf("it stays the caller's: only root can give it to user %d of the host", uid))
		return nil
	}
	if err != nil {
		return err
	}
	names := strings.Fields(readFile("/sys/kernel/cgroup/delegate"))
	if len(names) == 0 {
		names = []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}
	}
	for _, name := range names {
		if strings.Contains(name, "/") {
			continue
		}
		if err := door.Chown(p.dir+"/"+name, uid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
