//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountLine is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type mountLine struct {
	point, fstype, source string
	options               []string // of the mount
	super                 string   // of the file system
}

func mountsOf(w *world, pid int) (list []mountLine) {
	w.Helper()
	for _, line := range lines(w.read(fmt.Sprintf("/proc/%d/mountinfo", pid))) {
		before, after, _ := strings.Cut(line, " - ")
		place, system := strings.Fields(before), strings.Fields(after)
		list = append(list, mountLine{
			point: place[4], options: strings.Split(place[5], ","),
			fstype: system[0], source: system[1], super: system[2],
		})
	}
	return list
}

// copyOfImage is an image that a test may spoil.
func copyOfImage(w *world) string {
	w.Helper()
	dir := filepath.Join(w.TempDir(), "image, with:odd\\name")
	w.must(os.Mkdir(dir, 0o755))
	w.must(command("cp", "-a", image+"/.", dir))
	return dir
}

func TestRootIsTheImage(t *testing.T) {
	w := newWorld(t)
	dir := copyOfImage(w)
	name := randomName()
	w.must(os.WriteFile(filepath.Join(dir, name), []byte("from the image\n"), 0o644))
	r := w.run("run", "--rootfs", dir, "cat", "/"+name)
	if r.stdout != "from the image\n" {
		w.wrong("a file of the image", "from the image", r.stdout+r.stderr, "the overlay's lowerdir is another", walk)
	}
	secret := filepath.Join(w.dir, name)
	w.must(os.WriteFile(secret, nil, 0o644))
	if r := w.run("run", "cat", secret); r.code == 0 {
		w.wrong("a file of the host", "not there", "read", "the root was not changed", problem)
	}
}

// tree lists a directory with all that a write would change.
func tree(w *world, dir string) (list []string) {
	w.Helper()
	w.must(filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		list = append(list, fmt.Sprint(path, info.Mode(), info.Size(), info.ModTime().UnixNano()))
		return nil
	}))
	return list
}

func TestImageIsNeverWritten(t *testing.T) {
	w := newWorld(t)
	before := tree(w, image)
	name := "/etc/" + randomName()
	r := w.run("run", "sh", "-c", fmt.Sprintf("echo new > %s && echo x >> /etc/passwd && rm /etc/group && rm -r /home && cat %[1]s", name))
	if r.code != 0 || r.stdout != "new\n" {
		w.wrong("writing in the container", "works", r.stdout+r.stderr, "the overlay has no upper layer", walk)
	}
	if after := tree(w, image); !slices.Equal(before, after) {
		w.wrong("the image", "as it was", "changed", "the container's root is the image itself, not an overlay", problem)
	}
	if r := w.run("run", "sh", "-c", "cat "+name+"; ls /etc/group"); strings.Contains(r.stdout, "new") || !strings.Contains(r.stdout, "group") {
		w.wrong("the next container", "a fresh root", r.stdout, "the upper layer was kept", walk)
	}
}

func TestOldRootIsGone(t *testing.T) {
	w := newWorld(t)
	pid := w.start("run", "sleep", "1000").started()
	for i, m := range mountsOf(w, pid) {
		if i == 0 && (m.point != "/" || m.fstype != "overlay") {
			w.wrong("the first mount", "/ overlay", m, "pivot_root was not called", walk)
		}
		if m.fstype == "tmpfs" && !strings.HasPrefix(m.point, "/dev") || m.fstype == "ext4" || m.fstype == "devtmpfs" {
			w.wrong("mounts in the container", "its own", m, "the old root was not detached: umount2 with MNT_DETACH", walk)
		}
		if slices.ContainsFunc(m.options, func(o string) bool { return strings.HasPrefix(o, "shared:") }) {
			w.wrong("mounts in the container", "private", m, "MS_REC|MS_PRIVATE is missing", walk)
		}
	}
}

func TestFilesystems(t *testing.T) {
	w := newWorld(t)
	mounts := mountsOf(w, w.start("run", "sleep", "1000").started())
	for _, want := range []struct {
		point, fstype string
		options       []string
	}{
		{"/proc", "proc", []string{"nosuid", "nodev", "noexec"}},
		{"/sys", "sysfs", []string{"ro", "nosuid", "nodev", "noexec"}},
		{"/dev", "tmpfs", []string{"nosuid"}},
		{"/dev/pts", "devpts", []string{"nosuid", "noexec"}},
		{"/dev/shm", "tmpfs", []string{"nosuid", "nodev", "noexec"}},
		{"/dev/mqueue", "mqueue", []string{"nosuid", "nodev", "noexec"}},
		{"/proc/sys", "proc", []string{"ro"}},
	} {
		i := slices.IndexFunc(mounts, func(m mountLine) bool { return m.point == want.point })
		if i < 0 || mounts[i].fstype != want.fstype {
			w.wrong("mount on "+want.point, want.fstype, mounts, "it is missing from the table", walk)
			continue
		}
		for _, option := range want.options {
			if !slices.Contains(mounts[i].options, option) {
				w.wrong("mount on "+want.point, option, mounts[i].options, "a flag is missing from the table", walk)
			}
		}
	}
}

func TestMachineIsProtected(t *testing.T) {
	w := newWorld(t)
	pattern := w.read("/proc/sys/kernel/core_pattern")
	for _, file := range []string{"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_seqnum"} {
		if _, err := os.Stat(file); err != nil {
			continue // not in this kernel
		}
		// What is written to core_pattern is what it says already; to the others it means nothing.
		r := w.run("run", "sh", "-c", "cat /proc/sys/kernel/core_pattern > "+file)
		if r.code == 0 || !strings.Contains(strings.ToLower(r.stderr), "read-only") {
			w.wrong("writing to "+file, "read-only file system", r.stderr, "bind it onto itself and remount that read-only", walk)
		}
	}
	if after := w.read("/proc/sys/kernel/core_pattern"); after != pattern {
		w.wrong("core_pattern of the host", pattern, after, "/proc/sys is writable", walk)
	}
}

func TestDevices(t *testing.T) {
	w := newWorld(t)
	root := fmt.Sprintf("/proc/%d/root", w.start("run", "sleep", "1000").started())
	for name, number := range map[string]uint64{
		"null": unix.Mkdev(1, 3), "zero": unix.Mkdev(1, 5), "full": unix.Mkdev(1, 7),
		"random": unix.Mkdev(1, 8), "urandom": unix.Mkdev(1, 9), "tty": unix.Mkdev(5, 0),
	} {
		var stat unix.Stat_t
		if err := unix.Lstat(root+"/dev/"+name, &stat); err != nil {
			w.wrong("/dev/"+name, "a device", err, "mknod was not called", walk)
		} else if uint64(stat.Rdev) != number || stat.Mode != unix.S_IFCHR|0o666 {
			w.wrong("/dev/"+name, fmt.Sprintf("number %#x, mode %o", number, unix.S_IFCHR|0o666),
				fmt.Sprintf("number %#x, mode %o", stat.Rdev, stat.Mode), "wrong numbers, or the umask took bits away", walk)
		}
	}
	for name, target := range map[string]string{
		"ptmx": "pts/ptmx", "fd": "/proc/self/fd",
		"stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	} {
		if got, err := os.Readlink(root + "/dev/" + name); got != target {
			w.wrong("/dev/"+name, "-> "+target, fmt.Sprint(got, err), "the link is missing", walk)
		}
	}
	r := w.run("run", "sh", "-c", "echo x > /dev/null; wc -c < /dev/null; cat /etc/passwd > /dev/full")
	if strings.TrimSpace(r.stdout) != "0" || r.code == 0 {
		w.wrong("/dev/null and /dev/full", "empty, and an error", r.stdout+r.stderr, "they are files", walk)
	}
}

func TestChrootEscape(t *testing.T) {
	w := newWorld(t)
	escape := exec.Command("chroot", copyOfImage(w), "/bin/escape")
	escape.Env = []string{"PATH=/bin"}
	if out, err := escape.CombinedOutput(); err != nil {
		w.Fatalf("the escape must work against chroot, else this test shows nothing: %v\n%s", err, out)
	}
	if r := w.run("run", "escape"); r.code != 1 || !strings.Contains(r.stdout, "no escape") {
		w.wrong("the chroot escape", "no escape", r.stdout+r.stderr, "the root was changed with chroot: use pivot_root", problem)
	}
}

func TestMissingRootfs(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ dir, want string }{
		{"/nowhere/" + randomName(), "go run ./final rootfs /nowhere/"},
		{"/etc/passwd", `"/etc/passwd": not a directory`},
		{"", `"": not a directory`},
	} {
		if r := w.run("run", "--rootfs", c.dir, "true"); r.code != 125 || !strings.Contains(r.stderr, c.want) {
			w.wrong("--rootfs "+c.dir, "code 125, and: "+c.want, r, "the error does not tell the remedy", "If it fails")
		}
	}
}

func TestCommandIsLookedUpInside(t *testing.T) {
	w := newWorld(t)
	name := randomName()
	// Into a directory that the container's PATH has too, if only it saw it.
	dir := filepath.Dir(func() string { path, err := exec.LookPath("mount"); w.must(err); return path }())
	upper := w.TempDir()
	w.writeProgram(filepath.Join(upper, name), []byte("#!/bin/sh\necho host\n"))
	w.must(unix.Mount("overlay", dir, "overlay", 0, "lowerdir="+upper+":"+dir))
	r := w.run("run", name)
	w.must(unix.Unmount(dir, unix.MNT_DETACH))
	if r.code != 127 {
		w.wrong("a command of the host only", "code 127", r, "exec.LookPath was called before the root changed", walk)
	}
}

// elfFor is a program of this machine's kind that has nothing but the name of its loader (elf(5)).
func elfFor(loader string) []byte {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	const headers = 64 + 56
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	interpreter := elf.Prog64{Type: uint32(elf.PT_INTERP), Off: headers, Filesz: uint64(len(loader) + 1)}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, header) // memory takes what it is given
	_ = binary.Write(&b, binary.LittleEndian, interpreter)
	b.WriteString(loader + "\x00")
	return b.Bytes()
}

func TestMissingInterpreter(t *testing.T) {
	w := newWorld(t)
	dir := copyOfImage(w)
	w.writeProgram(filepath.Join(dir, "script"), []byte("#!/no/such/shell\n"))
	w.writeProgram(filepath.Join(dir, "glibc"), elfFor("/no/such/ld.so"))
	w.writeProgram(filepath.Join(dir, "garbage"), []byte("no program\n"))
	for name, what := range map[string]string{"/script": "a script without its shell", "/glibc": "a program without its loader"} {
		if r := w.run("run", "--rootfs", dir, name); r.code != 127 || !strings.Contains(r.stderr, "interpreter") {
			w.wrong(what, "code 127, and a word on the interpreter", r, "ENOENT for a file that is there", "If it fails")
		}
	}
	if r := w.run("run", "--rootfs", dir, "/garbage"); r.code != 126 {
		w.wrong("a file that is no program", "code 126", r, "ENOEXEC", "If it fails")
	}
}

// An image is not to be trusted: here its /proc, /sys and /dev lead to directories of the host.
//
// holds before: without an image there is nothing to redirect
func TestImageCannotRedirectMounts(t *testing.T) {
	for _, name := range []string{"proc", "sys", "dev"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			dir, target := copyOfImage(w), w.TempDir()
			w.must(os.Remove(filepath.Join(dir, name)))
			w.must(os.Symlink(target, filepath.Join(dir, name)))
			p := w.start("run", "--rootfs", dir, "sh", "-c", "echo x > /"+name+"/file; sleep 0.1")
			<-p.done
			if entries, err := os.ReadDir(target); err != nil || len(entries) > 0 {
				w.wrong("a directory of the host", "untouched", entries, "mounts were made before the root changed", walk)
			}
		})
	}
}

func TestHostKeepsNoMount(t *testing.T) {
	w := newWorld(t)
	if root := mountsOf(w, w.start("run", "sleep", "1000").started())[0]; root.fstype != "overlay" {
		w.wrong("root of the container", "overlay", root, "mountOverlay was not called", walk)
	}
	for _, m := range mountsOf(w, unix.Gettid()) {
		if strings.Contains(m.super, w.dir) {
			w.wrong("mounts of the host, while a container runs", "none of the container's", m, "the overlay was mounted by the parent", walk)
		}
	}
}
