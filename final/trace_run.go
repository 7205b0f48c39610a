//go:build linux && !engine

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/runtime"
	"github.com/simple-container/simple-container/final/internal/trace"
)

func traceRunCommand(s *session, f *traceFlags) *cobra.Command {
	var run runFlags
	var bundle string
	command := &cobra.Command{
		Use:   "run [flags] IMAGE [CMD [ARG...]]",
		Short: "Run a container and show its system calls from the first instruction of its command on",
		Long: "Run a container in the foreground, as run does and with its flags, and show its system calls from the first\n" +
			"instruction of its command on, on the standard error. With --bundle it is one of the OCI runtime, and its ID\n" +
			"stands in the place of the image.",
		RunE: func(_ *cobra.Command, args []string) error {
			if bundle == "" {
				return failedRun(f.runImage(s, &run, args))
			}
			if len(args) != 1 {
				return errors.New("trace run: with --bundle, want the ID of the container")
			}
			return f.run(s, args[0], bundle)
		},
	}
	command.Flags().StringVarP(&bundle, "bundle", "b", "", "directory of a bundle, in place of an image")
	f.add(command.Flags(), false)
	run.add(command.Flags())
	command.Flags().SetInterspersed(false)
	command.ValidArgsFunction = completeImages(s)
	return command
}

// runImage makes a container out of an image and holds it before its command until it is traced.
func (f *traceFlags) runImage(s *session, run *runFlags, args []string) error {
	o, err := run.options(args, false)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	e := s.engine()
	c, err := e.Create(ctx, o)
	if err != nil {
		return withHint(err, o.Image)
	}
	gate, err := c.Hold()
	if err != nil {
		return errors.Join(err, c.Remove(engine.RemoveOptions{Volumes: true}))
	}
	defer gate.Close()
	streams, release := presence{stdin: o.Stdin, proxy: true}.streams()
	defer release()
	stop() // signals are the container's from now on
	began := make(chan error, 1)
	var client *monitor.Client
	go func() {
		var err error
		client, err = c.Start(&streams)
		began <- err
	}()
	made, err := awaitMade(e, c.ID, began)
	if err != nil {
		return err
	}
	t, err := f.begin(s, trace.Of(made), trace.Options{AfterExec: true}, os.Stderr)
	if err != nil {
		gate.Close()
		<-began
		return errors.Join(err, c.Remove(engine.RemoveOptions{Force: true, Volumes: true}))
	}
	gate.Close()
	if err := <-began; err != nil {
		return errors.Join(err, t.end())
	}
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		t.await(nil, nil)
	}()
	err = attend(c, client, streams)
	if alive, _ := made.Status(); alive == runtime.Stopped {
		<-shown
	}
	return firstError(t.end(), err)
}

// awaitMade waits until a container that is being started has come to its command.
func awaitMade(e *engine.Engine, id string, began <-chan error) (*runtime.Container, error) {
	for {
		made, err := e.OCI.Load(id)
		if err == nil {
			if status, err := made.Status(); err == nil && status == runtime.Created {
				return made, nil
			}
		}
		select {
		case err := <-began:
			return nil, cmp.Or(err, errors.New("it was started, and not held"))
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// run makes a container, traces it, starts it, and ends with its command's exit code.
func (f *traceFlags) run(s *session, id, bundle string) (err error) {
	r := s.runtime()
	terminal, err := runtime.WantsTerminal(runtime.CreateOptions{Bundle: bundle})
	if err != nil {
		return err
	}
	fg, err := newForeground("", false, terminal)
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
	return exitCode(status), nil
}
