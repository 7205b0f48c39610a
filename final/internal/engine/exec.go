//go:build linux

package engine

import (
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// ExecOptions are what a person asked for of one more process. What is empty is the container's.
type ExecOptions struct {
	Args            []string
	Env             []string // NAME=value; a NAME alone takes the variable away
	Workdir         string
	User            string
	Terminal, Stdin bool
	Privileged      bool
}

// ExecProcess is one more process as the options want it, like the container's own in all else.
func (c *Container) ExecProcess(o ExecOptions) (*specs.Process, error) {
	switch c.State.Status {
	case Running:
	case Paused:
		return nil, fmt.Errorf("container %s is paused: final unpause %s first", c.Name, c.Name)
	default:
		return nil, fmt.Errorf("%w, but %s: final start %s first", &notRunning{c.Name}, c.State.Status, c.Name)
	}
	made, err := c.engine.OCI.Load(c.ID)
	if err != nil {
		return nil, err
	}
	p, err := made.Process()
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal = o.Args, o.Terminal
	p.Env = addEnv(p.Env, o.Env)
	if o.Workdir != "" {
		p.Cwd = o.Workdir
	}
	if o.User != "" {
		var u ocispec.User
		err := c.withLiveRoot(func(root string) (err error) {
			u, err = c.user(root, o.User, nil)
			return err
		})
		if err != nil {
			return nil, err
		}
		p.User = specs.User{UID: u.UID, GID: u.GID, AdditionalGids: append([]uint32{u.GID}, u.Groups...)}
		p.Env = addEnv(p.Env, []string{"HOME"}) // the runtime looks up that of the user
		if u.UID != 0 && !o.Privileged {
			p.Capabilities = bounded(p.Capabilities)
		}
	}
	if o.Privileged {
		all := heldCapabilities(confine.Capabilities())
		p.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		p.NoNewPrivileges = false
	}
	return p, nil
}

// bounded are the capabilities of a user who is not root: what a set-user-id program may get.
func bounded(of *specs.LinuxCapabilities) *specs.LinuxCapabilities {
	if of == nil {
		return nil
	}
	return &specs.LinuxCapabilities{Bounding: of.Bounding}
}

// addEnv lays variables over others.
func addEnv(env, over []string) []string {
	for _, variable := range over {
		name, _, given := strings.Cut(variable, "=")
		kept := env[:0:0]
		for _, old := range env {
			if !strings.HasPrefix(old, name+"=") {
				kept = append(kept, old)
			}
		}
		if env = kept; given {
			env = append(env, variable)
		}
	}
	return env
}

// Exec starts one more process in the container. It is our child, and has our streams if it has no terminal.
func (c *Container) Exec(o runtime.ExecOptions) (*executor.Process, error) {
	made, err := c.engine.OCI.Load(c.ID)
	if err != nil {
		return nil, err
	}
	return made.Exec(o)
}

// Keep has the container's monitor keep a terminal of one more process, which goes on in it. What that writes is for
// nobody.
func (c *Container) Keep(terminal *os.File) error {
	client, err := c.Attach()
	if err != nil {
		return err
	}
	defer client.Close()
	return client.Keep(terminal)
}

// ExecDetached starts one more process that nobody waits for. What it writes is for nobody.
func (c *Container) ExecDetached(p *specs.Process) (err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	in, out, errs := os.Stdin, os.Stdout, os.Stderr
	defer func() { os.Stdin, os.Stdout, os.Stderr = in, out, errs }()
	os.Stdin, os.Stdout, os.Stderr = null, null, null // the runtime passes on what is ours
	o := runtime.ExecOptions{Process: p}
	var ours *os.File
	if p.Terminal {
		if ours, o.Console, err = console.Pair(); err != nil {
			return err
		}
		defer closeAll(ours, o.Console)
	}
	process, err := c.Exec(o)
	if err != nil {
		return err
	}
	defer process.Pidfd.Close()
	if !p.Terminal {
		return nil
	}
	terminal, err := console.Receive(ours)
	if err != nil {
		return err
	}
	defer terminal.Close()
	return c.Keep(terminal)
}
