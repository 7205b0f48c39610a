//go:build linux

package console

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A guard gives a terminal back in the modes in which it was, when this process ends, however it ends: a
// kill -9 leaves nobody else who could. It is a process, and all it can do are these four calls.
type guard struct {
	process *executor.Process
	hold    *os.File // its end is what the guard waits for
}

func startGuard(terminal *os.File, modes *unix.Termios) (*guard, error) {
	wait, hold, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	defer wait.Close()
	command := &executor.Command{List: guardList(modes), Name: "terminal guard", Files: []*os.File{terminal, wait}}
	process, err := command.Start()
	if errors.Is(err, executor.ErrNoStub) {
		command.Reexec = true
		process, err = command.Start()
	}
	if err != nil {
		hold.Close()
		return nil, err
	}
	return &guard{process, hold}, nil
}

// guardList is what the guard does, with the terminal as descriptor 0 and the end of a pipe as 1.
func guardList(modes *unix.Termios) *op.List {
	data := op.Struct(*modes)
	data.Text = "[modes]"
	list := &op.List{Failure: []op.Op{op.Exit(1)}}
	list.Add(
		op.Op{Name: "setsid", Nr: unix.SYS_SETSID,
			Why: "out of reach of the terminal's signals, and of SIGTTOU for the one who sets modes from behind"},
		op.Read(op.Int(1), op.Zeros(1)),
		op.Op{Name: "ioctl", Nr: unix.SYS_IOCTL, Args: []op.Arg{
			op.Int(0), op.Int(unix.TCSETS).As("TCSETS"), op.Ref(data),
		}, Shell: "stty sane"},
		op.Exit(0),
	)
	return list
}

// end has the terminal given back.
func (g *guard) end() error {
	defer g.process.Pidfd.Close()
	g.hold.Close()
	switch status, err := g.process.Wait(); {
	case err != nil:
		return fmt.Errorf("wait4 %d: %w", g.process.Pid, err)
	case status != 0:
		return errors.New("the terminal has hung up, or its guard was killed: its modes stay as they are")
	}
	return nil
}
