//go:build linux

package engines

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// makeWorld runs the tests in a world of their own, and looks at what they leave of it.
func makeWorld() (code int, err error) {
	dir, err := os.MkdirTemp("", "engines-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // for users that are others outside
		return 1, err
	}
	if err := makeLab(dir); err != nil {
		return 1, err
	}
	if path := os.Getenv("RUNTIME"); filepath.IsAbs(path) { // it may be in /tmp, which the world has not
		if out, err := exec.Command("cp", path, dir).CombinedOutput(); err != nil {
			return 1, fmt.Errorf("RUNTIME: %w: %s", err, out)
		}
	}
	groups, err := makeGroups(filepath.Base(dir))
	defer func() { err = errors.Join(err, groups.remove()) }()
	if err != nil {
		return 1, err
	}
	ready, release, err := os.Pipe()
	if err != nil {
		return 1, err
	}
	defer release.Close()
	// The file in which go test wants to find what a result depends on: this one is nobody's to remember.
	args := slices.DeleteFunc(slices.Clone(os.Args[1:]), func(arg string) bool {
		return strings.HasPrefix(arg, "-test.testlogfile=")
	})
	command := exec.Command("/proc/self/exe", args...)
	command.Env = append(os.Environ(), stage+"=init", work+"="+dir, "TMPDIR="+dir, "GOTMPDIR=") // which t.TempDir has, too
	command.Stdin, command.Stdout, command.Stderr = ready, os.Stdout, os.Stderr
	const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces, Pdeathsig: unix.SIGKILL}
	runtime.LockOSThread() // Pdeathsig is about the thread; it stays until this process ends
	if err := command.Start(); err != nil {
		return 1, err
	}
	ready.Close()
	for _, group := range groups {
		if err := write(group.inner+"/cgroup.procs", fmt.Sprint(command.Process.Pid)); err != nil {
			return 1, err
		}
	}
	release.Close()
	if err := command.Wait(); command.ProcessState == nil {
		return 1, err
	}
	return command.ProcessState.ExitCode(), nil
}

// A group is a directory that we made, and the one in it, or itself, that is the root for the tests.
type group struct{ outer, inner string }

type groups []group

// makeGroups makes a group in every hierarchy, and returns the directories. In v1 it is below our own, whose
// limits hold on; in v2 it is below the root, because a group with processes hands no controllers down.
func makeGroups(name string) (made groups, err error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	own := cgroup.ParseMembership(string(text))
	for _, h := range layout {
		parent := h.Dir
		if h.Version == 2 && layout.Mode() == cgroup.Unified {
			controllers := []string{"cpu", "memory", "pids"} // systemd has them on already
			if inVM {
				controllers = h.Controllers
			}
			for _, controller := range controllers {
				if err := write(parent+"/cgroup.subtree_control", "+"+controller); err != nil {
					return made, err
				}
			}
		}
		if h.Version == 1 && len(h.Controllers) > 0 {
			parent = filepath.Join(parent, own[h.Controllers[0]])
		}
		g := group{filepath.Join(parent, name), filepath.Join(parent, name)}
		if h.Version == 2 && layout.Mode() == cgroup.Hybrid {
			// What the host hands down ends here: crun runs on no hybrid host whose v2 has a controller.
			g.inner = filepath.Join(g.outer, "world")
		}
		made = append(made, g)
		if err := os.MkdirAll(g.inner, 0o755); err != nil {
			return made, err
		}
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} { // in v1 nobody can run without
			if text, err := os.ReadFile(filepath.Join(parent, file)); err == nil && h.Version == 1 {
				if err := write(filepath.Join(g.inner, file), string(text)); err != nil {
					return made, err
				}
			}
		}
	}
	return made, nil
}

// enginesOwn are the groups that engines keep for the next container.
var enginesOwn = []string{"init", "docker", "libpod_parent", "libpod_parent/conmon", "default"}

// remove removes the groups, and says which had others in them that are nobody's.
func (made groups) remove() (err error) {
	for _, g := range made {
		_ = filepath.WalkDir(g.inner, func(path string, entry os.DirEntry, walking error) error {
			name, _ := filepath.Rel(g.inner, path)
			if walking == nil && entry.IsDir() && path != g.inner && !slices.Contains(enginesOwn, name) {
				err = errors.Join(err, fmt.Errorf("cgroup left behind: %s", path))
			}
			return nil // one that goes meanwhile is none that stays
		})
		err = errors.Join(err, cgroup.Remove(&kernel.Door{}, g.outer))
	}
	return err
}

// initWorld is process 1: it makes the mounts, runs the tests, and waits for all that becomes its child.
func initWorld() int {
	runtime.LockOSThread()               // unshare is about the thread, and what it starts
	_, _ = io.Copy(io.Discard, os.Stdin) // until we are in the cgroups
	if err := furnish(os.Getenv(work)); err != nil {
		fmt.Fprintln(os.Stderr, "the world of the tests:", err)
		return 1
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := os.Setenv(stage, "tests"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	tests, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{null.Fd(), 1, 2},
	})
	for err == nil || errors.Is(err, unix.EINTR) {
		var status unix.WaitStatus
		var pid int
		if pid, err = unix.Wait4(-1, &status, 0, nil); pid == tests {
			return status.ExitStatus()
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// furnish makes the world what the tests want it to be.
func furnish(dir string) error {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unshare cgroup: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount / private: %w", err)
	}
	for _, make := range []func() error{
		func() error { return mountGroups(layout, mounts) },
		func() error { return unix.Mount("proc", "/proc", "proc", 0, "") },
		func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=755") },
		func() error { return unix.Mount("tmpfs", "/dev/shm", "tmpfs", 0, "mode=1777") },
		func() error { return cover("/etc", "/root", "/var") },
		func() error { return emptyTmp(dir) },
		func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "") },
		func() error {
			return netlink.LinkSetUp(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 1, Name: "lo"}})
		},
	} {
		if err := make(); err != nil {
			return err
		}
	}
	return nil
}

// emptyTmp makes a new /tmp, in which there is only our directory.
func emptyTmp(dir string) error {
	ours, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer ours.Close()
	if err := unix.Mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mount tmpfs on /tmp: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", ours.Fd()), dir, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount --bind %s: %w", dir, err)
	}
	// As a directory of the machine would be, whatever flags its /tmp has.
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount -o remount,bind %s: %w", dir, err)
	}
	return nil
}

// mountGroups mounts the cgroup hierarchies again, where they were: a new mount shows the part that is this
// namespace's.
func mountGroups(layout cgroup.Layout, mounts []*mountinfo.Info) error {
	const top = "/sys/fs/cgroup"
	if err := unix.Mount("tmpfs", top, "tmpfs", 0, "mode=755"); err != nil {
		return err
	}
	for _, h := range layout {
		i := slices.IndexFunc(mounts, func(m *mountinfo.Info) bool { return m.Mountpoint == h.Dir && m.FSType != "tmpfs" })
		m := mounts[i]
		options := strings.TrimPrefix(m.VFSOptions, "rw,")
		if h.Version == 2 {
			options = ""
		}
		if err := os.MkdirAll(h.Dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.FSType, h.Dir, m.FSType, 0, options); err != nil {
			return fmt.Errorf("mount %s %s: %w", h.Dir, options, err)
		}
		if layout.Mode() == cgroup.Unified {
			if err := handDown(h.Dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// handDown makes v2's controllers available to the groups of this world, which takes a root without processes.
func handDown(root string) error {
	if err := os.Mkdir(root+"/init", 0o755); err != nil {
		return err
	}
	if err := write(root+"/init/cgroup.procs", "0"); err != nil {
		return err
	}
	controllers, err := os.ReadFile(root + "/cgroup.controllers")
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		if err := write(root+"/cgroup.subtree_control", "+"+controller); err != nil {
			return err
		}
	}
	return nil
}

// cover lets directories of the machine be written to, and the machine not see it.
func cover(dirs ...string) error {
	const place = "/run/cover"
	for _, dir := range dirs {
		upper, lower := place+dir+"/upper", place+dir+"/work"
		if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(lower, 0o755)); err != nil {
			return err
		}
		options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, lower)
		if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
			return fmt.Errorf("mount overlay on %s: %w", dir, err)
		}
	}
	return nil
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0) }
