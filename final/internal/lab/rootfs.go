//go:build linux

package lab

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// directories of the root file system. Those with a note are mount points: a container's own mounts cover them.
var directories = []struct {
	path string
	mode os.FileMode
}{
	{"bin", 0o755},
	{"dev", 0o755},  // a tmpfs with the device nodes
	{"proc", 0o555}, // procfs
	{"sys", 0o555},  // sysfs
	{"run", 0o755},
	{"tmp", os.ModeSticky | 0o777},
	{"etc", 0o755},
	{"home", 0o755},
	{"mnt", 0o755},
	{"opt", 0o755},
	{"root", 0o700},
	{"usr", 0o755},
	{"usr/lib", 0o755},
	{"usr/share", 0o755},
	{"usr/local", 0o755},
	{"usr/local/bin", 0o755},
	{"var", 0o755},
	{"var/log", 0o755},
	{"var/tmp", os.ModeSticky | 0o777},
}

// links that are not commands: programs are asked for under all of these directories.
var links = [][2]string{
	{"sbin", "bin"},
	{"usr/bin", "../bin"},
	{"usr/sbin", "../bin"},
	{"var/run", "../run"},
	{"etc/mtab", "../proc/mounts"},
}

var etc = []struct{ path, text string }{
	{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\nlearner:x:1000:1000:learner:/home:/bin/sh\n"},
	{"etc/group", "root:x:0:\ntty:x:5:\nlearner:x:1000:\nnogroup:x:65534:\n"},
	{"etc/hostname", "lab\n"},
	{"etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"},
	{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"etc/resolv.conf", ""}, // a container with a network gets its own
	{"etc/os-release", "NAME=\"Simple Container lab\"\nID=lab\nPRETTY_NAME=\"Simple Container lab\"\nHOME_URL=\"https://github.com/simple-container/simple-container\"\n"},
	{"etc/shells", "/bin/sh\n"},
	{"etc/profile", "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"},
}

// Write fills the directory dir, which exists, with a root file system whose commands are all this program.
func Write(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, d := range directories {
		if err := root.MkdirAll(d.path, 0o755); err != nil {
			return err
		}
		// Once more: the umask has had its say in mkdir(2), and cannot express the sticky bit.
		if err := root.Chmod(d.path, d.mode); err != nil {
			return err
		}
	}
	for _, l := range links {
		if err := root.Symlink(l[1], l[0]); err != nil {
			return err
		}
	}
	for _, f := range etc {
		if err := root.WriteFile(f.path, []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	return writeProgram(root)
}

// writeProgram copies the running executable to /bin/lab and links every command to it.
func writeProgram(root *os.Root) error {
	// Not os.Executable: that path is gone when `go run` has been interrupted; the link in /proc stays good.
	if err := copyInto(root, "/proc/self/exe", "bin/lab", 0o755); err != nil {
		return err
	}
	for _, name := range names() {
		if name == "lab" {
			continue
		}
		if err := root.Symlink("lab", filepath.Join("bin", name)); err != nil {
			return err
		}
	}
	objects, err := sharedObjects("/proc/self/exe", "/proc/self/maps")
	if err != nil {
		return err
	}
	for _, path := range objects {
		inside := strings.TrimPrefix(path, "/")
		if err := root.MkdirAll(filepath.Dir(inside), 0o755); err != nil {
			return err
		}
		if err := copyInto(root, path, inside, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func copyInto(root *os.Root, from, to string, mode os.FileMode) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	defer func() {
		if closed := dst.Close(); err == nil {
			err = closed
		}
	}()
	if _, err := io.Copy(dst, src); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return dst.Chmod(mode)
}
