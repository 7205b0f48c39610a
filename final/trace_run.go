//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/runtime"
	"github.com/simple-container/simple-container/final/internal/trace"
)

func traceRunCommand(s *session, f *traceFlags) *cobra.Command {
	var bundle string
	command := &cobra.Command{
		Use:   "run --bundle DIR ID",
		Short: "Run a container and show its system calls from the first instruction of its command on",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || bundle == "" {
				return errors.New("trace run: want: final trace run --bundle DIR ID")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error { return f.run(s, args[0], bundle) },
	}
	command.Flags().StringVarP(&bundle, "bundle", "b", "", "directory of the bundle")
	return command
}

// run makes a container, traces it, starts it, and ends with its command's exit code.
func (f *traceFlags) run(s *session, id, bundle string) (err error) {
	r := s.runtime()
	fg, err := newForeground("", false, func() (bool, error) { return runtime.WantsTerminal(bundle) })
	if err != nil {
		return err
	}
	defer fg.close()
	c, err := r.Create(id, runtime.CreateOptions{Bundle: bundle, Console: fg.socket})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ignoreGone(r.Delete(id, true))) }()
	if err := fg.attach(); err != nil {
		return err
	}
	t, err := f.begin(s, trace.Of(c), trace.Options{AfterExec: true}, os.Stderr)
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return errors.Join(err, t.Close())
	}
	t.await(fg.signals, func(got os.Signal) bool {
		_ = unix.Kill(c.Pid, got.(unix.Signal)) // not reaped yet, but by the trace, which is over then
		return false
	})
	err = t.end()
	code, waitErr := t.code(c.Pid)
	if err = errors.Join(err, waitErr, fg.release()); err != nil || code == 0 {
		return err
	}
	return exitError(code)
}

// code is the exit code of the command, which has ended.
func (t *tracing) code(pid int) (int, error) {
	status, taken := t.Status()
	for !taken {
		if _, err := unix.Wait4(pid, &status, 0, nil); err == nil {
			break
		} else if !errors.Is(err, unix.EINTR) {
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		}
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}
