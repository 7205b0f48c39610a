//go:build linux

package engine

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// hostFacts are what a config.json depends on beside what was asked for.
func hostFacts(privileged bool) (h ocispec.Host, err error) {
	h.Arch, h.CPUs = runtime.GOARCH, runtime.NumCPU()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return h, fmt.Errorf("uname: %w", err)
	}
	h.Hostname = unix.ByteSliceToString(name.Nodename[:])
	// 6.1.0-28-cloud-amd64
	_, _ = fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &h.Kernel[0], &h.Kernel[1])
	var root unix.Statfs_t
	h.CgroupV2 = unix.Statfs("/sys/fs/cgroup", &root) == nil && root.Type == unix.CGROUP2_SUPER_MAGIC
	h.KnownCapabilities = confine.Capabilities()
	h.Capabilities = heldCapabilities(h.KnownCapabilities)
	modules := kernel.SecurityModules()
	h.AppArmor, h.SELinux = slices.Contains(modules, "apparmor"), slices.Contains(modules, "selinux")
	if h.AppArmor && kernel.LoadsProfiles() == nil {
		h.Profile = DefaultProfile
	}
	if privileged {
		h.Devices, err = allDevices()
	}
	return h, err
}

// heldCapabilities are those that we have, and so can give: the bounding set, in the words of known, whose index is
// the number.
func heldCapabilities(known []string) (held []string) {
	for number, name := range known {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(number), 0, 0, 0)
		if err != nil {
			break // the kernel does not know it, nor those behind it
		}
		if set == 1 {
			held = append(held, name)
		}
	}
	return held
}

// device describes a device of the host.
func device(path string) (d specs.LinuxDevice, err error) {
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return d, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	mode := os.FileMode(stat.Mode & 0o777)
	d = specs.LinuxDevice{
		Path: path, Major: int64(unix.Major(stat.Rdev)), Minor: int64(unix.Minor(stat.Rdev)),
		FileMode: &mode, UID: &stat.Uid, GID: &stat.Gid,
	}
	switch stat.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		d.Type = "b"
	case unix.S_IFCHR:
		d.Type = "c"
	default:
		return d, fmt.Errorf("%s: not a device", path)
	}
	return d, nil
}

// allDevices are the devices below /dev but terminals and what is mounted there.
func allDevices() (devices []specs.LinuxDevice, err error) {
	err = filepath.WalkDir("/dev", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return nil // it has just gone
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev":
				return fs.SkipDir
			}
			return nil
		}
		if entry.Type()&fs.ModeDevice == 0 || entry.Name() == "console" {
			return nil
		}
		if d, err := device(path); err == nil {
			devices = append(devices, d)
		}
		return nil
	})
	return devices, err
}

// nodes are the devices that were asked for. Of a directory it is those in it.
func nodes(asked []ocispec.Device) (list []ocispec.Node, err error) {
	for _, a := range asked {
		host, err := filepath.EvalSymlinks(a.Host)
		if err != nil {
			return nil, fmt.Errorf("--device %s: %w", a.Host, err)
		}
		err = filepath.WalkDir(host, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			d, err := device(path)
			if err != nil {
				return err
			}
			d.Path = a.Container + strings.TrimPrefix(path, host)
			list = append(list, ocispec.Node{LinuxDevice: d, Access: a.Access})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("--device %s: %w", a.Host, err)
		}
	}
	return list, nil
}
