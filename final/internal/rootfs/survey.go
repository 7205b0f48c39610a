//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// Survey fills in what can be seen from the host before the container is there: o.Sites, o.RootFlags, o.Kcore
// and o.MountSetattr. It changes nothing, and nothing is safe because of it: it makes the plan short, and
// knows where a symbolic link leads whose target is not there yet, such as /var/run to /run. The container
// side has no words to ask for that.
func Survey(s *specs.Spec, o *Options) error {
	_, err := os.Lstat("/proc/kcore")
	o.Kcore = err == nil
	o.MountSetattr = kernel.MountSetattr() == nil
	o.RootFlags, _ = mountFlags(o.Root) // unknown is none
	o.Sites = nil
	b := newBuilder(nil, s, *o, nil)
	for i := range s.Mounts {
		if b.sites[i], err = b.survey(i); err != nil {
			return fmt.Errorf("mounts[%d].%w", i, err)
		}
	}
	o.Sites = b.sites
	if o.NoPivot {
		if o.Bare, err = bare(o.Root); err != nil {
			return err
		}
	}
	return b.surveyDevices()
}

// bare lists the mounts of procfs and sysfs that are not below the root, the last one first.
func bare(root string) (list []string, err error) {
	mounts, err := mountinfo.GetMounts(mountinfo.FSTypeFilter("proc", "sysfs"))
	if err != nil {
		return nil, fmt.Errorf("read mountinfo: %w", err)
	}
	for _, m := range slices.Backward(mounts) {
		if !strings.HasPrefix(m.Mountpoint, root+"/") {
			list = append(list, m.Mountpoint)
		}
	}
	return list, nil
}

// survey looks at the place and the source of a mount. The mounts before it have been looked at.
func (b *builder) survey(i int) (site Site, err error) {
	m, o := b.spec.Mounts[i], b.options[i]
	real := mustBeReal(below(m.Destination)) || m.Type == "proc" || m.Type == "sysfs"
	site, err = b.resolve(below(m.Destination), i, !real)
	if err != nil {
		return site, fmt.Errorf("destination: %q: %w", m.Destination, err)
	}
	if o.bind == 0 || o.remount {
		return site, nil
	}
	info, err := os.Stat(b.source(i))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) { // another user's, for an unprivileged parent: the mount will tell
			return site, nil
		}
		if inside, ok := b.inside(i); ok && errors.Is(err, fs.ErrNotExist) { // what an earlier mount brings
			mode, _ := b.look(inside, i)
			site.File = mode&unix.S_IFMT != unix.S_IFDIR && mode != 0
			return site, nil
		}
		return site, fmt.Errorf("source: %w", err)
	}
	site.File = !info.IsDir()
	site.Flags, site.Proc = mountFlags(b.source(i))
	return site, nil
}

// inside tells whether the source of a bind mount is in the container's own tree, and where. Mounts that come
// before may have brought it, so the container side alone finds it.
func (b *builder) inside(i int) (target string, ok bool) {
	return strings.CutPrefix(path.Clean(b.source(i)), b.Root+"/")
}

const mostLinks = 40 // that the kernel follows in one path (path_resolution(7))

// resolve finds where a path leads below the root, once the first n mounts are made.
func (b *builder) resolve(target string, n int, follow bool) (site Site, err error) {
	rest, done := strings.Split(target, "/"), []string{}
	missing := false
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = done[:max(len(done)-1, 0)]
			site.Exists, missing = min(site.Exists, len(done)), false
			continue
		}
		done = append(done, name)
		if missing {
			continue
		}
		mode, link := b.look(strings.Join(done, "/"), n)
		switch {
		case mode == 0:
			missing = true
		case link != "" && follow:
			if links++; links > mostLinks {
				return site, unix.ELOOP
			}
			done = done[:len(done)-1]
			if path.IsAbs(link) {
				done = done[:0]
			}
			site.Exists = len(done)
			rest = append(strings.Split(link, "/"), rest...)
		default:
			site.Exists, site.Mode = len(done), mode
		}
	}
	site.Target = strings.Join(done, "/")
	if site.Exists < len(done) || site.Mode&unix.S_IFMT != unix.S_IFDIR {
		site.Mode = 0
	}
	site.Mode &^= unix.S_IFMT
	return site, nil
}

// look is lstat(2) of a target without symbolic links before its last component: the permissions and S_IFMT
// bits are 0 if nothing is there, link is where a symbolic link leads.
func (b *builder) look(target string, n int) (mode uint32, link string) {
	place, stat := path.Join(b.Root, target), unix.Lstat
	for i := n - 1; i >= 0; i-- {
		at, o := b.sites[i].Target, b.options[i]
		inside, ok := strings.CutPrefix(target+"/", at+"/")
		if !ok || o.remount || o.copyUp {
			continue
		}
		kind := b.spec.Mounts[i].Type
		switch {
		case o.bind != 0:
			if place = path.Join(b.source(i), inside); inside == "" {
				stat = unix.Stat // what is mounted is what the source's links lead to
			}
		case inside == "" || kind == "proc" || kind == "sysfs":
			return unix.S_IFDIR, "" // the kernel's files are there
		case kind == "tmpfs" || kind == "devpts" || kind == "mqueue":
			return 0, ""
		}
		break
	}
	var info unix.Stat_t
	if err := stat(place, &info); err != nil {
		return 0, ""
	}
	if info.Mode&unix.S_IFMT == unix.S_IFLNK {
		link, _ = os.Readlink(place) // empty is no link
	}
	return info.Mode, link
}

// mountFlags are the flags of the mount that a path is on, and whether that is a procfs. statfs(2) has bits of
// its own for them, most with the numbers of mount(2).
func mountFlags(place string) (flags uintptr, proc bool) {
	const relatime, nosymfollow = 0x1000, 0x2000 // ST_RELATIME, ST_NOSYMFOLLOW
	var stat unix.Statfs_t
	if err := unix.Statfs(place, &stat); err != nil {
		return 0, false
	}
	const same = unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC | unix.MS_NOATIME | unix.MS_NODIRATIME
	flags = uintptr(stat.Flags) & same
	switch {
	case stat.Flags&relatime != 0:
		flags |= unix.MS_RELATIME
	case flags&unix.MS_NOATIME == 0:
		flags |= unix.MS_STRICTATIME
	}
	if stat.Flags&nosymfollow != 0 {
		flags |= unix.MS_NOSYMFOLLOW
	}
	return flags, stat.Type == unix.PROC_SUPER_MAGIC
}
