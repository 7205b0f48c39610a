//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is the container side: process 1 of the new PID namespace. It returns the command's exit code.
func child() int {
	// Signals first: to process 1 the kernel delivers only those it has a handler for.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	surviveSIGPIPE()

	handshake := os.NewFile(3, "handshake")
	var c container
	text, err := io.ReadAll(handshake)
	if err := errors.Join(err, json.Unmarshal(text, &c)); err != nil {
		fmt.Fprintf(os.Stderr, "%s: child is the inside of run, not a command\n", program)
		return exitFailure // or the parent is gone
	}
	verbose, side = c.Verbose, "child"

	pid, code, err := c.start()
	if err != nil {
		_ = json.NewEncoder(handshake).Encode(report{code, err.Error()}) // nobody to tell if this fails
		return code
	}
	handshake.Close()
	return c.reap(pid, signals)
}

// start arranges the container and starts the command in it.
func (c container) start() (pid, code int, err error) {
	if err := c.enter(); err != nil {
		return 0, exitFailure, err
	}
	return c.exec()
}

// enter is the container's table of contents, in the order the kernel needs.
func (c container) enter() error {
	for _, do := range []func() error{
		setUmask,
		makeMountsPrivate,
		c.setHostname,
		c.Network.arrive,
		c.mountOverlay,
		c.pivotRoot,
		mountFilesystems,
		protectProc,
		makeDevices,
		mountCgroup,
		c.writeNames,
		closeDescriptors,
	} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// setUmask lets all in the container read what is made in it, whatever the habits of whoever started us. Like the
// environment, a umask is inherited.
func setUmask() error {
	say("umask(022)", "umask 022")
	unix.Umask(0o022)
	return nil
}

// makeMountsPrivate cuts the tie between our mounts and the host's. A new mount namespace starts as a copy
// whose mounts still tell each other of changes: systemd makes / shared, and what we mount next would
// appear on the host too. A fresh /proc there breaks every program (mount_namespaces(7)).
func makeMountsPrivate() error {
	return mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
}

// setHostname must be the child's work: in the parent it would rename the host.
func (c container) setHostname() error { return sethostname(c.Hostname) }

// closeDescriptors marks everything above standard error close-on-exec: a host directory that someone left
// open would be a way out of the container. (close_range does it in one call since Linux 5.11.)
func closeDescriptors() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// exec starts the command. It is looked up here and now, in the container's PATH and file system.
func (c container) exec() (pid, code int, err error) {
	for _, variable := range c.Env {
		if path, ok := strings.CutPrefix(variable, "PATH="); ok {
			_ = os.Setenv("PATH", path) // for LookPath; fails only on a malformed name
		}
	}
	path, err := exec.LookPath(c.Args[0])
	if err != nil {
		return 0, execCode(err), err
	}
	pid, err = forkExec(path, c.Args, c.Env, c.Terminal)
	if errors.Is(err, unix.ENOENT) { // path exists, so it is the loader that does not
		err = fmt.Errorf("%w: its interpreter is missing (the #! line, or the ELF loader: see readelf -l)", err)
	}
	if err != nil {
		return 0, execCode(err), fmt.Errorf("exec %q: %w", path, err)
	}
	return pid, 0, nil
}

// execCode is the exit code that shells and Docker give for a command that could not be executed.
func execCode(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return exitNotFound
	}
	return exitNotExecutable
}

// reap does process 1's duties until the command ends, and returns its exit code. Orphans become children
// of process 1 and stay zombies until it waits for them.
func (c container) reap(pid int, signals <-chan os.Signal) (code int) {
	go func() {
		for s := range signals {
			_ = unix.Kill(pid, s.(syscall.Signal)) // fails only when the command has just ended
		}
	}()
	job := pid
	if c.Terminal {
		job = -pid // the process group it leads
	}
	for {
		var status unix.WaitStatus
		waited, err := unix.Wait4(-1, &status, unix.WUNTRACED, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return exitFailure // ECHILD, though the command is our child
		case waited != pid: // an orphan, now reaped
		case status.Stopped():
			_ = unix.Kill(job, unix.SIGCONT) // no shell above us could ever continue it
		case status.Exited():
			return status.ExitStatus()
		case status.Signaled():
			return exitSignal + int(status.Signal())
		}
	}
}
