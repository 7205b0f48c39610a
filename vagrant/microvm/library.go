//go:build linux

package main

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// libraryDirs is where the loader looks, below an unpacked package tree.
// TRIPLET is multiarch's name of the architecture. systemd has a place of its
// own for what its programs share.
var libraryDirs = []string{"lib/TRIPLET", "usr/lib/TRIPLET", "lib", "usr/lib", "lib64", "usr/lib64",
	"usr/lib/TRIPLET/systemd", "usr/lib/systemd", "lib/systemd"}

// libraries finds what the ELF files need to run: the loader that PT_INTERP
// names and the DT_NEEDED closure. The result maps the name in the guest to
// the file on the host.
func libraries(tree, triplet string, files []string) (map[string]string, error) {
	found := map[string]string{}
	for len(files) > 0 {
		file := files[0]
		files = files[1:]
		needs, err := needed(file)
		if err != nil {
			return nil, err
		}
		for _, name := range needs {
			if _, ok := found[name]; ok {
				continue
			}
			library, err := findLibrary(tree, triplet, name)
			if err != nil {
				return nil, fmt.Errorf("libraries of %s: %w", file, err)
			}
			found[name] = library
			files = append(files, library)
		}
	}
	guest := map[string]string{}
	for name, file := range found {
		if !filepath.IsAbs(name) { // the loader has its own place
			name = filepath.Join("/lib", triplet, name)
		}
		guest[name] = file
	}
	return guest, nil
}

// needed gives the names in DT_NEEDED, and the absolute path in PT_INTERP.
func needed(file string) ([]string, error) {
	object, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	defer object.Close()
	names, err := object.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", file, err)
	}
	for _, program := range object.Progs {
		if program.Type == elf.PT_INTERP {
			path := make([]byte, program.Filesz-1) // without the NUL
			if _, err := program.ReadAt(path, 0); err != nil {
				return nil, fmt.Errorf("parse %s: %w", file, err)
			}
			names = append(names, string(path))
		}
	}
	// Libraries need the loader by its plain name too. It is there already,
	// under the path that PT_INTERP gives.
	return slices.DeleteFunc(names, func(name string) bool {
		ok, _ := filepath.Match("ld-linux*", name)
		return ok
	}), nil
}

func findLibrary(tree, triplet, name string) (string, error) {
	for _, dir := range libraryDirs {
		dir = strings.Replace(dir, "TRIPLET", triplet, 1)
		path := filepath.Join(tree, dir, filepath.Base(name))
		file, err := filepath.EvalSymlinks(path)
		if err == nil && strings.HasPrefix(file, tree+"/") { // not an absolute link to the host's own
			return file, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("find %s: not in the unpacked packages", name)
}
