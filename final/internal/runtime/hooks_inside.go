//go:build linux

package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// A starter starts a hook in the container's namespaces, with these as its standard streams.
type starter func(hook specs.Hook, stdin, output *os.File) (*side, error)

// runInside runs hooks in the container's namespaces, as long as that is not started. The pid in the state is the one
// that the container knows.
func (c *Container) runInside(name string, hooks []specs.Hook, start starter) error {
	for i, hook := range hooks {
		state := c.stateAs(Created)
		state.Pid = pidInside(c.Pid)
		err := c.hook(hook, state, func(ctx context.Context, state []byte, output io.Writer) error {
			return inside(ctx, state, output, func(stdin, output *os.File) (*side, error) {
				return start(hook, stdin, output)
			})
		})
		if err != nil {
			return fmt.Errorf("error running %s hook #%d: %s: %w", name, i, hook.Path, err)
		}
	}
	return nil
}

// joined starts a hook in the namespaces of the container's first process, and changes nothing else: before the
// pivot of the container side it finds the host's files there.
func (c *Container) joined(hook specs.Hook, stdin, output *os.File) (b *side, err error) {
	target, err := c.openTarget()
	if err != nil {
		return nil, err
	}
	defer target.close()
	ours, theirs, err := syncPair()
	if err != nil {
		return nil, err
	}
	h := &handover{files: []*os.File{stdin, output, output}}
	options := plan.Options{Descriptors: plan.Descriptors{Sync: h.add(h.keep(theirs))}, Threads: c.runtime.inGo()}
	target.hand(h, &options)
	options.First = len(h.files)
	list := plan.Hook(hook.Path, c.Rootfs, hookArgs(hook), hook.Env, options) // of ours it gets nothing
	process, err := c.runtime.launch(&executor.Command{List: list, Name: "hook " + c.ID}, h)
	h.close()
	if err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	b = &side{Process: process, list: list, sync: ours}
	if err = b.replace(); err == nil {
		if _, _, err = receive(ours, list); errors.Is(err, errEnded) {
			return b, nil
		}
		err = b.report(err)
	}
	b.end()
	b.close()
	return nil, err
}

// confined starts a hook as one more process of the container.
func (c *Container) confined(hook specs.Hook, stdin, output *os.File) (*side, error) {
	s, err := c.spec()
	if err != nil {
		return nil, err
	}
	process := *s.Process // whose environment is the hook's too, if that has none of its own; as with runc
	process.Args, process.Cwd, process.Terminal = hookArgs(hook), "/", false
	if hook.Env != nil {
		process.Env = hook.Env
	}
	o := ExecOptions{Process: &process, path: hook.Path, wholeEnv: hook.Env != nil}
	b, err := c.beginExec(s, o, &handover{files: []*os.File{stdin, output, output}})
	if err != nil {
		return nil, err
	}
	if err := c.finishExec(b, s, o); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// inside runs a hook that a function starts: it gets the state on its standard input.
func inside(ctx context.Context, state []byte, output io.Writer, start func(stdin, output *os.File) (*side, error)) error {
	stdinR, stdinW, err := os.Pipe()
	if err != nil {
		return err
	}
	defer stdinW.Close()
	outR, outW, err := os.Pipe()
	if err != nil {
		return errors.Join(err, stdinR.Close())
	}
	wait := collect(output, outR)
	b, err := start(stdinR, outW)
	stdinR.Close()
	outW.Close()
	if err != nil {
		wait(true)
		return err
	}
	defer b.close()
	go func() {
		_, _ = stdinW.Write(state) // a hook need not read it
		stdinW.Close()
	}()
	status, err := b.waitWithin(ctx)
	wait((err != nil || status != 0) && ctx.Err() == nil)
	switch {
	case err != nil:
		return fmt.Errorf("wait4 %d: %w", b.Pid, err)
	case status.Signaled():
		return fmt.Errorf("ended by %s", unix.SignalName(status.Signal()))
	case status.ExitStatus() != 0:
		return fmt.Errorf("exit status %d", status.ExitStatus())
	}
	return nil
}

// pidInside is a process's id in its own PID namespace, the last of those that it has (proc_pid_status(5)):
//
//	NSpid:	4711	1
func pidInside(pid int) int {
	text, _ := kernel.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(text, "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	for word := range strings.FieldsSeq(line) {
		if inner, err := strconv.Atoi(word); err == nil {
			pid = inner
		}
	}
	return pid
}
