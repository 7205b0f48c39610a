//go:build linux && !engine

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/monitor"
)

func runCommand(s *session) *cobra.Command {
	var f runFlags
	var w waitFlags
	command := &cobra.Command{
		Use:   "run [flags] [IMAGE [CMD [ARG...]]]",
		Short: "Make a container and start it; without IMAGE, the lab",
		Long: "Make a container out of an image and start it, in the foreground until it has ended, or with -d in the background.\n" +
			"Without IMAGE it is the lab, a small userland that is inside this program, with a shell; it goes when that ends.\n" +
			"With a directory for --rootfs there is no image, and all that follows is the command.",
		Example: "  final run\n  final run --rm lab ps\n  final run -it --rm --memory 64m alpine\n  final run -d --name web lab sleep 1000",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && f.rootfs == "" {
				args = f.beLab()
			}
			o, err := f.options(args, w.detach)
			if err == nil && o.Terminal && o.Stdin && !w.detach && !term.IsTerminal(0) {
				err = errors.New("-t with -i: what is typed here does not come from a terminal: leave out -t")
			}
			if err != nil {
				return failedRun(err)
			}
			p := presence{stdin: o.Stdin, proxy: w.proxy}
			if p.keys, err = console.ParseKeys(w.keys); err != nil {
				return failedRun(err)
			}
			return failedRun(s.runInEngine(o, p, w.detach, f.cidFile))
		},
	}
	f.add(command.Flags())
	w.add(command.Flags())
	command.Flags().SetInterspersed(false)
	completeRun(s, command)
	return command
}

// waitFlags are those of run about who waits for the container.
type waitFlags struct {
	detach, proxy bool
	keys          string
}

func (w *waitFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&w.detach, "detach", "d", false, "in the background; print its id")
	flags.BoolVar(&w.proxy, "sig-proxy", true, "signals that reach this program are for the command")
	flags.StringVar(&w.keys, "detach-keys", console.DefaultDetachKeys, "keys that leave a terminal, and the container running")
}

// A presence is how a person is with a container.
type presence struct {
	stdin, proxy bool
	keys         []byte
}

// streams are the person's. If signals are for the container, they are from now on, until stop.
func (p presence) streams() (s engine.Streams, stop func()) {
	s = engine.Streams{Out: os.Stdout, Err: os.Stderr, DetachKeys: p.keys}
	if p.stdin {
		s.In = os.Stdin
	}
	if !p.proxy {
		return s, func() {}
	}
	s.Signals, stop = engine.CatchSignals()
	return s, stop
}

// runInEngine makes a container and starts it, and in the foreground stays with it.
func (s *session) runInEngine(o engine.CreateOptions, p presence, detach bool, cidFile string) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	e := s.engine()
	if cidFile != "" {
		file, err := os.OpenFile(cidFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return fmt.Errorf("--cidfile: %w", err)
		}
		defer file.Close()
		defer func() { removeEmpty(cidFile) }()
	}
	c, err := e.Create(ctx, o)
	if err != nil {
		return withHint(err, o.Image)
	}
	if cidFile != "" {
		if err := os.WriteFile(cidFile, []byte(c.ID), 0o644); err != nil {
			return errors.Join(err, c.Remove(engine.RemoveOptions{Volumes: true}))
		}
	}
	if detach {
		if _, err := c.Start(nil); err != nil {
			return err
		}
		fmt.Println(c.ID)
		return nil
	}
	streams, release := p.streams()
	defer release()
	if ctx.Err() != nil {
		return errors.Join(context.Cause(ctx), c.Remove(engine.RemoveOptions{Volumes: true}))
	}
	stop() // signals are the container's from now on, while it is started, too
	client, err := c.Start(&streams)
	if err != nil {
		return err
	}
	return attend(c, client, streams)
}

// attend stays with a container until its end, and ends with its exit code.
func attend(c *engine.Container, client *monitor.Client, streams engine.Streams) error {
	code, err := c.Attend(client, streams)
	switch {
	case errors.Is(err, console.ErrDetached):
		fmt.Fprintln(os.Stderr)
		return nil
	case errors.Is(err, unix.EPIPE): // the container is as little ours to end as a daemon's
		return &coded{1, fmt.Errorf("%w: container %s runs on: final stop %[2]s ends it", err, c.Name)}
	case err != nil || code == 0:
		return err
	}
	return exitError(code)
}

func removeEmpty(path string) {
	if info, err := os.Stat(path); err == nil && info.Size() == 0 {
		_ = os.Remove(path)
	}
}

// withHint advises who has a bundle here and no image of that name.
func withHint(err error, name string) error {
	_, notPulled := errors.AsType[*image.PullError](err)
	if hint := bundleHint(name); hint != "" && (notPulled || image.IsNotFound(err)) {
		return fmt.Errorf("%w%s", err, hint)
	}
	return err
}

// failedRun gives an error Docker's exit code: 125, but for a command that cannot be executed.
func failedRun(err error) error {
	var exit exitError
	var own *coded
	var failure *monitor.Failure
	switch {
	case err == nil || errors.As(err, &exit) || errors.As(err, &own):
		return err
	case errors.As(err, &failure):
		return &coded{failure.Code, withInterpreter(err)}
	}
	return &coded{125, err}
}

// withInterpreter says what is missing where execve(2) says that a command is which has just been found.
func withInterpreter(err error) error {
	if text := err.Error(); strings.HasPrefix(text, "exec ") && strings.HasSuffix(text, unix.ENOENT.Error()) {
		return fmt.Errorf("%w: its interpreter is missing (the #! line, or the ELF loader: see readelf -l)", err)
	}
	return err
}
