//go:build linux

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// A ProcessStat is what tells processes apart: a pid passes to another process when its owner is gone, but
// not together with the time at which that began.
type ProcessStat struct {
	Pid     int
	State   byte   // of its first thread: R, S, D, T, Z and so on; Z and X have ended
	Threads int    // in the process, those that nobody has reaped included
	Start   uint64 // clock ticks between the machine's start and the process's
}

// Alive tells whether the process has not ended. If its first thread has, others may live on; so it is for a
// moment in every execve(2) of another thread, which then takes the first one's place.
func (p ProcessStat) Alive() bool { return p.State != 'Z' && p.State != 'X' || p.Threads > 1 }

// Stat reads /proc/PID/stat (proc_pid_stat(5)). A process that is not there is ESRCH.
func Stat(pid int) (p ProcessStat, err error) {
	// A task without threads was taken out of its process while we read it: either the process is gone, or its
	// pid is another thread's now.
	for p.Threads == 0 && err == nil {
		p, err = readStat(pid)
	}
	return p, err
}

func readStat(pid int) (ProcessStat, error) {
	p := ProcessStat{Pid: pid}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return p, unix.ESRCH
	}
	if err != nil {
		return p, err
	}
	// 4711 (any text (even this) S 4700 4711 4711 0 -1 4194304 105 0 0 0 0 0 0 0 20 0 1 0 86541 ...
	end := bytes.LastIndexByte(text, ')')
	fields := bytes.Fields(text[end+1:])
	if end < 0 || len(fields) < 20 {
		return p, fmt.Errorf("read /proc/%d/stat: %q: want a name in brackets and 20 fields behind it", pid, text)
	}
	p.State = fields[0][0]
	threads, errThreads := strconv.Atoi(string(fields[17]))
	start, errStart := strconv.ParseUint(string(fields[19]), 10, 64)
	p.Threads, p.Start = threads, start
	return p, errors.Join(errThreads, errStart)
}
