//go:build linux

package rootfs

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// options are the options of a mount, taken apart: the runtime specification and mount(8) mix three kinds.
type options struct {
	set, clear   uintptr   // MS_ flags: those named, and those whose opposite is named
	rset, rclear uintptr   // the same for the whole tree, not only for its top
	bind         uintptr   // MS_BIND, perhaps with MS_REC, if a tree is shown at a second place
	remount      bool      // what is mounted there already is changed
	propagation  []uintptr // MS_PRIVATE and so on, perhaps with MS_REC, in the order given
	copyUp       bool      // a tmpfs begins with what it covers
	idmap        uintptr   // MS_BIND if the mount has owners of its own, with MS_REC if the whole tree has
	data         []string  // what only the file system understands
}

// A flagOption is an option that sets and clears flags of mount(2).
type flagOption struct {
	name       string
	set, clear uintptr
}

const atimes = unix.MS_NOATIME | unix.MS_RELATIME | unix.MS_STRICTATIME // of which a mount has one

// attributeOptions change one mount. With an r before the name (rro, rnosuid) they change all mounts of a tree.
var attributeOptions = []flagOption{
	{"ro", unix.MS_RDONLY, 0}, {"rw", 0, unix.MS_RDONLY},
	{"nosuid", unix.MS_NOSUID, 0}, {"suid", 0, unix.MS_NOSUID},
	{"nodev", unix.MS_NODEV, 0}, {"dev", 0, unix.MS_NODEV},
	{"noexec", unix.MS_NOEXEC, 0}, {"exec", 0, unix.MS_NOEXEC},
	{"nosymfollow", unix.MS_NOSYMFOLLOW, 0}, {"symfollow", 0, unix.MS_NOSYMFOLLOW},
	{"nodiratime", unix.MS_NODIRATIME, 0}, {"diratime", 0, unix.MS_NODIRATIME},
	{"noatime", unix.MS_NOATIME, atimes &^ unix.MS_NOATIME}, {"atime", 0, unix.MS_NOATIME},
	{"relatime", unix.MS_RELATIME, atimes &^ unix.MS_RELATIME}, {"norelatime", 0, unix.MS_RELATIME},
	{"strictatime", unix.MS_STRICTATIME, atimes &^ unix.MS_STRICTATIME}, {"nostrictatime", 0, unix.MS_STRICTATIME},
}

// superOptions change a file system, wherever it is mounted.
var superOptions = []flagOption{
	{"sync", unix.MS_SYNCHRONOUS, 0}, {"async", 0, unix.MS_SYNCHRONOUS},
	{"dirsync", unix.MS_DIRSYNC, 0},
	{"mand", unix.MS_MANDLOCK, 0}, {"nomand", 0, unix.MS_MANDLOCK},
	{"lazytime", unix.MS_LAZYTIME, 0}, {"nolazytime", 0, unix.MS_LAZYTIME},
	{"iversion", unix.MS_I_VERSION, 0}, {"noiversion", 0, unix.MS_I_VERSION},
	{"silent", unix.MS_SILENT, 0}, {"loud", 0, unix.MS_SILENT},
}

const superFlags = unix.MS_SYNCHRONOUS | unix.MS_DIRSYNC | unix.MS_MANDLOCK | unix.MS_LAZYTIME | unix.MS_I_VERSION

// propagations say whether mounts and unmounts below pass to and from copies of the mount
// (mount_namespaces(7)).
var propagations = []flagOption{
	{"private", unix.MS_PRIVATE, 0}, {"rprivate", unix.MS_PRIVATE | unix.MS_REC, 0},
	{"shared", unix.MS_SHARED, 0}, {"rshared", unix.MS_SHARED | unix.MS_REC, 0},
	{"slave", unix.MS_SLAVE, 0}, {"rslave", unix.MS_SLAVE | unix.MS_REC, 0},
	{"unbindable", unix.MS_UNBINDABLE, 0}, {"runbindable", unix.MS_UNBINDABLE | unix.MS_REC, 0},
}

// parseOptions takes the options of a mount apart. A later option wins over an earlier one.
func parseOptions(list []string) (o options) {
	for _, name := range list {
		if o.parseFlag(name) || noted(name) {
			continue
		}
		switch name {
		case "bind", "rbind":
			o.bind = unix.MS_BIND | recursive(name)
		case "idmap", "ridmap":
			o.idmap = unix.MS_BIND | recursive(name)
		case "remount":
			o.remount = true
		case "tmpcopyup":
			o.copyUp = true
		default:
			o.data = append(o.data, name)
		}
	}
	return o
}

// parseFlag takes an option that is a flag of mount(2), or an attribute of a whole tree.
func (o *options) parseFlag(name string) bool {
	if p, ok := findOption(propagations, name); ok {
		o.propagation = append(o.propagation, p.set)
		return true
	}
	flag, ok := findOption(attributeOptions, name)
	if !ok {
		flag, ok = findOption(superOptions, name)
	}
	if ok {
		o.set, o.clear = o.set&^flag.clear|flag.set, o.clear&^flag.set|flag.clear
		return true
	}
	if name, ok = strings.CutPrefix(name, "r"); !ok {
		return false
	}
	if flag, ok = findOption(attributeOptions, name); ok {
		o.rset, o.rclear = o.rset&^flag.clear|flag.set, o.rclear&^flag.set|flag.clear
	}
	return ok
}

func findOption(table []flagOption, name string) (flagOption, bool) {
	for _, option := range table {
		if option.name == name {
			return option, true
		}
	}
	return flagOption{}, false
}

func recursive(name string) uintptr {
	if name[0] == 'r' {
		return unix.MS_REC
	}
	return 0
}

// noted tells whether an option is a note for mount(8) or for those who read fstab(5), and nothing to do.
func noted(name string) bool {
	switch name {
	case "defaults", "auto", "noauto", "nofail", "_netdev":
		return true
	}
	return strings.HasPrefix(name, "x-") || strings.HasPrefix(name, "X-") || strings.HasPrefix(name, "comment=")
}

// ofTmpfs tells whether an option shapes a new tmpfs. Callers send one list of options for all their mounts;
// for a bind mount mount(2) does not read these, and nothing is the less protected.
func ofTmpfs(name string) bool {
	key, _, _ := strings.Cut(name, "=")
	return key == "mode" || key == "size"
}

// check refuses what a mount of this kind cannot have.
func (o options) check(mountSetattr bool) error {
	if (o.rset != 0 || o.rclear != 0) && !mountSetattr {
		return errors.New("attributes for a whole tree (such as rro): need mount_setattr(2), Linux 5.12")
	}
	if o.copyUp && o.set&superFlags != 0 {
		return errors.New("sync, dirsync, mand, lazytime, iversion: not together with tmpcopyup")
	}
	if o.bind == 0 || o.remount {
		return nil
	}
	for _, name := range o.data {
		if !ofTmpfs(name) {
			return fmt.Errorf("%q: not an option of bind mounts, which have no file system of their own", name)
		}
	}
	if o.set&superFlags != 0 {
		return errors.New("sync, dirsync, mand, lazytime, iversion: of the file system, a bind mount cannot change them")
	}
	return nil
}

// tunes tells whether there is anything to change of a mount that is there.
func (o options) tunes() bool { return o.set|o.clear|o.rset|o.rclear != 0 || len(o.propagation) > 0 }

// optionList writes flags as the options of mount(8), for people.
func optionList(flags uintptr, data ...string) string {
	var list []string
	if flags&unix.MS_REMOUNT != 0 {
		list = append(list, "remount")
	}
	if flags&unix.MS_BIND != 0 {
		list = append(list, "bind")
	}
	for _, table := range [][]flagOption{attributeOptions, superOptions} {
		for _, option := range table {
			if option.set != 0 && flags&option.set != 0 {
				list = append(list, option.name)
			}
		}
	}
	for _, option := range data {
		if option != "" {
			list = append(list, option)
		}
	}
	return strings.Join(list, ",")
}

// dashO is the -o before options of mount(8), if there are any.
func dashO(flags uintptr, data ...string) string {
	if optionList(flags, data...) == "" {
		return ""
	}
	return "-o"
}
