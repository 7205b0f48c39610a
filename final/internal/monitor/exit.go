//go:build linux

package monitor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An Exit is how a container ended.
type Exit struct {
	Code int // of the command; 128 and the signal's number if one ended it
	Time time.Time
	OOM  bool // processes of it were killed for want of memory
}

// await waits for the container's end.
func (m *monitor) await() Exit {
	exit := reap(m.pid)
	exit.Time, exit.OOM = time.Now().UTC(), kills(m.oom) > 0
	return exit
}

// reap waits for the end of a child of ours.
func reap(pid int) Exit {
	var status unix.WaitStatus
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) {
			return Exit{Code: Unknown} // not a child, which cannot be: a subreaper gets its orphans
		}
	}
	if status.Signaled() {
		return Exit{Code: 128 + int(status.Signal())}
	}
	return Exit{Code: status.ExitStatus()}
}

// Unknown is the code of a container whose end nobody saw.
const Unknown = 255

// isChild tells whether a process is a child of ours, running or not.
func isChild(pid int) bool {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) == nil
}

func (e Exit) words() string {
	if e.Code > 128 && e.Code < Unknown {
		return unix.SignalName(unix.Signal(e.Code - 128))
	}
	return "code " + strconv.Itoa(e.Code)
}

// kills reads how often the kernel had to kill for want of memory. Both memory.events and v1's
// memory.oom_control, since Linux 4.13, have the line:
//
//	oom_kill 1
func kills(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0 // no limit of memory without controller
	}
	for line := range strings.Lines(string(text)) {
		if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(number))
			return n
		}
	}
	return 0
}

// write notes the end in the container's directory, all at once.
//
//	137 1764118000123456789 oom
func (e Exit) write(dir string) error {
	text := strconv.Itoa(e.Code) + " " + strconv.FormatInt(e.Time.UnixNano(), 10)
	if e.OOM {
		text += " oom"
	}
	path := filepath.Join(dir, ExitFile)
	if err := os.WriteFile(path+".new", []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// ReadExit reads what a monitor noted of a container's end; ok is false if it has noted nothing.
func ReadExit(dir string) (exit Exit, ok bool, err error) {
	path := filepath.Join(dir, ExitFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Exit{}, false, nil
	}
	if err != nil {
		return Exit{}, false, err
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return Exit{}, false, errors.New("read " + path + ": " + strconv.Quote(string(text)) + ": not the end of a container")
	}
	code, err := strconv.Atoi(fields[0])
	nanoseconds, timeErr := strconv.ParseInt(fields[1], 10, 64)
	if err := errors.Join(err, timeErr); err != nil {
		return Exit{}, false, errors.New("read " + path + ": " + err.Error())
	}
	return Exit{Code: code, Time: time.Unix(0, nanoseconds).UTC(), OOM: len(fields) > 2}, true, nil
}
