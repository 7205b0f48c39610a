//go:build linux

package ocispec

import (
	"fmt"
	"slices"
	"strings"
)

// tmpfsDefaults are the options of a tmpfs before a person's.
var tmpfsDefaults = []string{"noexec", "nosuid", "nodev", "rprivate"}

// tmpfsFlags are the options of a mount that a person may give a tmpfs, each beside its opposite.
var tmpfsFlags = [][2]string{
	{"exec", "noexec"}, {"suid", "nosuid"}, {"dev", "nodev"}, {"rw", "ro"}, {"async", "sync"}, {"atime", "noatime"},
	{"diratime", "nodiratime"}, {"relatime", "norelatime"}, {"strictatime", "nostrictatime"}, {"mand", "nomand"},
	{"dirsync", "nodirsync"},
}

// tmpfsKeys are the options that only a tmpfs understands (tmpfs(5)).
var tmpfsKeys = []string{"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"}

// ParseTmpfs reads --tmpfs: TARGET[:OPTION,OPTION]. Without options to the contrary nothing in it is executed, has
// a set-id bit that counts, or is a device.
func ParseTmpfs(text string) (Mount, error) {
	target, options, _ := strings.Cut(text, ":")
	m := Mount{Type: Tmpfs, Options: slices.Clone(tmpfsDefaults)}
	var err error
	if m.Target, err = parseTarget(target); err != nil {
		return m, refuse("tmpfs", text, err.Error())
	}
	for option := range strings.SplitSeq(options, ",") {
		if option == "" || option == "defaults" {
			continue
		}
		if m.Options, err = addTmpfsOption(m.Options, option); err != nil {
			return m, refuse("tmpfs", text, err.Error())
		}
	}
	m.ReadOnly = slices.Contains(m.Options, "ro")
	return m, nil
}

// addTmpfsOption appends an option, and takes an earlier one of the same kind away.
func addTmpfsOption(options []string, option string) ([]string, error) {
	if key, value, ok := strings.Cut(option, "="); ok {
		if !slices.Contains(tmpfsKeys, key) || value == "" {
			return nil, fmt.Errorf("option %q: want one of %s, with a value", option, strings.Join(tmpfsKeys, ", "))
		}
		same := func(o string) bool { return strings.HasPrefix(o, key+"=") }
		return append(slices.DeleteFunc(options, same), option), nil
	}
	for _, pair := range tmpfsFlags {
		if option == pair[0] || option == pair[1] {
			same := func(o string) bool { return o == pair[0] || o == pair[1] }
			return append(slices.DeleteFunc(options, same), option), nil
		}
	}
	if slices.Contains(propagations, option) {
		same := func(o string) bool { return slices.Contains(propagations, o) }
		return append(slices.DeleteFunc(options, same), option), nil
	}
	return nil, fmt.Errorf("option %q: not one of a tmpfs", option)
}
