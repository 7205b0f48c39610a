//go:build linux

package confine

import (
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// memoryModes by the kernel's number (set_mempolicy(2)).
var memoryModes = [...]struct {
	name  specs.MemoryPolicyModeType
	nodes nodeList
	since string // empty: every kernel
}{
	{specs.MpolDefault, noNodes, ""},
	{specs.MpolPreferred, someNodes, ""},
	{specs.MpolBind, manyNodes, ""},
	{specs.MpolInterleave, manyNodes, ""},
	{specs.MpolLocal, noNodes, ""},
	{specs.MpolPreferredMany, manyNodes, "5.15"},
	{specs.MpolWeightedInterleave, manyNodes, "6.9"},
}

// A nodeList is what a mode wants to hear about memory nodes.
type nodeList int

const (
	noNodes   nodeList = iota
	someNodes          // without, it is the node of the processor
	manyNodes          // one at least
)

var memoryFlags = []op.Flag{
	{Value: 1 << 13, Name: string(specs.MpolFNumaBalancing)},
	{Value: 1 << 14, Name: string(specs.MpolFRelativeNodes)},
	{Value: 1 << 15, Name: string(specs.MpolFStaticNodes)},
}

// mostNodes is how many memory nodes the largest kernels are built for.
const mostNodes = 1024

// memoryPolicy says from which memory nodes the process and all that it starts get their pages.
func memoryPolicy(l *op.List, m *specs.LinuxMemoryPolicy) error {
	if m == nil {
		return nil
	}
	mode, err := memoryMode(m)
	if err != nil {
		return err
	}
	flags, err := memoryFlagsOf(m.Flags)
	if err != nil {
		return err
	}
	nodes, most := op.Null(), 0
	if m.Nodes != "" {
		words, err := numbers(m.Nodes, mostNodes)
		if err != nil {
			return fmt.Errorf("linux.memoryPolicy.nodes: invalid memory policy node: %w", err)
		}
		nodes, most = op.Ref(op.Words(words...)).As("{"+m.Nodes+"}"), 64*len(words)+1 // the kernel takes 1 off
	}
	names := append(slices.Clone(memoryFlags), op.Flag{Value: uint64(mode), Name: string(m.Mode)})
	set := op.Op{Name: "set_mempolicy", Nr: unix.SYS_SET_MEMPOLICY,
		Why:   "where its memory is, and that of all that it starts",
		Means: fmt.Sprintf("linux.memoryPolicy: %s %s", m.Mode, m.Nodes),
		Args:  []op.Arg{op.Flags(uint64(mode)|flags, names), nodes, op.Int(most)}}
	if mode == 0 && flags == 0 {
		set.Args[0] = set.Args[0].As(string(m.Mode))
	}
	if since := memoryModes[mode].since; since != "" {
		set.Means += ", which needs Linux " + since
	}
	l.Add(set)
	return nil
}

func memoryMode(m *specs.LinuxMemoryPolicy) (int, error) {
	for mode, row := range memoryModes {
		switch {
		case row.name != m.Mode:
			continue
		case row.nodes == noNodes && m.Nodes != "":
			return 0, fmt.Errorf("linux.memoryPolicy.nodes: %q: not with %s", m.Nodes, m.Mode)
		case row.nodes == manyNodes && m.Nodes == "":
			return 0, fmt.Errorf("linux.memoryPolicy.nodes: none, and %s wants one at least", m.Mode)
		}
		return mode, nil
	}
	return 0, fmt.Errorf("linux.memoryPolicy.mode: %q: invalid memory policy mode", m.Mode)
}

func memoryFlagsOf(names []specs.MemoryPolicyFlagType) (flags uint64, err error) {
	for i, name := range names {
		at := slices.IndexFunc(memoryFlags, func(f op.Flag) bool { return f.Name == string(name) })
		if at < 0 {
			return 0, fmt.Errorf("linux.memoryPolicy.flags[%d]: %q: invalid memory policy flag", i, name)
		}
		flags |= memoryFlags[at].Value
	}
	return flags, nil
}
