//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

var specVerb = verb{"spec", "Write a config.json to begin with", 0, 0,
	func(flags *flagSet) func(*session, []string) error {
		bundle := flags.StringP("bundle", "b", "", "directory to write it to (default the working directory)")
		file := flags.StringP("file", "f", "config.json", "its name")
		rootless := flags.Bool("rootless", false, "for a user namespace whose root is the user who calls")
		return func(*session, []string) error {
			path := filepath.Join(*bundle, *file)
			s := runtime.ExampleSpec(*rootless)
			if !unified() {
				s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
					return n.Type == specs.CgroupNamespace
				})
			}
			text, err := json.MarshalIndent(s, "", "\t")
			if err != nil {
				return err
			}
			file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
			if errors.Is(err, fs.ErrExist) {
				return errors.New(path + ": it exists; remove it first")
			}
			if err != nil {
				return err
			}
			_, err = file.Write(append(text, '\n'))
			if err = errors.Join(err, file.Close()); err != nil {
				err = errors.Join(err, os.Remove(path)) // half of one is none, and would be in the way
			}
			return err
		}
	}}

// unified tells whether cgroup v2 is all there is. With v1 it is usual that a container sees where it is in the
// trees, and who writes a config.json after this one counts on it.
func unified() bool {
	var stat unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &stat) == nil && stat.Type == unix.CGROUP2_SUPER_MAGIC
}
