//go:build linux

package metrics

import "github.com/simple-container/simple-container/final/internal/cgroup"

func (p *Pressure) read(g *cgroup.Group, keep *cgroup.Keeper) {
	f := g.Files("", keep)
	p.CPU, p.Memory, p.IO = f.Pressure("cpu.pressure"), f.Pressure("memory.pressure"), f.Pressure("io.pressure")
}
