//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// guestModules are the modules that the steps and final can ask the kernel
// for. What they depend on comes along. A name that a kernel has built in, or
// does not have, is left out: the tests say what is missing.
var guestModules = []string{
	// the report port; on mmio machines and on pci ones
	"virtio_pci", "virtio_mmio", "virtio_console",
	// file systems, and a disk made of a file
	"overlay", "fuse", "loop",
	// links
	"veth", "bridge", "br_netfilter", "dummy", "macvlan", "tun",
	// iptables by its nf_tables backend …
	"nf_tables", "nft_compat", "nft_chain_nat", "nft_masq", "nft_nat", "nft_ct", "nft_counter", "nft_fib", "nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_reject_inet",
	"xt_comment", "xt_MASQUERADE", "xt_nat", "xt_conntrack", "xt_addrtype", "xt_tcpudp", "xt_mark", "nf_conntrack_netlink",
	// … and by the legacy one
	"ip_tables", "iptable_filter", "iptable_nat", "ip6_tables", "ip6table_filter", "ip6table_nat", "ipt_REJECT",
}

// A module is one .ko file, uncompressed, and what its .modinfo section says.
type module struct {
	Name    string
	Path    string // below lib/modules/RELEASE, without a compression suffix
	Data    []byte
	Depends []string
	Soft    []string // "softdep=pre:": loaded before if there, no error if not
	Aliases []string
}

// kernelModules reads the modules that names need, dependencies before
// dependents, from tree, the directory lib/modules/RELEASE.
func kernelModules(tree string, names []string) ([]module, error) {
	files, err := moduleFiles(tree)
	if err != nil {
		return nil, err
	}
	return closure(names, func(name string) (*module, error) {
		file, ok := files[name]
		if !ok {
			return nil, nil // built in, or not known to this kernel
		}
		return readModule(tree, file)
	})
}

// closure walks the dependencies of names depth first. load gives nil for a
// module that there is no file of.
func closure(names []string, load func(string) (*module, error)) ([]module, error) {
	var order []module
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		name = moduleName(name)
		if seen[name] {
			return nil
		}
		seen[name] = true
		m, err := load(name)
		if err != nil || m == nil {
			return err
		}
		for _, dependency := range slices.Concat(m.Depends, m.Soft) {
			if err := visit(dependency); err != nil {
				return err
			}
		}
		order = append(order, *m)
		return nil
	}
	for _, name := range names {
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// moduleFiles maps the names of modules to their files below tree.
func moduleFiles(tree string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(tree, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if base, _, ok := strings.Cut(entry.Name(), ".ko"); ok {
			rel, err := filepath.Rel(tree, path)
			files[moduleName(base)] = rel
			return err
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("read modules %s: none found", tree)
	}
	return files, err
}

// moduleName gives the form that the kernel uses: "nf-tables" is "nf_tables".
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func readModule(tree, file string) (*module, error) {
	data, err := os.ReadFile(filepath.Join(tree, file))
	if err != nil {
		return nil, err
	}
	plain, _, _ := strings.Cut(file, ".ko")
	m := &module{Name: moduleName(filepath.Base(plain)), Path: plain + ".ko"}
	if m.Data, err = decompress(filepath.Ext(file), data); err != nil {
		return nil, fmt.Errorf("decompress module %s: %w", file, err)
	}
	return m, m.parse()
}

// parse reads the .modinfo section: NUL-terminated "key=value" strings, like
//
//	depends=nf_tables,nf_nat
//	alias=nft-chain-2-nat
//	softdep=pre: crc32c
func (m *module) parse() error {
	object, err := elf.NewFile(bytes.NewReader(m.Data))
	if err != nil {
		return fmt.Errorf("parse module %s: %w", m.Name, err)
	}
	section := object.Section(".modinfo")
	if section == nil {
		return fmt.Errorf("parse module %s: no .modinfo section", m.Name)
	}
	info, err := section.Data()
	if err != nil {
		return fmt.Errorf("parse module %s: %w", m.Name, err)
	}
	m.parseInfo(string(info))
	return nil
}

func (m *module) parseInfo(info string) {
	for entry := range strings.SplitSeq(info, "\x00") {
		key, value, _ := strings.Cut(entry, "=")
		switch key {
		case "depends":
			m.Depends = append(m.Depends, strings.FieldsFunc(value, func(r rune) bool { return r == ',' })...)
		case "alias":
			m.Aliases = append(m.Aliases, value)
		case "softdep":
			before, _, _ := strings.Cut(strings.TrimPrefix(value, "pre:"), "post:")
			if strings.HasPrefix(value, "pre:") {
				m.Soft = append(m.Soft, strings.Fields(before)...)
			}
		}
	}
}

// decompress undoes the compression that a file's suffix names. Debian
// compresses modules with xz since trixie, Ubuntu with zstd. The kernel could
// load most of them as they are, but not under every configuration, and the
// host is faster than an emulated guest.
func decompress(suffix string, data []byte) ([]byte, error) {
	switch suffix {
	case ".xz":
		xz := exec.Command("xz", "--decompress", "--stdout")
		xz.Stdin = bytes.NewReader(data)
		plain, err := xz.Output()
		if errors.Is(err, exec.ErrNotFound) {
			err = fmt.Errorf("%w: run make setup", err)
		}
		return plain, err
	case ".zst":
		r, err := zstd.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	}
	return data, nil
}

// dependencyFile is the content of modules.dep: a line for each module with
// all it needs, direct or not, the last to load first:
//
//	kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
func dependencyFile(modules []module) string {
	byName := map[string]module{}
	for _, m := range modules {
		byName[m.Name] = m
	}
	load := func(name string) (*module, error) {
		m, ok := byName[name]
		if !ok {
			return nil, nil
		}
		return &m, nil
	}
	var text strings.Builder
	for _, m := range modules {
		needs, _ := closure([]string{m.Name}, load) // cannot fail: load does not
		slices.Reverse(needs)
		fmt.Fprintf(&text, "%s:", m.Path)
		for _, need := range needs[1:] {
			fmt.Fprintf(&text, " %s", need.Path)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// aliasFile is the content of modules.alias, by which modprobe turns what the
// kernel asks for ("fs-overlay", "rtnl-link-veth") into a module.
func aliasFile(modules []module) string {
	var text strings.Builder
	for _, m := range modules {
		for _, alias := range m.Aliases {
			fmt.Fprintf(&text, "alias %s %s\n", alias, m.Name)
		}
	}
	return text.String()
}
