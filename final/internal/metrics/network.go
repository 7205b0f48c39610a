//go:build linux

package metrics

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A network namespace is seen through any process in it, by /proc/PID/net/dev, without entering it. The file
// is not kept open: it would keep the namespace, and a link's other end on the host, after the container.

// hostNetwork tells whether a process has the network of this one.
func hostNetwork(pid int) bool {
	var own, theirs unix.Stat_t
	return unix.Stat("/proc/thread-self/ns/net", &own) == nil &&
		unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/net", &theirs) == nil && own.Dev == theirs.Dev && own.Ino == theirs.Ino
}

// parseNetwork reads the text of /proc/PID/net/dev, below two lines of headings (proc_pid_net(5)). lo is left
// out: what a container says to itself is no traffic.
//
//	eth0:    1234      10    0    0    0     0          0         0     2468      20    0    0 ...
func parseNetwork(text []byte) (interfaces []Interface) {
	for line := range bytes.Lines(text) {
		name, counts, ok := bytes.Cut(line, []byte(":"))
		if name = bytes.TrimSpace(name); !ok || string(name) == "lo" {
			continue
		}
		var n [16]uint64
		i := 0
		for word := range bytes.FieldsSeq(counts) {
			if i < len(n) {
				n[i], _ = strconv.ParseUint(string(word), 10, 64)
			}
			i++
		}
		if i < len(n) {
			continue
		}
		interfaces = append(interfaces, Interface{
			Name:     string(name),
			Received: Traffic{Bytes: n[0], Packets: n[1], Errors: n[2], Dropped: n[3]},
			Sent:     Traffic{Bytes: n[8], Packets: n[9], Errors: n[10], Dropped: n[11]},
		})
	}
	slices.SortFunc(interfaces, func(a, b Interface) int { return strings.Compare(a.Name, b.Name) })
	return interfaces
}
