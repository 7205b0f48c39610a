//go:build linux

package runtime

import (
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// Plan is the container side of a bundle, for people to read. Nothing is made.
func (r *Runtime) Plan(id string, asked CreateOptions) (*op.List, error) {
	var err error
	if asked.Bundle, err = filepath.Abs(asked.Bundle); err != nil {
		return nil, err
	}
	_, s, err := readConfig(asked.config())
	if err != nil {
		return nil, err
	}
	c := &Container{runtime: r, record: record{ID: id, Bundle: asked.Bundle}}
	if c.Rootfs, err = rootOf(s, asked.Bundle); err != nil {
		return nil, err
	}
	group, err := r.nameGroup(c, s)
	if err != nil {
		return nil, err
	}
	o := plan.Options{Cgroups: group.Apart()}
	if err := r.describe(&o, c, s, group, asked); err != nil {
		return nil, err
	}
	number(&o, s)
	return plan.Create(s, o)
}

// number gives out the numbers of the descriptors as begin does, without there being any.
func number(o *plan.Options, s *specs.Spec) {
	o.Sync, o.Start, o.First = 3, 4, 5
	next := func() int {
		o.First++
		return o.First - 1
	}
	if s.Process.Terminal {
		o.Console = next()
	}
	if s.Linux != nil {
		for _, n := range s.Linux.Namespaces {
			if n.Path != "" && plan.JoinedInside(s, n.Type, rootless()) {
				o.Join(n.Type, next())
			}
		}
	}
	o.Rootfs.Sources = map[int]int{}
	for _, i := range rootfs.Prepared(s, o.Rootfs) {
		o.Rootfs.Sources[i] = next()
	}
}
