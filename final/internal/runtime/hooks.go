//go:build linux

package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// hooks are the spec's, none if it has none.
func (c *Container) hooks() specs.Hooks {
	if c.Hooks == nil {
		return specs.Hooks{}
	}
	return *c.Hooks
}

// createHooks runs the hooks that belong between the namespaces and the pivot, in the specification's order.
// If one fails, those of poststop are to run too (runtime.md, lifecycle). To them the container is created: they
// come after the second step of its life, which is the one that "creating" stands for.
func (c *Container) createHooks() error {
	h := c.hooks()
	c.hooked = true
	if err := c.runHooks("prestart", h.Prestart, Created); err != nil {
		return err
	}
	if err := c.runHooks("createRuntime", h.CreateRuntime, Created); err != nil {
		return err
	}
	return c.runInside("createContainer", h.CreateContainer, Created, c.joined)
}

// startHooks runs the hooks that belong between start and the command, inside. The image says what they are:
// they get no right that the command has not.
func (c *Container) startHooks() error {
	return c.runInside("startContainer", c.hooks().StartContainer, Created, c.confined)
}

// runHooks runs hooks on the host, one after the other. The first that fails is the last.
func (c *Container) runHooks(name string, hooks []specs.Hook, status Status) error {
	for i, hook := range hooks {
		if err := c.outside(hook, status); err != nil {
			return fmt.Errorf("error running %s hook #%d: %s: %w", name, i, hook.Path, err)
		}
	}
	return nil
}

// poststop runs the hooks for the end of a container. One that fails is worth a warning: the others run all the
// same, and the container goes.
func (c *Container) poststop() {
	for i, hook := range c.hooks().Poststop {
		if err := c.outside(hook, Stopped); err != nil {
			c.runtime.warn([]string{fmt.Sprintf("hooks.poststop[%d]: %s: %v", i, hook.Path, err)})
		}
	}
}

// undoHooks runs those hooks if there were others before.
func (c *Container) undoHooks() error {
	if c.hooked {
		c.poststop()
	}
	return nil
}

// linger bounds the wait for the output of a hook that has ended: a process that it leaves behind may hold the
// pipe open. What one has to say that has failed is worth a longer wait.
const linger = 300 * time.Millisecond

// collect copies what comes out of a pipe, until wait makes an end of it.
func collect(output io.Writer, pipe *os.File) (wait func(failed bool)) {
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, pipe)
		close(copied)
	}()
	return func(failed bool) {
		patience := linger
		if failed {
			patience = 10 * linger
		}
		select {
		case <-copied:
		case <-time.After(patience):
		}
		pipe.Close() // which ends the copying
		<-copied
	}
}

// outside runs one hook on the host.
func (c *Container) outside(hook specs.Hook, status Status) error {
	keepInherited()
	return c.hook(hook, c.stateAs(status), func(ctx context.Context, state []byte, output io.Writer) error {
		what := kernel.Call{Op: "execve", Object: hook.Path, Value: fmt.Sprintf("%q", hookArgs(hook)), Shell: hook.Path}
		return c.runtime.Door.Do(what, func() error {
			outR, outW, err := os.Pipe()
			if err != nil {
				return err
			}
			wait := collect(output, outR)
			cmd := exec.CommandContext(ctx, hook.Path)
			cmd.Args, cmd.Env, cmd.Dir = hookArgs(hook), hook.Env, c.Bundle // without env it has ours; as with runc
			cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(state), outW, outW
			cmd.WaitDelay = linger // a process that it leaves behind may be asked for the state, and not read it
			err = cmd.Start()
			outW.Close()
			if err == nil {
				err = cmd.Wait()
			}
			if errors.Is(err, exec.ErrWaitDelay) {
				err = nil // the hook itself has ended, and well
			}
			wait(err != nil && ctx.Err() == nil)
			return err
		})
	})
}

// A starter starts a hook in the container's namespaces, with these as its standard streams.
type starter func(hook specs.Hook, stdin, output *os.File) (*side, error)

// runInside runs hooks in the container's namespaces. The pid in the state is the one that the container knows.
func (c *Container) runInside(name string, hooks []specs.Hook, status Status, start starter) error {
	for i, hook := range hooks {
		state := c.stateAs(status)
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

// hookArgs are a hook's arguments, the name of the program included.
func hookArgs(h specs.Hook) []string {
	if len(h.Args) == 0 {
		return []string{h.Path}
	}
	return h.Args
}

// hook runs one hook with the container's state, and bounds its time.
func (c *Container) hook(h specs.Hook, state *State, run func(context.Context, []byte, io.Writer) error) error {
	ctx := context.Background()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	text, err := json.Marshal(state)
	if err != nil {
		return err
	}
	var output beginning
	err = run(ctx, text, &output)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("it took longer than its timeout, %d s", *h.Timeout)
	case err != nil && len(output) > 0:
		return fmt.Errorf("%w, stdout and stderr: %s", err, bytes.TrimSpace(output))
	}
	return err
}

// beginning keeps the beginning of what is written to it. A hook of the image's may write without end, and what
// it writes is in our memory, not in the container's.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	const most = 16 << 10
	*b = append(*b, p[:min(len(p), most-len(*b))]...)
	return len(p), nil
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
