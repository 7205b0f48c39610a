//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A ProcessStat is what tells processes apart: a pid passes to another process when its owner is gone, but
// not together with the time at which that began.
type ProcessStat struct {
	Pid     int
	State   byte   // of its first thread: R, S, D, T, Z and so on; Z is a zombie, which has ended
	Threads int    // that have not ended, and the first one in any case
	Start   uint64 // clock ticks between the machine's start and the process's
}

// Alive tells whether the process has not ended. A zombie may be no more than its first thread: others can go on
// without it, and when one of them calls execve(2), the first one dies before the caller gets its place.
func (p ProcessStat) Alive() bool { return p.Threads > 1 || !p.ended() }

// ended tells whether its first thread has.
func (p ProcessStat) ended() bool { return p.State == 'Z' || p.State == 'X' }

// Stat reads /proc/PID/stat (proc_pid_stat(5)). A process that is not there is ESRCH.
func Stat(pid int) (p ProcessStat, err error) {
	for {
		p, err = readStat(pid)
		// The first thread has gone while we looked, and with it the process, or somebody has its place by now.
		if err != nil || !p.ended() || p.Threads > 0 {
			return p, err
		}
	}
}

func readStat(pid int) (ProcessStat, error) {
	p := ProcessStat{Pid: pid}
	text, err := ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return p, unix.ESRCH
	}
	if err != nil {
		return p, err
	}
	// 4711 (any text (even this) S 4700 4711 4711 0 -1 4194304 105 0 0 0 0 0 0 0 20 0 1 0 86541 ...
	end := strings.LastIndexByte(text, ')')
	fields := strings.Fields(text[end+1:])
	if end < 0 || len(fields) < 20 {
		return p, fmt.Errorf("read /proc/%d/stat: %q: want a name in brackets and 20 fields behind it", pid, text)
	}
	p.State = fields[0][0]
	threads, badThreads := strconv.Atoi(fields[17])
	start, badStart := strconv.ParseUint(fields[19], 10, 64)
	p.Threads, p.Start = threads, start
	return p, errors.Join(badThreads, badStart)
}
