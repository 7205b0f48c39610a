//go:build linux

package kernel

import (
	"cmp"
	"fmt"

	"golang.org/x/sys/unix"
)

// Version is a kernel's version, as far as features go by it.
type Version struct{ Major, Minor int }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Compare returns -1, 0 or 1 for v before, equal to or after w.
func (v Version) Compare(w Version) int {
	return cmp.Or(cmp.Compare(v.Major, w.Major), cmp.Compare(v.Minor, w.Minor))
}

// ParseVersion reads the beginning of a kernel release: 6.1.0-18-cloud-amd64, 5.15.153.1-microsoft-standard-WSL2.
func ParseVersion(release string) (v Version, err error) {
	if _, err := fmt.Sscanf(release, "%d.%d", &v.Major, &v.Minor); err != nil {
		return v, fmt.Errorf("kernel release %q: want two numbers first: %w", release, err)
	}
	return v, nil
}

// Release returns the running kernel's release, as uname -r prints it.
func Release() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", fmt.Errorf("uname: %w", err)
	}
	return unix.ByteSliceToString(name.Release[:]), nil
}
