//go:build linux

// Package reaper is the first process of a container with --init: it starts the command, passes signals on to it,
// reaps whatever is orphaned, and ends as the command does. The first process of a PID namespace has to be written
// for it: signals without a handler do not reach it, and orphans become its children (pid_namespaces(7)). Most
// programs are not.
//
// It is this program again, mounted in the container, and is recognised by its argv[0] in init, before heavier
// packages are initialised. Nothing of it can be overwritten from inside: the mount is read-only. The steps have no
// such process: step 01 shows what is missing then.
package reaper

import (
	"errors"
	"os"
	"os/signal"
	"path"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Name is what it is called in a container: NAME -- COMMAND [ARGUMENT...].
const Name = "docker-init"

func init() {
	if len(os.Args) < 3 || path.Base(os.Args[0]) != Name || os.Args[1] != "--" {
		return
	}
	runtime.GOMAXPROCS(1)
	if os.Getpid() != 1 { // in the PID namespace of another container, or of the host (--pid): orphans are ours all the same
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) // since Linux 3.4
	}
	os.Exit(run(os.Args[2:]))
}

// run runs the command and returns its exit code.
func run(argv []string) int {
	signals := make(chan os.Signal, 128)
	signal.Notify(signals)
	file, err := find(argv[0])
	if err != nil {
		return failed(argv[0], err)
	}
	// A process group of its own is what the terminal's keys are for: we would get each signal too, and pass it on.
	child, err := syscall.ForkExec(file, argv, &syscall.ProcAttr{
		Env: os.Environ(), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return failed(argv[0], err)
	}
	if unix.IoctlSetPointerInt(0, unix.TIOCSPGRP, child) == nil {
		_ = unix.Kill(-child, unix.SIGCONT) // it may have stopped for want of the terminal
	}
	for s := range signals {
		if s != unix.SIGCHLD && s != unix.SIGURG { // which is Go's own
			_ = unix.Kill(child, s.(unix.Signal)) // a zombie of ours at worst
		}
		// After each: among very many at once some are lost, and that may be the one of the command's end.
		if code, ended := reap(child); ended {
			return code
		}
	}
	return 1
}

// reap takes the ends of all children that have ended. One SIGCHLD may stand for several.
func reap(child int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil || pid == 0:
			return code, ended
		case pid != child:
			continue
		case status.Signaled():
			code, ended = 128+int(status.Signal()), true
		default:
			code, ended = status.ExitStatus(), true
		}
	}
}

// find looks for a command as shells do.
func find(name string) (file string, err error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	err = unix.ENOENT
	for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
		file := path.Join(dir, name)
		if dir == "" {
			file = "./" + name
		}
		var stat unix.Stat_t
		switch access := unix.Access(file, unix.X_OK); {
		case access == nil && unix.Stat(file, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFREG:
			return file, nil
		case errors.Is(access, unix.EACCES):
			err = access
		}
	}
	return "", err
}

// failed says why the command could not be started, and returns the exit code for that.
func failed(name string, err error) int {
	_, _ = os.Stderr.WriteString("exec: \"" + name + "\": " + err.Error() + "\n")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return 127
	}
	return 126
}
