//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A subidRange is a line of /etc/subuid or /etc/subgid (subuid(5)): ids that root has given to a user, who is named or
// numbered, to map in user namespaces.
//
//	learner:100000:65536
type subidRange struct{ first, size uint64 }

func (r subidRange) String() string {
	if r.size == 1 {
		return strconv.FormatUint(r.first, 10)
	}
	return fmt.Sprintf("%d-%d", r.first, r.first+r.size-1)
}

// parseSubids picks a user's ranges. What is no range is passed over, as newuidmap(1) does.
func parseSubids(text, name string, uid int) (ranges []subidRange) {
	for line := range strings.Lines(text) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) != 3 || fields[0] != name && fields[0] != strconv.Itoa(uid) {
			continue
		}
		first, firstErr := strconv.ParseUint(fields[1], 10, 32)
		size, sizeErr := strconv.ParseUint(fields[2], 10, 32)
		if firstErr == nil && sizeErr == nil && size > 0 {
			ranges = append(ranges, subidRange{first, size})
		}
	}
	return ranges
}

// covered tells whether ranges have all ids of another one, be it in several pieces.
func (r subidRange) covered(ranges []subidRange) bool {
	for r.size > 0 {
		size := r.size
		for _, have := range ranges {
			if have.first <= r.first && r.first < have.first+have.size {
				step := min(have.first+have.size-r.first, r.size)
				r = subidRange{r.first + step, r.size - step}
			}
		}
		if r.size == size {
			return false
		}
	}
	return true
}

// refused says why newuidmap or newgidmap has refused, and what to do. The tool may have asked another service than the
// file for ranges (subid in nsswitch.conf(5)): so it is asked first, and the file read only for the reason.
func (m idMap) refused(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: to map more than one's own id takes this program: apt-get install uidmap", err)
	}
	name := strconv.Itoa(os.Geteuid())
	who, unknown := user.LookupId(name)
	if unknown != nil {
		return fmt.Errorf("%w: user %s is not in /etc/passwd, by whose names ids are given", err, name)
	}
	name = who.Username
	given := "/etc/sub" + strings.TrimSuffix(m.file, "_map")
	text, _ := kernel.ReadFile(given) // one that is not there gives nothing
	ranges := parseSubids(text, name, os.Geteuid())
	for _, id := range m.mappings {
		want := subidRange{uint64(id.HostID), uint64(id.Size)}
		if want.covered(append(ranges, subidRange{uint64(m.own), 1})) {
			continue
		}
		return fmt.Errorf("host ids %v: %s gives %s %s: map other ids%s: %w",
			want, given, name, listOf(ranges), grant(given, name, want), err)
	}
	return fmt.Errorf("%w%s", err, powerless(m.tool()))
}

// grant is how root gives a user ids. Those below are users of the machine, and nobody's to give away (SUB_UID_MIN,
// login.defs(5)).
func grant(given, name string, want subidRange) string {
	const least = 100000
	if want.first < least {
		return " (these are for users of the machine)"
	}
	return fmt.Sprintf(", or: sudo usermod --add-%ss %v %s", strings.TrimPrefix(given, "/etc/"), want, name)
}

func listOf(ranges []subidRange) string {
	if len(ranges) == 0 {
		return "none"
	}
	var words []string
	for _, r := range ranges {
		words = append(words, r.String())
	}
	return strings.Join(words, " and ")
}

// powerless says why a program that is root's does not have root's rights: nothing if it seems to have them.
func powerless(tool string) string {
	if none, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err == nil && none == 1 {
		return ": the caller has no_new_privs, under which it has no rights of its own"
	}
	path, err := exec.LookPath(tool)
	if err != nil {
		return ""
	}
	info, err := os.Stat(path)
	capabilities, none := unix.Getxattr(path, "security.capability", nil)
	if err == nil && info.Mode()&os.ModeSetuid == 0 && (none != nil || capabilities == 0) {
		return fmt.Sprintf(": it has no rights of its own: sudo chmod u+s %s", path)
	}
	var stat unix.Statfs_t
	if unix.Statfs(path, &stat) == nil && stat.Flags&unix.ST_NOSUID != 0 {
		return fmt.Sprintf(": it has no rights of its own: %s is on a nosuid mount", path)
	}
	return ""
}
