//go:build linux

package resolver

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is the user who owns nothing.
const nobody = 65534

// leaveAll gives up what a name server does not need. Whoever started us may have been in the mount namespace of a
// container's monitor, and as long as we had its mounts they could not end; we have a copy of them, made by
// clone, and take out all but what we read. Then we are nobody.
func leaveAll() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	needed := []string{dir, "/etc/resolv.conf", "/run/systemd/resolve"}
	// 93 61 0:52 / /var/lib/simple-container/containers/ID/rootfs rw,nodev - overlay overlay rw,lowerdir=...
	var points []string
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 4 {
			points = append(points, strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(words[4]))
		}
	}
	for _, point := range slices.Backward(points) {
		below := func(path string) bool {
			return path == point || strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/")
		}
		if !slices.ContainsFunc(needed, below) {
			_ = unix.Unmount(point, unix.MNT_DETACH) // it may have gone with the one that it was on
		}
	}
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setgid(nobody); err != nil {
		return fmt.Errorf("setgid %d: %w", nobody, err)
	}
	if err := syscall.Setuid(nobody); err != nil {
		return fmt.Errorf("setuid %d: %w", nobody, err)
	}
	return nil
}
