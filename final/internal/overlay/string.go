//go:build linux

package overlay

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// mountByString mounts the overlay with mount(2), which takes one page of options.
//
// Where the names of the layers do not fit, they are opened, and the options say the numbers of the descriptors, from
// /proc/self/fd as the working directory: of 500 layers these are 2 KB. The directory is that of a thread which
// shares its own with nobody (CLONE_FS) and ends. (Mapped layers are mounted on such a thread anyway.)
func (s Stack) mountByString(d *kernel.Door, target string) error {
	text := s.escaped()
	call := kernel.Call{Op: "mount", Object: "overlay " + target, Value: s.describe(),
		Shell: "mount -t overlay -o " + s.describe() + " overlay " + target}
	return d.Do(call, func() error {
		if len(text) < os.Getpagesize() {
			return unix.Mount("overlay", target, "overlay", 0, text)
		}
		if s.IDs != (IDs{}) {
			return s.mountByNumber(target)
		}
		return kernel.OnThread(func() error {
			if err := unix.Unshare(unix.CLONE_FS); err != nil {
				return os.NewSyscallError("unshare", err)
			}
			return s.mountByNumber(target)
		})
	})
}

func (s Stack) mountByNumber(target string) error {
	n := &names{}
	defer n.close()
	var numbers []string
	for _, dir := range append(slices.Clone(s.Lowers), s.Work, s.Upper) {
		fd, err := n.descriptor(dir)
		if err != nil {
			return err
		}
		numbers = append(numbers, strconv.Itoa(fd))
	}
	slices.Reverse(numbers)
	text := s.options(strings.Join(numbers[2:], ":"), numbers[0], numbers[1])
	if err := unix.Chdir("/proc/self/fd"); err != nil {
		return &os.PathError{Op: "chdir", Path: "/proc/self/fd", Err: err}
	}
	return unix.Mount("overlay", target, "overlay", 0, text)
}

// escaped is the options of the mount as the kernel wants them: a backslash before what would end a name.
func (s Stack) escaped() string {
	lower := strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`)
	other := strings.NewReplacer(`\`, `\\`, `,`, `\,`)
	var lowers []string
	for _, dir := range slices.Backward(s.Lowers) {
		lowers = append(lowers, lower.Replace(dir))
	}
	return s.options(strings.Join(lowers, ":"), other.Replace(s.Upper), other.Replace(s.Work))
}
