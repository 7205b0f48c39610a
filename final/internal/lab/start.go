//go:build linux

package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// become replaces this process with a command, with the exit codes of a shell if that fails.
func (c *call) become(args []string, env []string) error {
	path, err := exec.LookPath(args[0])
	if err == nil || errors.Is(err, exec.ErrDot) {
		_ = c.out.Flush() // the new program knows nothing of the buffer
		err = syscall.Exec(path, args, env)
	}
	return c.notFound(args[0], err)
}

func (c *call) notFound(name string, err error) error {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, unix.ENOENT) {
		fmt.Fprintf(c.err, "%s: %s: not found\n", c.name, name)
		return exitCode(127)
	}
	fmt.Fprintf(c.err, "%s: %s: %v\n", c.name, name, errors.Unwrap(err))
	return exitCode(126)
}

// start begins a command as a child with this command's streams.
func (c *call) start(args []string, sys *syscall.SysProcAttr) (*exec.Cmd, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, os.Stdout, os.Stderr
	cmd.SysProcAttr = sys
	_ = c.out.Flush() // in order with the child's output
	if err := cmd.Start(); err != nil {
		return nil, c.notFound(args[0], err)
	}
	return cmd, nil
}

// codeOf is the exit code that a shell gives for a finished child.
func codeOf(state *os.ProcessState) int {
	status, ok := state.Sys().(syscall.WaitStatus)
	switch {
	case ok && status.Signaled():
		return 128 + int(status.Signal())
	default:
		return state.ExitCode()
	}
}

func ended(cmd *exec.Cmd) error {
	_ = cmd.Wait() // the state says all
	if code := codeOf(cmd.ProcessState); code != 0 {
		return exitCode(code)
	}
	return nil
}
