//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit codes as Docker's. A command that a signal ended counts as exitSignal plus the signal's number.
const (
	exitFailure       = 125 // the container could not be made
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128
)

// forwarded are the signals that, sent to us, are meant for the command.
var forwarded = []os.Signal{
	unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGUSR1, unix.SIGUSR2,
}

// run is the parent side: it makes the container, waits for its end, and returns the command's exit code.
//
//	parent                            child
//	clone ───────────────────────────▶ wakes up as process 1
//	the container, as JSON ──────────▶ arranges what it sees, starts the command
//	reads ◀─────────────────────────── closes the socket, or says what went wrong
//	waits ◀─────────────────────────── exits with the command's code
func run(c container) (code int, err error) {
	verbose, side = c.Verbose, "parent"
	if os.Geteuid() != 0 {
		return exitFailure, fmt.Errorf("must be root, so: go run -exec sudo ./%s", program)
	}
	signals := make(chan os.Signal, 16) // listen first: a signal during set-up is kept for the command
	signal.Notify(signals, forwarded...)
	surviveSIGPIPE()

	dir, err := newDirectory(c.Dir)
	if err != nil {
		return exitFailure, err
	}
	defer cleanUp(&code, &err, dir.remove)

	group, err := newCgroup(c)
	if err != nil {
		return exitFailure, err
	}
	defer cleanUp(&code, &err, group.remove)
	defer func() { err = errors.Join(err, group.explain()) }()

	if c.Metrics != "" {
		exporter, err := export(c, group)
		if err != nil {
			return exitFailure, err
		}
		defer exporter.Close()
	}

	terminal := openTerminal()
	c.Terminal = terminal.foreground

	handshake, theirs, err := socketpair()
	if err != nil {
		return exitFailure, err
	}
	defer handshake.Close()

	cmd := &exec.Cmd{
		Path:       "/proc/self/exe",
		Args:       []string{program, "child"},
		Env:        []string{}, // process 1's environment can be read in the container: /proc/1/environ
		Stdin:      os.Stdin,
		Stdout:     os.Stdout,
		Stderr:     os.Stderr,
		ExtraFiles: []*os.File{theirs}, // descriptor 3
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWIPC |
				unix.CLONE_NEWNET,
			UseCgroupFD: true, // born in the cgroup: there is no moment without limits
			CgroupFD:    group.fd(),
			Setpgid:     !terminal.background, // what is typed reaches the container once, not twice
			Pdeathsig:   unix.SIGKILL,         // no container outlives us, not even when we are killed
		},
	}
	if err := clone(cmd); err != nil {
		return exitFailure, err
	}
	theirs.Close()
	if err := group.enterV1(cmd.Process.Pid); err != nil {
		return exitFailure, abandon(cmd, err)
	}
	defer cleanUp(&code, &err, c.Network.disconnect)
	if err := c.Network.connect(c.ID, cmd.Process.Pid); err != nil {
		return exitFailure, abandon(cmd, err)
	}
	defer terminal.takeBack()
	if err := terminal.lend(cmd.Process.Pid); err != nil {
		return exitFailure, abandon(cmd, err)
	}

	ended := func() (int, error) { return wait(cmd) }
	if c.Trace {
		tracer, err := trace(cmd.Process.Pid)
		if err != nil {
			return exitFailure, abandon(cmd, err)
		}
		ended = tracer.wait
	}

	if code, err := hand(c, handshake); err != nil {
		return code, abandon(cmd, err)
	}
	go func() {
		for s := range signals {
			_ = cmd.Process.Signal(s) // fails only when the container has just ended
		}
	}()
	return ended()
}

// surviveSIGPIPE makes a write to standard error fail where it would end us, when its reader has gone, as in
// "2>&1 | head": somebody must be left to clean up. (Go's os/signal; ignored, it would be so in the command too.)
func surviveSIGPIPE() { signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) }

// socketpair returns the two ends of the wire between parent and child.
func socketpair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "handshake"), os.NewFile(uintptr(fds[1]), "handshake"), nil
}

// report is the child's answer when it could not start the command.
type report struct {
	Code  int
	Error string
}

// hand gives the container to the child and returns when the command runs, or the child's report if it
// cannot. Until it has this, the child waits; so all the parent prepares is ready before the command is.
func hand(c container, handshake *os.File) (code int, err error) {
	var r report
	err = errors.Join(json.NewEncoder(handshake).Encode(c), unix.Shutdown(int(handshake.Fd()), unix.SHUT_WR))
	if err == nil {
		err = json.NewDecoder(handshake).Decode(&r)
	}
	switch {
	case err == nil:
		return r.Code, errors.New(r.Error)
	case errors.Is(err, io.EOF), errors.Is(err, unix.EPIPE), errors.Is(err, unix.ECONNRESET):
		return 0, nil // the command runs, or the child was killed: wait tells which
	}
	return exitFailure, fmt.Errorf("the child's handshake: %w", err)
}

// abandon ends a child whose container cannot be completed, and returns the reason.
func abandon(cmd *exec.Cmd, reason error) error {
	_ = cmd.Process.Kill() // it may have ended by itself
	_ = cmd.Wait()
	return reason
}

// wait waits for the container's end. The kernel ends every process of a PID namespace with its process 1,
// so after that nothing of the container runs.
func wait(cmd *exec.Cmd) (code int, err error) {
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return exitFailure, err
	}
	return exitCode(cmd.ProcessState.Sys().(syscall.WaitStatus)), nil
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return status.ExitStatus()
}
