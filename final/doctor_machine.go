//go:build linux && !engine

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/docker/go-units"
	"golang.org/x/sys/unix"
)

func (d *doctor) goVersion() result { return good("built with %s", runtime.Version()) }

func (d *doctor) disk() result {
	var stat unix.Statfs_t
	if err := unix.Statfs(".", &stat); err != nil {
		return result{note, fmt.Sprintf("statfs .: %v", err), ""}
	}
	return judgeSpace("free here", stat.Bavail*uint64(stat.Bsize), 1<<30, 100<<20, "sudo apt-get clean && go clean -cache")
}

func (d *doctor) memory() result {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeMemory(string(text))
}

// judgeMemory reads /proc/meminfo: MemAvailable:   24110720 kB
func judgeMemory(meminfo string) result {
	var kilobytes uint64
	if _, err := fmt.Sscanf(field(meminfo, "MemAvailable"), "%d kB", &kilobytes); err != nil {
		return result{note, "MemAvailable in /proc/meminfo: " + err.Error(), ""}
	}
	return judgeSpace("available", kilobytes<<10, 512<<20, 128<<20, "ps -eo pid,rss,comm --sort=-rss | head")
}

// judgeSpace compares an amount with what is comfortable and with what is the least.
func judgeSpace(what string, bytes, enough, least uint64, fix string) result {
	size := units.BytesSize(float64(bytes))
	switch {
	case bytes < least:
		return result{fail, fmt.Sprintf("%s %s: the workshop needs %s", size, what, units.BytesSize(float64(least))), fix}
	case bytes < enough:
		return result{note, fmt.Sprintf("%s %s: that may become tight", size, what), fix}
	}
	return good("%s %s", size, what)
}

// rootfsDirectory looks whether the directory that the steps make containers from has a shell that this
// machine can run.
func (d *doctor) rootfsDirectory() result {
	fill := "go run ./final rootfs " + d.rootfs
	refill := "go run ./final rootfs --force " + d.rootfs
	root, err := os.Open(d.rootfs)
	if errors.Is(err, fs.ErrNotExist) {
		return result{fail, d.rootfs + ": no such directory: step 02 and later take their root from it", fill}
	}
	if err != nil {
		return result{fail, err.Error(), refill}
	}
	defer root.Close()
	shell, err := openInRoot(root, "/bin/sh")
	if err != nil {
		return result{fail, fmt.Sprintf("no shell in %s: %v", d.rootfs, err), refill}
	}
	defer shell.Close()
	if err := runnable(root, shell); err != nil {
		return result{fail, fmt.Sprintf("%s/bin/sh: %v", d.rootfs, err), refill}
	}
	return good("%s has a shell for %s", d.rootfs, runtime.GOARCH)
}

// openInRoot opens a file as a process in the container would: a symbolic link to /bin/lab stays in there
// (openat2(2), since Linux 5.6).
func openInRoot(root *os.File, path string) (*os.File, error) {
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT}
	fd, err := unix.Openat2(int(root.Fd()), path, how)
	if err != nil {
		return nil, fmt.Errorf("openat2 %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

// runnable tells why this machine could not run a program, nil if it can. A program for another machine is
// "exec format error"; one whose interpreter is missing "no such file or directory", although the file is
// there. A text that begins with #! is trusted.
func runnable(root, file *os.File) error {
	start := make([]byte, 2)
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, 2), start); err == nil && string(start) == "#!" {
		return nil
	}
	program, err := elf.NewFile(file)
	if err != nil {
		return fmt.Errorf("not a program: %w", err)
	}
	if want := machines[runtime.GOARCH]; program.Machine != want {
		return fmt.Errorf("is for %v, this machine is %v", program.Machine, want)
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name, err := io.ReadAll(p.Open())
		if err != nil {
			return fmt.Errorf("read PT_INTERP: %w", err)
		}
		interpreter, err := openInRoot(root, strings.TrimRight(string(name), "\x00"))
		if err != nil {
			return fmt.Errorf("its interpreter is missing: %w", err)
		}
		interpreter.Close()
	}
	return nil
}

// leftovers tells what clean would remove.
func (d *doctor) leftovers() result {
	if !d.root {
		return needsRoot
	}
	found, err := findRemnants(d.door)
	if err != nil {
		return result{note, err.Error(), ""}
	}
	dirs, closeAll, err := findStateDirs()
	defer closeAll()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	kinds, dead := map[string]int{}, map[string]bool{}
	for _, id := range idsOf(found) {
		if dirs.isNewborn(id) {
			dead[id] = false // somebody may be about to lock it
			continue
		}
		isDead, unlock, _ := dirs.claim(id) // what cannot be told is not called dead
		unlock()
		dead[id] = isDead
	}
	for _, r := range found {
		if dead[r.id] {
			kinds[r.kind]++
		}
	}
	_, err = os.Stat(savedForward)
	if inUse := slices.Contains(slices.Collect(maps.Values(dead)), false); err == nil && !inUse {
		kinds["ip_forward"]++
	}
	if len(kinds) == 0 {
		return good("none")
	}
	return result{note, "of dead containers: " + countKinds(kinds), "go run -exec sudo ./final clean"}
}

func countKinds(kinds map[string]int) string {
	var words []string
	for _, kind := range []string{"process", "cgroup", "rule", "link", "mount", "directory", "ip_forward"} {
		if n := kinds[kind]; n > 0 {
			words = append(words, fmt.Sprintf("%s %d", kind, n))
		}
	}
	return strings.Join(words, ", ")
}
