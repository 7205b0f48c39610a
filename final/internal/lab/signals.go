//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// signalName is a signal's name without SIG, or its number.
func signalName(sig unix.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return strings.TrimPrefix(name, "SIG")
	}
	return strconv.Itoa(int(sig))
}

// parseSignal reads "TERM", "SIGTERM", "term" or "15".
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 || n > 64 {
			return 0, usagef("%s: invalid signal", s)
		}
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(s)
	if sig := unix.SignalNum("SIG" + strings.TrimPrefix(name, "SIG")); sig != 0 {
		return sig, nil
	}
	return 0, usagef("%s: invalid signal", s)
}

// parseKill reads what kill(1) takes: [-SIG | -s SIG | -n NUMBER] PID..., where a PID may be negative or %n.
func parseKill(args []string) (sig unix.Signal, targets []string, err error) {
	sig = unix.SIGTERM
	if len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch first := args[0]; {
		case first == "--":
			args = args[1:]
		case (first == "-s" || first == "-n") && len(args) > 1:
			sig, err = parseSignal(args[1])
			args = args[2:]
		default:
			sig, err = parseSignal(first[1:])
			args = args[1:]
		}
		if err != nil {
			return 0, nil, err
		}
		if len(args) > 0 && args[0] == "--" {
			args = args[1:]
		}
	}
	if len(args) == 0 {
		return 0, nil, usagef("usage: kill [-SIGNAL] PID...")
	}
	return sig, args, nil
}

// sendSignal is kill(2). A signal to ourselves goes to this very thread, so that it takes effect before
// the next command: sent to the process, it may wake another thread and come too late (tgkill(2)).
func sendSignal(pid int, sig unix.Signal) error {
	if pid != os.Getpid() {
		return unix.Kill(pid, sig)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return unix.Tgkill(pid, unix.Gettid(), sig)
}

// dumps are the signals that the Go runtime answers with a dump of its goroutines and exit code 2.
var dumps = []unix.Signal{
	unix.SIGABRT, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGQUIT, unix.SIGSEGV, unix.SIGSYS, unix.SIGTRAP,
}

// standardAction has a signal do what the kernel does by itself: the Go runtime has handlers for most.
func standardAction(sig unix.Signal) error {
	// 32 zero bytes are a struct sigaction with SIG_DFL on amd64 and arm64.
	var standard [32]byte
	_, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&standard)), 0, 8, 0, 0)
	if errno != 0 && sig != unix.SIGKILL && sig != unix.SIGSTOP {
		return fmt.Errorf("sigaction %s: %w", signalName(sig), errno)
	}
	return nil
}

func runKill(c *call) error {
	if len(c.args) > 0 && c.args[0] == "-l" {
		return listSignals(c)
	}
	sig, targets, err := parseKill(c.args)
	if err != nil {
		return err
	}
	for _, target := range targets {
		pid, err := strconv.Atoi(target)
		if err != nil {
			c.complain(fmt.Errorf("%s: not a process id", target))
			continue
		}
		if err := sendSignal(pid, sig); err != nil {
			c.complain(fmt.Errorf("(%d): %w", pid, err))
		}
	}
	return nil
}

// listSignals prints the names, or with an argument translates it. An exit code such as 143 is a signal + 128.
func listSignals(c *call) error {
	if len(c.args) < 2 {
		for n := unix.Signal(1); n <= 31; n++ {
			c.printf("%2d) %s\n", int(n), signalName(n))
		}
		return nil
	}
	for _, arg := range c.args[1:] {
		n, err := strconv.Atoi(arg)
		if err == nil && n > 128 {
			n -= 128
		}
		if err == nil {
			c.println(signalName(unix.Signal(n)))
			continue
		}
		sig, err := parseSignal(arg)
		if err != nil {
			return err
		}
		c.println(int(sig))
	}
	return nil
}

// runKillall signals processes by their name.
func runKillall(c *call) error {
	sig, targets, err := parseKill(c.args)
	if err != nil {
		return errors.New("usage: killall [-SIGNAL] NAME...")
	}
	all, err := readProcesses()
	if err != nil {
		return err
	}
	for _, name := range targets {
		found := false
		for _, p := range all {
			if p.comm == name && p.pid != unix.Getpid() {
				found = true
				c.complain(unix.Kill(p.pid, sig))
			}
		}
		if !found {
			c.complain(fmt.Errorf("%s: no process found", name))
		}
	}
	return nil
}
