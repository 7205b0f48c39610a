//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// peopleExecFlags are those of exec.
type peopleExecFlags struct {
	o             engine.ExecOptions
	detach        bool
	keys          string
	env, envFiles []string
}

func (f *peopleExecFlags) add(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.o.Stdin, "interactive", "i", false, "pass the standard input on")
	flags.BoolVarP(&f.o.Terminal, "tty", "t", false, "give it a terminal")
	flags.BoolVarP(&f.detach, "detach", "d", false, "do not wait")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "variable NAME=VALUE, or NAME to pass ours on")
	flags.StringArrayVar(&f.envFiles, "env-file", nil, "file of variables, one a line")
	flags.StringVarP(&f.o.Workdir, "workdir", "w", "", "working directory (default the container's)")
	flags.StringVarP(&f.o.User, "user", "u", "", "user of the image, or number, and group (default the container's)")
	flags.BoolVar(&f.o.Privileged, "privileged", false, "all capabilities")
	flags.StringVar(&f.keys, "detach-keys", console.DefaultDetachKeys, "keys that leave a terminal, and the command running")
}

func execCommand(s *session) *cobra.Command {
	var f peopleExecFlags
	command := &cobra.Command{
		Use:   "exec [flags] CONTAINER CMD [ARG...]",
		Short: "Run one more command in a container",
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return errors.New("exec: want: final exec CONTAINER CMD [ARG...]")
			}
			return failedExec(s.execInEngine(&f, args[0], args[1:]))
		},
	}
	f.add(command.Flags())
	command.Flags().SetInterspersed(false)
	complete(command, once(completeContainers(s, engine.Running)))
	return command
}

func (s *session) execInEngine(f *peopleExecFlags, name string, args []string) error {
	o := f.o
	o.Args = args
	read := containerFlags{env: f.env, envFiles: f.envFiles}
	var variables ocispec.Options
	if err := read.readEnv(&variables); err != nil {
		return err
	}
	o.Env = variables.Env
	if o.Terminal && o.Stdin && !f.detach && !term.IsTerminal(0) {
		return errors.New("-t with -i: what is typed here does not come from a terminal: leave out -t")
	}
	keys, err := console.ParseKeys(f.keys)
	if err != nil {
		return err
	}
	c, err := s.engine().Find(name)
	if err != nil {
		return err
	}
	process, err := c.ExecProcess(o)
	if err != nil {
		return err
	}
	if f.detach {
		return c.ExecDetached(process)
	}
	in := os.Stdin
	if !o.Stdin {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return err
		}
		in, os.Stdin = nil, null // the runtime passes on what is ours
	}
	return execHere(c, process, in, keys)
}

// execHere runs a process with our streams, or our terminal, until its end or, in a terminal, until the keys are typed.
func execHere(c *engine.Container, process *specs.Process, in *os.File, keys []byte) (err error) {
	fg := &foreground{in: in, keys: keys, signals: make(chan os.Signal, 64)}
	signal.Notify(fg.signals, forwarded...)
	if process.Terminal { // also where we have none, in a script: what it writes comes through all the same
		process.ConsoleSize = console.Size(in, os.Stdout)
		if fg.ours, fg.socket, err = console.Pair(); err != nil {
			return err
		}
	}
	defer fg.close()
	p, err := c.Exec(runtime.ExecOptions{Process: process, Console: fg.socket})
	if err != nil {
		return err
	}
	defer p.Pidfd.Close()
	if err := fg.attach(); err != nil {
		_ = unix.PidfdSendSignal(int(p.Pidfd.Fd()), unix.SIGKILL, nil, 0) // nobody would see what it does
		return err
	}
	if err := fg.wait(p.Pid); !errors.Is(err, console.ErrDetached) {
		return err
	}
	terminal, err := fg.leave()
	defer terminal.Close()
	fmt.Fprintln(os.Stderr) // as attach
	return errors.Join(err, c.Keep(terminal))
}

// failedExec gives an error Docker's exit code: 126 and 127 for a command that cannot be executed, 1 for all else.
func failedExec(err error) error {
	var exit exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	if code := engine.FailureCode(err); code != 125 {
		return &coded{code, withInterpreter(err)}
	}
	if errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("%w (at the limit on processes? final update --pids-limit changes it)", err)
	}
	return err
}
