//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

var mountCommands = []command{
	{"mount", "list mounts, or mount: mount [-t TYPE] [-o OPTIONS] [SOURCE] DIR; mount --bind DIR DIR", runMount},
	{"umount", "detach a mount: umount [-lfR] DIR...", runUmount},
	{"mountpoint", "tell whether a directory is a mount point: mountpoint [-q] DIR", runMountpoint},
	{"df", "print how full file systems are: df [-h] [PATH...]", runDf},
	{"mknod", "make a device node or a pipe: mknod [-m MODE] NAME b|c|p [MAJOR MINOR]", runMknod},
	{"mkfifo", "make a named pipe: mkfifo [-m MODE] NAME...", runMkfifo},
	{"chroot", "run a command with another root directory: chroot DIR [COMMAND]", runChroot},
	{"pivot_root", "exchange the root mount: pivot_root NEW PUT_OLD", runPivotRoot},
}

type mountFlag struct {
	word       string
	set, clear uintptr
}

// mountFlags are the words of -o that are flags of mount(2); the others go to the file system.
var mountFlags = []mountFlag{
	{"defaults", 0, 0},
	{"ro", unix.MS_RDONLY, 0}, {"rw", 0, unix.MS_RDONLY},
	{"nosuid", unix.MS_NOSUID, 0}, {"suid", 0, unix.MS_NOSUID},
	{"nodev", unix.MS_NODEV, 0}, {"dev", 0, unix.MS_NODEV},
	{"noexec", unix.MS_NOEXEC, 0}, {"exec", 0, unix.MS_NOEXEC},
	{"noatime", unix.MS_NOATIME, 0}, {"relatime", unix.MS_RELATIME, 0}, {"strictatime", unix.MS_STRICTATIME, 0},
	{"sync", unix.MS_SYNCHRONOUS, 0}, {"remount", unix.MS_REMOUNT, 0},
	{"bind", unix.MS_BIND, 0}, {"rbind", unix.MS_BIND | unix.MS_REC, 0}, {"move", unix.MS_MOVE, 0},
	{"private", unix.MS_PRIVATE, 0}, {"rprivate", unix.MS_PRIVATE | unix.MS_REC, 0},
	{"shared", unix.MS_SHARED, 0}, {"rshared", unix.MS_SHARED | unix.MS_REC, 0},
	{"slave", unix.MS_SLAVE, 0}, {"rslave", unix.MS_SLAVE | unix.MS_REC, 0},
	{"unbindable", unix.MS_UNBINDABLE, 0}, {"runbindable", unix.MS_UNBINDABLE | unix.MS_REC, 0},
}

func runMount(c *call) error {
	words, args := []string{}, []string{}
	for _, arg := range c.args {
		// --bind, --make-rprivate and the like are the same words as in -o.
		if word, ok := strings.CutPrefix(arg, "--"); ok && word != "" {
			words = append(words, strings.TrimPrefix(word, "make-"))
			continue
		}
		args = append(args, arg)
	}
	c.args = args
	o, err := c.options("t:o:rnv")
	if err != nil {
		return err
	}
	for _, value := range o.values['o'] {
		words = append(words, strings.Split(value, ",")...)
	}
	if o.has('r') {
		words = append(words, "ro")
	}
	if len(o.rest) == 0 {
		return listMounts(c, o.value('t', ""))
	}
	return mountOne(words, o.value('t', ""), o.rest)
}

func mountOne(words []string, kind string, operands []string) error {
	var flags uintptr
	var data []string
	for _, word := range words {
		at := slices.IndexFunc(mountFlags, func(f mountFlag) bool { return f.word == word })
		if at < 0 {
			data = append(data, word)
			continue
		}
		flags = flags&^mountFlags[at].clear | mountFlags[at].set
	}
	const propagation = unix.MS_PRIVATE | unix.MS_SHARED | unix.MS_SLAVE | unix.MS_UNBINDABLE
	source, target := operands[0], operands[len(operands)-1]
	if len(operands) == 1 {
		if kind == "" && flags&(unix.MS_REMOUNT|propagation) == 0 {
			return usagef("%s: the lab has no fstab: mount -t TYPE SOURCE DIR", target)
		}
		source = "none"
	}
	if kind == "" && flags&(unix.MS_BIND|unix.MS_REMOUNT|unix.MS_MOVE|propagation) == 0 {
		return mountAny(source, target, flags, strings.Join(data, ","))
	}
	if err := unix.Mount(source, target, kind, flags, strings.Join(data, ",")); err != nil {
		return fmt.Errorf("mounting %s on %s: %w", source, target, err)
	}
	// The kernel ignores the other flags of a bind mount; they take a second call (mount(2), "Remounting").
	if flags&unix.MS_BIND != 0 && flags&unix.MS_REMOUNT == 0 && flags&^uintptr(unix.MS_BIND|unix.MS_REC) != 0 {
		flags |= unix.MS_REMOUNT
		if err := unix.Mount("none", target, "", flags, ""); err != nil {
			return fmt.Errorf("remounting %s: %w", target, err)
		}
	}
	return nil
}

// mountAny tries the file systems that need a device, as mount(8) does without -t.
func mountAny(source, target string, flags uintptr, data string) error {
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return err
	}
	err = unix.ENODEV
	for line := range strings.Lines(string(known)) {
		if strings.HasPrefix(line, "nodev") {
			continue
		}
		if err = unix.Mount(source, target, strings.TrimSpace(line), flags, data); err == nil {
			return nil
		}
	}
	return fmt.Errorf("mounting %s on %s: %w (which type? -t)", source, target, err)
}

func listMounts(c *call, kind string) error {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if kind != "" && m.FSType != kind {
			continue
		}
		c.printf("%s on %s type %s (%s)\n", m.Source, m.Mountpoint, m.FSType, mountOptions(m))
	}
	return nil
}

// mountOptions joins the mount's own options and the file system's, each once.
func mountOptions(m *mountinfo.Info) string {
	all := strings.Split(m.Options, ",")
	for word := range strings.SplitSeq(m.VFSOptions, ",") {
		if !slices.Contains(all, word) && word != "" && word != "rw" {
			all = append(all, word)
		}
	}
	return strings.Join(all, ",")
}

func runUmount(c *call) error {
	o, err := c.options("lfRra", "recursive=R", "lazy=l", "force=f")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: umount [-lfR] DIR...")
	}
	flags := 0
	if o.has('l') {
		flags |= unix.MNT_DETACH
	}
	if o.has('f') {
		flags |= unix.MNT_FORCE
	}
	for _, dir := range o.rest {
		targets := []string{dir}
		if o.has('R') {
			if targets, err = mountsBelow(dir); err != nil {
				return err
			}
		}
		for _, target := range targets {
			if err := unix.Unmount(target, flags); err != nil {
				c.complain(fmt.Errorf("%s: %w", target, err))
			}
		}
	}
	return nil
}

// mountsBelow lists the mounts at and below a directory, the deepest first.
func mountsBelow(dir string) ([]string, error) {
	path, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(path))
	if err != nil {
		return nil, err
	}
	var found []string
	for _, m := range slices.Backward(mounts) {
		found = append(found, m.Mountpoint)
	}
	return found, nil
}

func runMountpoint(c *call) error {
	o, err := c.options("q")
	if err != nil {
		return err
	}
	if len(o.rest) != 1 {
		return usagef("usage: mountpoint [-q] DIR")
	}
	is, err := mountinfo.Mounted(o.rest[0])
	if err != nil {
		return err
	}
	word := "is"
	if !is {
		word = "is not"
		c.status = 1
	}
	if !o.has('q') {
		c.printf("%s %s a mountpoint\n", o.rest[0], word)
	}
	return nil
}

func runDf(c *call) error {
	o, err := c.options("hkaPT")
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	c.printf("%-20s %10s %10s %10s %4s %s\n", "Filesystem", map[bool]string{true: "Size", false: "1K-blocks"}[o.has('h')],
		"Used", "Available", "Use%", "Mounted on")
	show := func(n int64) string {
		if o.has('h') {
			return humanSize(n)
		}
		return strconv.FormatInt(n/1024, 10)
	}
	for _, m := range chooseMounts(c, mounts, o.rest) {
		var st unix.Statfs_t
		if err := unix.Statfs(m.Mountpoint, &st); err != nil || st.Blocks == 0 && len(o.rest) == 0 && !o.has('a') {
			continue // procfs and the like hold no blocks
		}
		block := int64(st.Bsize)
		total, free, avail := int64(st.Blocks)*block, int64(st.Bfree)*block, int64(st.Bavail)*block
		used := total - free
		share := 0
		if used+avail > 0 {
			share = int((100*used + used + avail - 1) / (used + avail))
		}
		c.printf("%-20s %10s %10s %10s %3d%% %s\n", m.Source, show(total), show(used), show(avail), share, m.Mountpoint)
	}
	return nil
}

// chooseMounts picks the mounts that hold the paths, all without any.
func chooseMounts(c *call, mounts []*mountinfo.Info, paths []string) []*mountinfo.Info {
	if len(paths) == 0 {
		return mounts
	}
	var chosen []*mountinfo.Info
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err != nil {
			c.complain(&os.PathError{Op: "stat", Path: path, Err: err})
			continue
		}
		full, err := filepath.Abs(path)
		if err != nil {
			c.complain(err)
			continue
		}
		var best *mountinfo.Info
		for _, m := range mounts {
			inside := m.Mountpoint == "/" || full == m.Mountpoint || strings.HasPrefix(full, m.Mountpoint+"/")
			if inside && (best == nil || len(m.Mountpoint) >= len(best.Mountpoint)) {
				best = m
			}
		}
		if best != nil {
			chosen = append(chosen, best)
		}
	}
	return chosen
}

func runMknod(c *call) error {
	o, err := c.options("m:")
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(o.value('m', "0666"), 8, 12)
	if err != nil {
		return usagef("%q is not an octal mode", o.value('m', ""))
	}
	types := map[string]uint32{"b": unix.S_IFBLK, "c": unix.S_IFCHR, "u": unix.S_IFCHR, "p": unix.S_IFIFO}
	if len(o.rest) < 2 || types[o.rest[1]] == 0 || o.rest[1] != "p" && len(o.rest) != 4 {
		return usagef("usage: mknod [-m MODE] NAME b|c|p [MAJOR MINOR]")
	}
	device := uint64(0)
	if o.rest[1] != "p" {
		major, majorErr := strconv.ParseUint(o.rest[2], 0, 32)
		minor, minorErr := strconv.ParseUint(o.rest[3], 0, 32)
		if majorErr != nil || minorErr != nil {
			return usagef("%s %s: not a device number", o.rest[2], o.rest[3])
		}
		device = unix.Mkdev(uint32(major), uint32(minor))
	}
	if err := unix.Mknod(o.rest[0], types[o.rest[1]]|uint32(mode), int(device)); err != nil {
		return &os.PathError{Op: "mknod", Path: o.rest[0], Err: err}
	}
	if o.has('m') {
		return os.Chmod(o.rest[0], os.FileMode(mode)) // whatever the umask says
	}
	return nil
}

func runMkfifo(c *call) error {
	o, err := c.options("m:")
	if err != nil {
		return err
	}
	mode, err := strconv.ParseUint(o.value('m', "0666"), 8, 12)
	if err != nil {
		return usagef("%q is not an octal mode", o.value('m', ""))
	}
	for _, name := range o.rest {
		if err := unix.Mkfifo(name, uint32(mode)); err != nil {
			c.complain(&os.PathError{Op: "mkfifo", Path: name, Err: err})
		}
	}
	return nil
}

func runChroot(c *call) error {
	o, err := c.options("+")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: chroot DIR [COMMAND [ARG...]]")
	}
	if err := unix.Chroot(o.rest[0]); err != nil {
		return &os.PathError{Op: "chroot", Path: o.rest[0], Err: err}
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	command := o.rest[1:]
	if len(command) == 0 {
		command = []string{"/bin/sh"}
	}
	return c.become(command, os.Environ())
}

func runPivotRoot(c *call) error {
	if len(c.args) != 2 {
		return usagef("usage: pivot_root NEW PUT_OLD")
	}
	if err := unix.PivotRoot(c.args[0], c.args[1]); err != nil {
		return fmt.Errorf("%s %s: %w", c.args[0], c.args[1], err)
	}
	return nil
}
