//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// A guestProgram is a program taken out of the packages.
type guestProgram struct {
	Name     string   // as the package has it; the first that exists
	Paths    []string // where it may be, /usr merged or not
	Links    []string // more names for it
	Optional bool     // not in every release
}

// guestPrograms are in every guest, in /usr/sbin. busybox links its own
// applets when the guest starts, where there is nothing of that name.
var guestPrograms = []guestProgram{
	{Name: "busybox", Paths: []string{"bin/busybox", "usr/bin/busybox"}, Links: []string{"/bin/sh", "/sbin/modprobe"}},
	{Name: "ip", Paths: []string{"bin/ip", "usr/bin/ip", "sbin/ip", "usr/sbin/ip"}},
	{Name: "ss", Paths: []string{"bin/ss", "usr/bin/ss"}},
	{Name: "iptables", Paths: []string{"usr/sbin/xtables-nft-multi", "sbin/xtables-nft-multi"}, Links: []string{
		"/sbin/iptables", "/sbin/iptables-save", "/sbin/iptables-restore", "/sbin/ip6tables",
		"/sbin/iptables-nft", "/sbin/iptables-nft-save", "/sbin/ip6tables-nft", "/sbin/ip6tables-nft-save"}},
	{Name: "iptables-legacy", Paths: []string{"usr/sbin/xtables-legacy-multi", "sbin/xtables-legacy-multi"}, Links: []string{
		"/sbin/iptables-legacy", "/sbin/iptables-legacy-save", "/sbin/ip6tables-legacy", "/sbin/ip6tables-legacy-save"}},
	{Name: "nft", Paths: []string{"usr/sbin/nft", "sbin/nft"}},
}

// guestFiles are the few files in /etc that programs ask for.
var guestFiles = map[string]string{
	"/etc/passwd":      "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
	"/etc/group":       "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
	"/etc/hostname":    "microvm\n",
	"/etc/hosts":       "127.0.0.1 localhost\n127.0.1.1 microvm\n::1 localhost\n",
	"/etc/resolv.conf": "nameserver 127.0.0.53\n", // what systemd-resolved leaves on a host
	"/etc/protocols":   "ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6-icmp 58 IPv6-ICMP\n",
}

// triplets are multiarch's names of the architectures.
var triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}

// initramfs fills an archive. The guest has /usr merged, whatever the packages have.
type initramfs struct {
	*archive
	Tree string // the unpacked packages
	Arch string
}

// writeInitramfs makes the initramfs in file and gives the path of the kernel
// to go with it.
//
// It is not compressed: QEMU copies it to the guest's memory at the host's
// speed, and an emulated processor unpacks a plain archive faster than any
// compressed one.
func writeInitramfs(file, tree, arch string, made *programs, manifest wire.Manifest) (kernel string, err error) {
	// Links in the tree are followed, but not out of it.
	if tree, err = filepath.EvalSymlinks(tree); err != nil {
		return "", err
	}
	kernel, modules, err := kernelImage(tree)
	if err != nil {
		return "", err
	}
	f, err := os.Create(file)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	a := &initramfs{newArchive(f), tree, arch}
	for _, step := range []func() error{
		a.skeleton,
		func() error { return a.userland(made.wanted()) },
		func() error { return a.addModules(modules) },
		func() error { return a.addPrograms(made) },
		func() error { return a.addManifest(manifest) },
		a.close,
	} {
		if err := step(); err != nil {
			return "", fmt.Errorf("make initramfs: %w", err)
		}
	}
	return kernel, nil
}

// skeleton adds the directories, the files in /etc, and the one device node
// that the kernel opens for init before anything is mounted.
func (a *initramfs) skeleton() error {
	var errs []error
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "dev", "proc", "sys", "run", "tmp", "root", "var", "mnt", "opt", "etc", "microvm/root"} {
		errs = append(errs, a.dir(dir))
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		errs = append(errs, a.symlink(name, "usr/"+name))
	}
	errs = append(errs, a.symlink("var/run", "/run"), a.symlink("var/tmp", "/tmp"), a.symlink("etc/mtab", "/proc/self/mounts"))
	for _, name := range slices.Sorted(maps.Keys(guestFiles)) {
		errs = append(errs, a.text(name, guestFiles[name]))
	}
	return errors.Join(append(errs, a.char("dev/console", 0o600, device{5, 1}))...)
}

// userland adds the programs out of the packages and the libraries they need.
func (a *initramfs) userland(more []string) error {
	programs := guestPrograms
	for _, name := range more {
		programs = slices.Concat(programs, supplies[name].Programs)
		if err := a.addFiles(supplies[name].Files); err != nil {
			return err
		}
	}
	var dynamic []string
	for _, program := range programs {
		file := a.find(program.Paths)
		if file == "" && program.Optional {
			continue
		}
		if file == "" {
			return fmt.Errorf("find %s: not in the unpacked packages", program.Name)
		}
		dynamic = append(dynamic, file)
		name := "/usr/sbin/" + filepath.Base(file)
		if err := a.copy(name, file); err != nil {
			return err
		}
		for _, link := range program.Links {
			if err := a.symlink(merged(link), name); err != nil {
				return err
			}
		}
	}
	plugins, err := a.iptablesPlugins()
	if err != nil {
		return err
	}
	return a.addLibraries(append(dynamic, plugins...))
}

// iptablesPlugins adds the matches and targets, which iptables opens by name.
func (a *initramfs) iptablesPlugins() ([]string, error) {
	dir := filepath.Join("usr/lib", triplets[a.Arch], "xtables")
	files, err := filepath.Glob(filepath.Join(a.Tree, dir, "lib[xi][tp]*_*.so"))
	if err != nil {
		return nil, err
	}
	var plugins []string
	for _, file := range files {
		info, err := os.Lstat(file)
		if err != nil {
			return nil, err
		}
		name := path.Join(dir, filepath.Base(file))
		if info.Mode().IsRegular() {
			plugins, err = append(plugins, file), a.copy(name, file)
		} else if target, readErr := os.Readlink(file); readErr != nil {
			err = readErr
		} else { // libxt_MASQUERADE.so is a link in some releases
			err = a.symlink(name, target)
		}
		if err != nil {
			return nil, err
		}
	}
	return plugins, nil
}

func (a *initramfs) addLibraries(files []string) error {
	found, err := libraries(a.Tree, triplets[a.Arch], files)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if err := a.copy(merged(name), found[name]); err != nil {
			return err
		}
	}
	return nil
}

// addModules adds the modules and the tables that modprobe reads.
func (a *initramfs) addModules(tree string) error {
	found, err := kernelModules(tree, guestModules)
	if err != nil {
		return err
	}
	dir := path.Join("usr/lib/modules", filepath.Base(tree))
	for _, m := range found {
		if err := a.file(path.Join(dir, m.Path), 0o644, int64(len(m.Data)), bytes.NewReader(m.Data)); err != nil {
			return err
		}
	}
	for name, content := range map[string]string{
		"modules.dep": dependencyFile(found), "modules.alias": aliasFile(found), "modules.symbols": "",
	} {
		if err := a.text(path.Join(dir, name), content); err != nil {
			return err
		}
	}
	// So that modprobe takes what is not a module in this kernel for loaded.
	return a.copy(path.Join(dir, "modules.builtin"), filepath.Join(tree, "modules.builtin"))
}

// addPrograms adds what go made, and the tests' data.
func (a *initramfs) addPrograms(made *programs) error {
	if err := a.copy("init", made.Init); err != nil {
		return err
	}
	files := []string{made.Final, made.engine()}
	for _, test := range made.Tests {
		files = append(files, test.Binary, test.Program)
		if err := errors.Join(a.dir(test.guestDir()), a.addTestdata(test)); err != nil {
			return err
		}
	}
	for _, file := range files {
		if file == "" {
			continue
		}
		if err := a.copy(guestBin(file), file); err != nil {
			return err
		}
	}
	return nil
}

// addTestdata copies a package's testdata, if it has one.
func (a *initramfs) addTestdata(test testProgram) error {
	data := filepath.Join(test.Dir, "testdata")
	return filepath.WalkDir(data, func(file string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && file == data {
			return nil
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(test.Dir, file)
		if err != nil {
			return err
		}
		name := path.Join(test.guestDir(), rel)
		switch entry.Type() {
		case 0:
			return a.copy(name, file)
		case fs.ModeDir:
			return a.dir(name)
		}
		return fmt.Errorf("copy %s: only files and directories can be testdata", file)
	})
}

func (a *initramfs) addManifest(manifest wire.Manifest) error {
	text, err := json.MarshalIndent(manifest, "", "\t")
	if err != nil {
		return err
	}
	return a.text(wire.ManifestPath, string(text))
}

// find gives the host's path of the first of the guest's paths that is there.
func (a *initramfs) find(paths []string) string {
	for _, name := range paths {
		if info, err := os.Lstat(filepath.Join(a.Tree, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(a.Tree, name)
		}
	}
	return ""
}

// merged gives the path in a file system with /usr merged: an entry below a
// symbolic link would have no directory to go to.
func merged(name string) string {
	for _, top := range []string{"/bin/", "/sbin/", "/lib/", "/lib64/"} {
		if strings.HasPrefix(name, top) {
			return "/usr" + name
		}
	}
	return name
}
