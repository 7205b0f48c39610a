//go:build linux

package overlay

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// appendsLayers tries whether overlayfs takes its layers one by one (lowerdir+, Linux 6.7). It only prepares a mount.
// Before Linux 6.5 every key is taken, and looked at later: so a key that cannot be is tried first.
var appendsLayers = sync.OnceValue(func() error {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("fsopen overlay: %w", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "no such key", "/"); err == nil {
		return errors.New("fsconfig overlay lowerdir+: needs Linux 6.7")
	}
	if err := unix.FsconfigSetString(fs, "lowerdir+", "/"); err != nil {
		return fmt.Errorf("fsconfig overlay lowerdir+: %w", err)
	}
	return nil
})

// create makes the overlay by descriptor (fsopen(2)): each layer is a call of its own, so it does not matter how long
// all their names are together.
func (s Stack) create(d *kernel.Door) (tree *os.File, err error) {
	options := s.describe()
	call := kernel.Call{Op: "fsopen", Object: "overlay", Value: options, Shell: "mount -t overlay -o " + options + " overlay ..."}
	err = d.Do(call, func() error {
		fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
		if err != nil {
			return err
		}
		defer unix.Close(fs)
		n := &names{}
		defer n.close()
		if err := s.configure(fs, n); err != nil {
			return said(fs, err)
		}
		if err := unix.FsconfigCreate(fs); err != nil {
			return said(fs, err)
		}
		fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
		if err != nil {
			return err
		}
		tree = os.NewFile(uintptr(fd), "overlay")
		return nil
	})
	return tree, err
}

// configure sets the source, which is what mountinfo says of it and nothing else, the layers and the options.
func (s Stack) configure(fs int, n *names) error {
	set := func(key, value string) error {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return fmt.Errorf("%s=%s: %w", key, value, err)
		}
		return nil
	}
	if err := set("source", "overlay"); err != nil {
		return err
	}
	type layer struct{ key, dir string }
	var layers []layer
	for _, dir := range slices.Backward(s.Lowers) { // to the kernel the first is the highest
		layers = append(layers, layer{"lowerdir+", dir})
	}
	for _, l := range append(layers, layer{"upperdir", s.Upper}, layer{"workdir", s.Work}) {
		name, err := n.of(l.dir)
		if err != nil {
			return err
		}
		if err := set(l.key, name); err != nil {
			return err
		}
	}
	for _, setting := range settings {
		key, value, _ := strings.Cut(setting, "=")
		if err := set(key, value); err != nil {
			return err
		}
	}
	if s.Volatile {
		if err := unix.FsconfigSetFlag(fs, "volatile"); err != nil {
			return err
		}
	}
	if s.Context != "" {
		return set("context", s.Context)
	}
	return nil
}

// said adds what the kernel has to say about a mount that it did not make: lines such as "e overlay: ...".
func said(fs int, err error) error {
	buf := make([]byte, 1024)
	n, readErr := unix.Read(fs, buf)
	if readErr != nil || n < 2 {
		return err // it has nothing to say
	}
	text := strings.TrimSpace(string(buf[2:n]))
	return fmt.Errorf("%w (%s)", err, text)
}

// names are what layers are called in the options of a mount: their paths, or where these are too long for an option
// or have a character that means something there, /proc/self/fd/N.
type names struct{ open []int }

// longest is how long a string of fsconfig(2) may be.
const longest = 255

func (n *names) of(dir string) (string, error) {
	if len(dir) <= longest && !strings.ContainsAny(dir, `\:,`) {
		return dir, nil
	}
	fd, err := n.descriptor(dir)
	return fmt.Sprintf("/proc/self/fd/%d", fd), err
}

// descriptor opens a layer until close.
func (n *names) descriptor(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	n.open = append(n.open, fd)
	return fd, nil
}

func (n *names) close() {
	for _, fd := range n.open {
		_ = unix.Close(fd) // handles without data
	}
}

// describe is the options of the mount as one would type them.
func (s Stack) describe() string {
	lowers := slices.Clone(s.Lowers)
	slices.Reverse(lowers)
	return s.options(strings.Join(lowers, ":"), s.Upper, s.Work)
}

func (s Stack) options(lowers, upper, work string) string {
	text := "lowerdir=" + lowers + ",upperdir=" + upper + ",workdir=" + work + "," + strings.Join(settings, ",")
	if s.Volatile {
		text += ",volatile"
	}
	if s.Context != "" {
		text += `,context="` + s.Context + `"` // quoted, for the commas in it
	}
	return text
}

// attach mounts a tree at a place (move_mount(2)).
func attach(d *kernel.Door, tree *os.File, target string) error {
	call := kernel.Call{Op: "move_mount", Object: tree.Name(), Value: target, Shell: "mount ... " + target}
	return d.Do(call, func() error {
		return unix.MoveMount(int(tree.Fd()), "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
	})
}
