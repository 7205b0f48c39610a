//go:build linux

package lab

import (
	"bufio"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// sharedObjects returns the files that the program needs besides itself: nothing for a static one, and for a
// dynamic one (cgo on, as `go run` builds where a C compiler is found) the ELF interpreter and the
// libraries that are mapped now. What is mapped is what the loader found, so no search path is copied.
func sharedObjects(program, maps string) ([]string, error) {
	interpreter, err := elfInterpreter(program)
	if err != nil || interpreter == "" {
		return nil, err
	}
	f, err := os.Open(maps)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	mapped, err := mappedLibraries(f)
	if err != nil {
		return nil, err
	}
	all := append(mapped, interpreter)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// elfInterpreter returns the path in the PT_INTERP header, "" for a static program (elf(5)).
func elfInterpreter(program string) (string, error) {
	f, err := elf.Open(program)
	if err != nil {
		return "", fmt.Errorf("read ELF %s: %w", program, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		path, err := io.ReadAll(p.Open())
		if err != nil {
			return "", fmt.Errorf("read PT_INTERP of %s: %w", program, err)
		}
		return strings.TrimRight(string(path), "\x00"), nil
	}
	return "", nil
}

// mappedLibraries reads lines of proc_pid_maps(5) such as
//
//	7f1c2a400000-7f1c2a426000 r--p 00000000 fe:01 1835048    /usr/lib/x86_64-linux-gnu/libc.so.6
//
// and returns the libraries' paths.
func mappedLibraries(maps io.Reader) ([]string, error) {
	var found []string
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		at := strings.IndexByte(lines.Text(), '/')
		if at < 0 {
			continue
		}
		path := lines.Text()[at:]
		if strings.Contains(path, ".so") && !strings.HasSuffix(path, " (deleted)") && !slices.Contains(found, path) {
			found = append(found, path)
		}
	}
	return found, lines.Err()
}
