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
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

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
func (c *Container) createHooks(s sent) error {
	h := c.hooks()
	c.hooked, c.sent = true, s
	defer c.forget()
	if err := c.runHooks("prestart", h.Prestart, Created); err != nil {
		return err
	}
	if err := c.runHooks("createRuntime", h.CreateRuntime, Created); err != nil {
		return err
	}
	return c.runInside("createContainer", h.CreateContainer, c.joined)
}

// startHooks runs the hooks that belong between start and the command, inside. The image says what they are:
// they get no right that the command has not.
func (c *Container) startHooks(connection *os.File) error {
	hooks := c.hooks().StartContainer
	if len(hooks) > 0 && rootless() {
		message, s, err := receiveSent(connection, c.Late.list())
		c.sent = s
		defer c.forget()
		if err != nil {
			return err
		}
		if message != plan.Namespaces || s == nil {
			return fmt.Errorf("the container side says %q", message)
		}
	}
	return c.runInside("startContainer", hooks, c.confined)
}

// forget closes the namespaces that the first process has sent.
func (c *Container) forget() {
	c.sent.close()
	c.sent = nil
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
