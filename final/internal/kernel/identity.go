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
	Pid   int
	State byte   // R, S, D, T, Z and so on; Z is a zombie, which has ended
	Start uint64 // clock ticks between the machine's start and the process's
}

// Alive tells whether the process has not ended.
func (p ProcessStat) Alive() bool { return p.State != 'Z' && p.State != 'X' }

// Stat reads /proc/PID/stat (proc_pid_stat(5)). A process that is not there is ESRCH.
func Stat(pid int) (ProcessStat, error) {
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
	p.Start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return p, err
}
