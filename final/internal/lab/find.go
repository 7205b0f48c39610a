//go:build linux

package lab

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func runFind(c *call) error {
	var roots []string
	args := c.args
	for len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		roots = append(roots, args[0])
		args = args[1:]
	}
	if len(roots) == 0 {
		roots = []string{"."}
	}
	test, err := parseFind(args)
	if err != nil {
		return err
	}
	for _, root := range roots {
		device := uint64(0)
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // errors are complained about inside
			if err != nil {
				c.complain(err)
				return nil
			}
			depth := depthBelow(root, path)
			if info, err := d.Info(); err == nil && test.oneFileSystem {
				dev := uint64(info.Sys().(*syscall.Stat_t).Dev)
				if depth == 0 {
					device = dev
				} else if dev != device && d.IsDir() {
					return fs.SkipDir
				}
			}
			shown := path
			if root == "." && path != "." {
				shown = "./" + path
			}
			if depth >= test.minDepth && test.matches(d) {
				c.printf("%s%s", shown, test.end)
			}
			if d.IsDir() && test.maxDepth >= 0 && depth >= test.maxDepth {
				return fs.SkipDir
			}
			return nil
		})
	}
	return nil
}

// depthBelow is how many names lead from a directory to what the walk has found below it.
func depthBelow(root, path string) int {
	names, err := filepath.Rel(root, path)
	if err != nil || names == "." {
		return 0
	}
	return 1 + strings.Count(names, "/")
}

type findTest struct {
	names, kinds       []string
	minDepth, maxDepth int
	oneFileSystem      bool
	end                string
}

func parseFind(args []string) (findTest, error) {
	t := findTest{maxDepth: -1, end: "\n"}
	for len(args) > 0 {
		option := args[0]
		args = args[1:]
		switch option {
		case "-print":
			continue
		case "-print0":
			t.end = "\x00"
			continue
		case "-xdev", "-mount":
			t.oneFileSystem = true
			continue
		case "-name", "-type", "-maxdepth", "-mindepth":
		default:
			return t, usagef("unrecognized: %s", option)
		}
		if len(args) == 0 {
			return t, usagef("%s needs a value", option)
		}
		value := args[0]
		args = args[1:]
		var err error
		switch option {
		case "-name":
			if _, err = filepath.Match(value, ""); err == nil {
				t.names = append(t.names, value)
			}
		case "-type":
			t.kinds = append(t.kinds, value)
		case "-maxdepth":
			t.maxDepth, err = strconv.Atoi(value)
		case "-mindepth":
			t.minDepth, err = strconv.Atoi(value)
		}
		if err != nil {
			return t, usagef("%s %s: %v", option, value, err)
		}
	}
	return t, nil
}

func (t findTest) matches(d fs.DirEntry) bool {
	for _, name := range t.names {
		if ok, _ := filepath.Match(name, d.Name()); !ok { // the pattern was checked
			return false
		}
	}
	for _, kind := range t.kinds {
		want := map[string]fs.FileMode{"f": 0, "d": fs.ModeDir, "l": fs.ModeSymlink, "p": fs.ModeNamedPipe, "s": fs.ModeSocket,
			"b": fs.ModeDevice, "c": fs.ModeDevice | fs.ModeCharDevice}
		if mode, ok := want[kind]; !ok || d.Type() != mode {
			return false
		}
	}
	return true
}

func runDu(c *call) error {
	o, err := c.options("shkxam")
	if err != nil {
		return err
	}
	roots := o.rest
	if len(roots) == 0 {
		roots = []string{"."}
	}
	show := func(blocks int64, path string) {
		size := strconv.FormatInt(blocks/2, 10)
		switch {
		case o.has('h'):
			size = humanSize(blocks * 512)
		case o.has('m'):
			size = strconv.FormatInt(blocks/2048, 10)
		}
		c.printf("%s\t%s\n", size, path)
	}
	for _, root := range roots {
		seen := map[[2]uint64]bool{} // hard links count once
		var walk func(path string, top bool) int64
		walk = func(path string, top bool) int64 {
			var st unix.Stat_t
			if err := unix.Lstat(path, &st); err != nil {
				c.complain(&os.PathError{Op: "stat", Path: path, Err: err})
				return 0
			}
			key := [2]uint64{uint64(st.Dev), st.Ino}
			if seen[key] {
				return 0
			}
			seen[key] = true
			sum := st.Blocks
			directory := st.Mode&unix.S_IFMT == unix.S_IFDIR
			if directory {
				entries, err := os.ReadDir(path)
				c.complain(err)
				for _, e := range entries {
					sum += walk(filepath.Join(path, e.Name()), false)
				}
			}
			if top || (directory || o.has('a')) && !o.has('s') {
				show(sum, path)
			}
			return sum
		}
		walk(root, true)
	}
	return nil
}
