//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A setting is one write that a field of config.json asks for.
type setting struct {
	field string // below linux.resources: memory.limit
	file  string // memory.max
	value string

	// same tells whether the file, read back, says the value; nil wants the same text.
	same func(got string) bool

	// blind is for files that say something else than what was written, or nothing.
	blind bool

	// skip, if not empty, is why nothing is written: it is said, and that is all.
	skip string

	// or is the setting in place of this one where there is no such file.
	or *setting

	// needs is what a kernel without the file lacks.
	needs string

	// spare, if not nil, says why it does no harm that the kernel has no such file, or "" if it does.
	spare func() string
}

// now is what a file of the group says before it is written, or "" if there is none. Some files must be
// written in an order that depends on it.
type now func(file string) string

// A controller turns what config.json asks of it into settings, for either version. It returns nothing if
// nothing is asked, and an error for what it cannot do. These are pure functions: no file is touched.
type controller struct {
	name   string
	v1, v2 func(r *specs.LinuxResources, now now) ([]setting, error)
}

// controllers is the table of contents, in the order in which limits are set. devices are not here: they are
// no values in files.
var controllers = [...]controller{
	{"cpuset", cpusetAny, cpusetAny},
	{"cpu", cpuV1, cpuV2},
	{"memory", memoryV1, memoryV2},
	{"pids", pidsAny, pidsAny},
	{"blkio", blkioV1, nil},
	{"io", nil, ioV2},
	{"hugetlb", hugetlbV1, hugetlbV2},
	{"rdma", rdmaAny, rdmaAny},
	{"net_cls", netClsV1, nil},
	{"net_prio", netPrioV1, nil},
}

// A change is a setting and where it goes.
type change struct {
	setting
	controller string
	part       *part
}

// untouched is what the files of a new group say: the kernel's defaults, which nothing depends on.
func untouched(string) string { return "" }

// readFile is what a file says, or "" if it cannot be read.
func readFile(path string) string {
	text, _ := kernel.ReadFile(path)
	return text
}

// changes turns resources into settings. read is readFile, or untouched for a group that is not there yet.
func (g *Group) changes(r *specs.LinuxResources, read func(path string) string) (changes []change, err error) {
	if r == nil {
		return nil, nil
	}
	for _, c := range controllers {
		p := g.part(c.name)
		set := c.v1
		if p != nil && p.Version == 2 {
			set = c.v2
		}
		if p == nil {
			if err := c.absent(r, g); err != nil {
				return nil, err
			}
			continue
		}
		if set == nil {
			continue // blkio is the io of v1, and io is the blkio of v2
		}
		settings, err := set(r, func(file string) string { return read(p.dir + "/" + file) })
		if err != nil {
			return nil, err
		}
		for _, s := range settings {
			changes = append(changes, change{setting: s, controller: c.name, part: p})
		}
	}
	raw, err := g.unified(r)
	return append(changes, raw...), err
}

// absent refuses a limit that there is no controller for.
func (c controller) absent(r *specs.LinuxResources, g *Group) error {
	other := map[string]string{"blkio": "io", "io": "blkio"}[c.name]
	if g.part(other) != nil {
		return nil // it is that one's business
	}
	set := c.v1
	if set == nil || c.v2 != nil && g.v2() != nil {
		set = c.v2
	}
	settings, err := set(r, untouched)
	if err != nil || len(settings) == 0 {
		return err
	}
	why := "no controller " + c.name + " here: the kernel has none, or no tree of it is mounted"
	return refuse(settings[0].field, settings[0].value, why)
}

// refuse is the error for a field that cannot be honoured.
func refuse(field string, value any, why string) error {
	return fmt.Errorf("linux.resources.%s: %v: %s", field, value, why)
}

// apply makes the changes. refused is why a controller was not handed down.
func (g *Group) apply(door *kernel.Door, changes []change, refused map[string]error) error {
	for _, c := range changes {
		err := c.write(door, c.part.dir)
		if err == nil {
			continue
		}
		if why := refused[c.controller]; why != nil {
			return fmt.Errorf("linux.resources.%s: %w: %w", c.field, err, why)
		}
		if errors.Is(err, fs.ErrNotExist) && c.needs != "" {
			return fmt.Errorf("linux.resources.%s: %w: needs %s", c.field, err, c.needs)
		}
		return fmt.Errorf("linux.resources.%s: %w", c.field, err)
	}
	return nil
}

func (s setting) write(door *kernel.Door, dir string) (err error) {
	path := dir + "/" + s.file
	switch {
	case s.skip != "":
		door.Skip("linux.resources."+s.field+": "+s.value, s.skip)
	case s.blind:
		err = door.Write(path, s.value)
	case s.same != nil:
		err = door.SetAs(path, s.value, s.same)
	default:
		err = door.Set(path, s.value)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.or != nil {
		return s.or.write(door, dir)
	}
	if s.spare != nil {
		if why := s.spare(); why != "" {
			door.Skip("linux.resources."+s.field, why)
			return nil
		}
	}
	return err
}

// hasLine tells whether one of the lines of a file has these words, first the first: 8:0 and rbps=1048576 in
// "8:0 rbps=1048576 wbps=max riops=max wiops=max".
func hasLine(first string, words ...string) func(got string) bool {
	return func(got string) bool {
		for line := range strings.Lines(got) {
			fields := strings.Fields(line)
			missing := func(word string) bool { return !slices.Contains(fields, word) }
			if len(fields) > 0 && fields[0] == first && !slices.ContainsFunc(words, missing) {
				return true
			}
		}
		return false
	}
}

// number is a limit in decimal digits, or the word for none, which -1 asks for.
func number(n int64, none string) string {
	if n == -1 {
		return none
	}
	return strconv.FormatInt(n, 10)
}
