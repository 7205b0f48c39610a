//go:build linux

package web

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// kinds are the namespaces of a process, in an order to be explained in.
var kinds = []struct{ name, holds string }{
	{"pid", "process numbers"},
	{"mnt", "mounts: which file systems are where"},
	{"uts", "host name"},
	{"net", "links, addresses, routes, packet filter, sockets"},
	{"ipc", "System V and POSIX message queues, shared memory"},
	{"cgroup", "what looks like the root of the cgroup tree"},
	{"user", "users and groups, and what root may do"},
	{"time", "the clocks of the time since the start"},
}

// namespaces compares those of a container with our own, which are the host's if we run there.
func (m *machine) namespaces(id string) (list []Namespace, err error) {
	_, pid, err := m.find(id)
	if err != nil {
		return nil, err
	}
	for _, kind := range kinds {
		here, err := inode("/proc/self/ns/"+kind.name, kind.name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // this kernel has none
		}
		if err != nil {
			return nil, err
		}
		there, err := inode(proc(pid, "ns/"+kind.name), kind.name)
		if err != nil {
			return nil, err
		}
		list = append(list, Namespace{kind.name, kind.holds, there, here, here == there})
	}
	return list, nil
}

// inode reads the number out of a link as "pid:[4026531836]" (namespaces(7)).
func inode(path, kind string) (number string, err error) {
	text, err := os.Readlink(path)
	if err != nil {
		return "", err
	}
	number, ok := strings.CutPrefix(text, kind+":[")
	number, ok2 := strings.CutSuffix(number, "]")
	if !ok || !ok2 {
		return "", fmt.Errorf("readlink %s: %q: want %s:[NUMBER]", path, text, kind)
	}
	return number, nil
}
