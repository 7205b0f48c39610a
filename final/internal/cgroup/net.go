//go:build linux

package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// netClsV1 marks packets with a class for tc(8), and netPrioV1 gives them a priority by interface. Both are v1
// only: on v2 the packet filter knows a packet's cgroup.
func netClsV1(r *specs.LinuxResources, _ now) ([]setting, error) {
	if r.Network == nil || r.Network.ClassID == nil {
		return nil, nil
	}
	id := strconv.FormatUint(uint64(*r.Network.ClassID), 10)
	return []setting{{field: "network.classID", file: "net_cls.classid", value: id}}, nil
}

func netPrioV1(r *specs.LinuxResources, _ now) (settings []setting, err error) {
	if r.Network == nil {
		return nil, nil
	}
	for i, p := range r.Network.Priorities {
		field := fmt.Sprintf("network.priorities[%d]", i)
		if p.Name == "" || strings.ContainsAny(p.Name, " \t\n") {
			return nil, refuse(field, fmt.Sprintf("%q", p.Name), "want the name of an interface")
		}
		priority := strconv.FormatUint(uint64(p.Priority), 10)
		settings = append(settings, setting{
			field: field, file: "net_prio.ifpriomap", value: p.Name + " " + priority, same: hasLine(p.Name, priority),
		})
	}
	return settings, nil
}
