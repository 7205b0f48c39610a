//go:build linux

package metrics

import (
	"bytes"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// read fills in the counts for processes that are known.
func (p *Pids) read(g *cgroup.Group, keep *cgroup.Keeper, processes []int) {
	f := g.Files("pids", keep) // the files are the same in both versions
	var ok bool
	if p.Tasks, ok = f.Number("pids.current"); !ok {
		p.Tasks = uint64(len(processes)) // as good as can be without the controller
	}
	p.Limit, p.Peak = limit(f, "pids.max"), limit(f, "pids.peak")
	f.Keyed("pids.events", func(key []byte, n uint64) {
		if string(key) == "max" {
			p.Refused = n
		}
	})
	p.Processes = uint64(len(processes))
	for _, pid := range processes {
		p.OpenFiles += openFiles(pid)
	}
}

// processes are those of the group and of the groups below it, into a list that is there already. ok is false
// if the group is gone.
func processes(g *cgroup.Group, keep *cgroup.Keeper, list []int) (pids []int, ok bool) {
	f := g.Book(keep)
	text, ok := f.Read("cgroup.procs")
	if !ok {
		return nil, false
	}
	// A directory has a link for itself, one in its parent's list, and one for each directory in it.
	var stat unix.Stat_t
	if err := unix.Stat(f.Dir(), &stat); err == nil && stat.Nlink > 2 {
		if pids, err := g.Pids(true); err == nil {
			return pids, true
		}
	}
	for word := range bytes.FieldsSeq(text) {
		if pid, err := strconv.Atoi(string(word)); err == nil && pid > 0 { // 0 is one that cannot be seen from here
			list = append(list, pid)
		}
	}
	return list, true
}

// openFiles counts the descriptors of a process, none if it has ended meanwhile. The size of /proc/PID/fd says
// how many since Linux 6.2; before, they must be listed.
func openFiles(pid int) uint64 {
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	if sizeOfFd() {
		var stat unix.Stat_t
		if unix.Stat(dir, &stat) != nil {
			return 0
		}
		return uint64(stat.Size)
	}
	file, err := os.Open(dir)
	if err != nil {
		return 0
	}
	defer file.Close()
	names, _ := file.Readdirnames(-1) // what could be listed before it ended
	return uint64(len(names))
}

// sizeOfFd tells whether this kernel counts them: this process has some.
var sizeOfFd = sync.OnceValue(func() bool {
	file, err := os.Open("/proc/self/fd")
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	return err == nil && info.Size() > 0
})
