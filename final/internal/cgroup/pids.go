//go:build linux

package cgroup

import "github.com/opencontainers/runtime-spec/specs-go"

// pidsAny limits how many tasks there may be, threads counted; the file is the same in both versions. 0 is a
// limit, and a strict one: it lets processes in, but nobody in the group can fork.
func pidsAny(r *specs.LinuxResources, _ now) ([]setting, error) {
	if r.Pids == nil || r.Pids.Limit == nil {
		return nil, nil
	}
	limit := *r.Pids.Limit
	if limit < -1 {
		return nil, refuse("pids.limit", limit, "want a number of tasks, or -1 for no limit")
	}
	return []setting{{field: "pids.limit", file: "pids.max", value: number(limit, "max")}}, nil
}
