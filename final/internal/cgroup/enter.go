//go:build linux

package cgroup

import (
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Apart returns the group's directories in the trees of v1, which the container side enters by itself (Enter).
// With systemd, which wants the process to make the group, there are none.
func (g *Group) Apart() (dirs []string) {
	if g.unit != nil && !g.unit.started {
		return nil
	}
	for _, p := range g.parts {
		if p.Version == 1 {
			dirs = append(dirs, p.dir)
		}
	}
	return dirs
}

// Enter adds the ops by which a process that has one thread enters groups of v1. To be moved by somebody else,
// by its pid in cgroup.procs, takes a lock that no fork on the machine may hold, and when nobody has taken it
// for a while, milliseconds. A thread that moves itself, by 0 in tasks, needs no such lock since Linux 5.7.
func Enter(l *op.List, dirs []string) {
	tasks := op.NewVar("tasks")
	for i, dir := range dirs {
		open := op.Open(dir+"/tasks", unix.O_WRONLY, tasks)
		write := op.Write(op.Val(tasks), "0")
		write.Means, write.Shell = "write "+dir+`/tasks "0"`, "echo $$ > "+op.Shell(dir+"/tasks")
		open.Means = "cgroup: adding pid to " + dir
		if i == 0 {
			open.Why = "into the container's cgroups, which have their limits already"
		}
		l.Add(open, write, op.Close(op.Val(tasks)))
	}
}
