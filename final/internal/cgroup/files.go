//go:build linux

package cgroup

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Files reads numbers out of the files of a group in one tree. A file that is not there, because the kernel
// has no such file or because the group is gone by now, is absent; the first other error stays, for Err.
//
// Whoever reads the same files again and again has a Keeper, which keeps them open: to open a file takes
// longer than to read it.
type Files struct {
	Version int
	dir     string
	keep    *Keeper
	open    map[string]int // descriptors, by name
	err     error
}

// Files returns those of the group in the tree that a controller is bound to, in the cgroup2 tree for "", or
// nil where there is none, which has no files. With a nil Keeper, no file stays open.
func (g *Group) Files(controller string, keep *Keeper) *Files {
	p := g.v2()
	if controller != "" {
		p = g.part(controller)
	}
	if p == nil {
		return nil
	}
	return p.filesOf(keep)
}

// Book returns the files in the tree whose list of processes counts, or nil for a group that is in none.
func (g *Group) Book(keep *Keeper) *Files {
	if len(g.parts) == 0 {
		return nil
	}
	return g.book().filesOf(keep)
}

func (p *part) filesOf(keep *Keeper) *Files {
	if p.files == nil {
		p.files = &Files{Version: p.Version, dir: p.dir, keep: keep}
	}
	return p.files
}

// CloseFiles closes what Files has left open.
func (g *Group) CloseFiles() {
	for _, p := range g.parts {
		if p.files != nil {
			p.files.close()
			p.files = nil
		}
	}
}

func (f *Files) close() {
	for _, fd := range f.open {
		f.keep.close(fd)
	}
	f.open = nil
}

// Dir is the group's directory.
func (f *Files) Dir() string { return f.dir }

// Err returns the first error since it was asked the last time.
func (f *Files) Err() error {
	if f == nil {
		return nil
	}
	err := f.err
	f.err = nil
	return err
}

// Read returns what a file says, which is valid until the next read of any of the Keeper's files.
func (f *Files) Read(name string) (text []byte, ok bool) {
	if f == nil {
		return nil, false
	}
	text, err := f.read(name)
	if err != nil && !absent(err) && f.err == nil {
		f.err = fmt.Errorf("read %s/%s: %w", f.dir, name, err)
	}
	return text, err == nil
}

func (f *Files) read(name string) ([]byte, error) {
	if f.keep == nil {
		f.keep = &Keeper{}
	}
	if fd, ok := f.open[name]; ok {
		text, err := f.keep.ReadFrom(fd)
		if !errors.Is(err, unix.ENODEV) { // which says that the group is gone; there may be another by its name
			return text, err
		}
		f.close()
	}
	fd, err := unix.Open(f.dir+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if f.kept(name) && f.keep.keeps() {
		if f.open == nil {
			f.open = map[string]int{}
		}
		f.open[name] = fd
		return f.keep.ReadFrom(fd)
	}
	defer unix.Close(fd)
	return f.keep.ReadFrom(fd)
}

// kept tells whether a file that stays open says what is so now. The list of processes of v1 does not: it is
// made when the file is opened, and lives on for as long as somebody reads it.
func (f *Files) kept(name string) bool { return f.Version == 2 || name != "cgroup.procs" }

// absent tells the errors of a file that is not there: never was, went with its group, or is not for this one.
func absent(err error) bool { return gone(err) || errors.Is(err, unix.EOPNOTSUPP) }

// gone tells the errors of a file whose group has been removed: before it was opened, or after that.
func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) }

// text is Read for what is to last.
func (f *Files) text(name string) string {
	text, _ := f.Read(name)
	return strings.TrimSpace(string(text))
}

func (f *Files) parse(name, word string) uint64 {
	if word == "max" {
		return noLimit
	}
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil && f.err == nil {
		f.err = fmt.Errorf("read %s/%s: %w", f.dir, name, err)
	}
	return n
}

// parseBytes parses without making a string of the word, unless it is no number.
func (f *Files) parseBytes(name string, word []byte) uint64 {
	if n, ok := decimal(word); ok {
		return n
	}
	return f.parse(name, string(word))
}

// decimal reads at most 19 digits, which fit into 64 bits whatever they are.
func decimal(word []byte) (n uint64, ok bool) {
	if len(word) == 0 || len(word) > 19 {
		return 0, false
	}
	for _, c := range word {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// Number reads a file that is one number, or max, which is the largest.
func (f *Files) Number(name string) (n uint64, ok bool) {
	text, ok := f.Read(name)
	if text = bytes.TrimSpace(text); !ok || len(text) == 0 {
		return 0, false
	}
	return f.parseBytes(name, text), true
}

// number is Number where absent is as good as zero.
func (f *Files) number(name string) uint64 {
	n, _ := f.Number(name)
	return n
}

// numbers reads a file that is a line of numbers.
func (f *Files) numbers(name string) (list []uint64) {
	for word := range strings.FieldsSeq(f.text(name)) {
		list = append(list, f.parse(name, word))
	}
	return list
}

// Keyed calls each for every line as "anon 4096". The key is valid during the call.
func (f *Files) Keyed(name string, each func(key []byte, value uint64)) {
	text, _ := f.Read(name)
	for line := range bytes.Lines(text) {
		if key, word, ok := bytes.Cut(bytes.TrimSpace(line), space); ok {
			each(key, f.parseBytes(name, word))
		}
	}
}

var space = []byte(" ")

// table reads a file of lines as "anon 4096".
func (f *Files) table(name string) map[string]uint64 {
	table := map[string]uint64{}
	f.Keyed(name, func(key []byte, value uint64) { table[string(key)] = value })
	return table
}
