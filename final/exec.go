//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/decode"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var execVerb = verb{"exec ID [CMD [ARG...]]", "Run one more command in a container", 1, -1,
	func(flags *flagSet) func(*session, []string) error {
		var f execFlags
		f.add(flags)
		return func(s *session, args []string) error {
			err := s.exec(&f, args)
			if _, silent := codeOf(err); !silent {
				return &coded{255, err} // it did not come to its command; as runc
			}
			return err
		}
	}}

// execFlags are the flags of exec.
type execFlags struct {
	runtime.ExecOptions
	process, socket, cwd, user, label, apparmor string
	env, capabilities                           []string
	groups                                      []int64
	terminal, detach, noNewPrivileges           bool
}

func (f *execFlags) add(flags *flagSet) {
	flags.StringVarP(&f.process, "process", "p", "", "file with the process, as in config.json")
	flags.StringVar(&f.socket, "console-socket", "", "socket that gets the terminal")
	flags.StringVar(&f.PidfdSocket, "pidfd-socket", "", "socket that gets a pidfd of the process")
	flags.StringVar(&f.PidFile, "pid-file", "", "file for the process id")
	flags.StringVar(&f.cwd, "cwd", "", "working directory (default the container's)")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "variable of the environment, NAME=VALUE")
	flags.StringVarP(&f.user, "user", "u", "", "UID[:GID] (default the container's)")
	flags.Int64SliceVarP(&f.groups, "additional-gids", "g", nil, "further group ids")
	flags.StringArrayVarP(&f.capabilities, "cap", "c", nil, "further capability")
	flags.StringVar(&f.label, "process-label", "", "SELinux label")
	flags.StringVar(&f.apparmor, "apparmor", "", "AppArmor profile")
	flags.BoolVar(&f.noNewPrivileges, "no-new-privs", false, "set-user-id programs get no rights")
	flags.BoolVarP(&f.terminal, "tty", "t", false, "give it a terminal")
	flags.BoolVarP(&f.detach, "detach", "d", false, "do not wait")
	flags.IntVar(&f.PreserveFDs, "preserve-fds", 0, "how many descriptors from 3 on the command gets")
	flags.StringArrayVarP(&f.Cgroups, "cgroup", "", nil, "cgroup below the container's: PATH, or on v1 CONTROLLER[,...]:PATH")
	flags.BoolVar(&f.IgnorePaused, "ignore-paused", false, "also in a paused container: it runs when that goes on")
}

func (s *session) exec(f *execFlags, args []string) error {
	c, err := s.runtime().Load(args[0])
	if err != nil {
		return err
	}
	o := f.ExecOptions
	if o.Process, err = f.processOf(c, args[1:]); err != nil {
		return err
	}
	fg, err := newForeground(f.socket, f.detach, o.Process.Terminal)
	if err != nil {
		return err
	}
	defer fg.close()
	o.Console = fg.socket
	p, err := c.Exec(o)
	if err != nil {
		return err
	}
	defer p.Pidfd.Close()
	if err := fg.attach(); err != nil {
		_ = unix.PidfdSendSignal(int(p.Pidfd.Fd()), unix.SIGKILL, nil, 0) // nobody would see what it does
		return err
	}
	if f.detach {
		return nil
	}
	return fg.wait(p.Pid)
}

// processOf is the process of a file, or the container's own with what the flags say.
func (f *execFlags) processOf(c *runtime.Container, args []string) (*specs.Process, error) {
	if f.process != "" {
		return readProcess(f.process)
	}
	if len(args) == 0 {
		return nil, errors.New("exec: want a command, or --process FILE")
	}
	p, err := c.Process()
	if err != nil {
		return nil, err
	}
	p.Args, p.Terminal = args, f.terminal
	p.Env = append(p.Env, f.env...)
	p.NoNewPrivileges = p.NoNewPrivileges || f.noNewPrivileges
	for _, set := range []struct{ field, value *string }{
		{&p.Cwd, &f.cwd}, {&p.SelinuxLabel, &f.label}, {&p.ApparmorProfile, &f.apparmor},
	} {
		if *set.value != "" {
			*set.field = *set.value
		}
	}
	for _, gid := range f.groups {
		if gid < 0 || gid >= 1<<32-1 {
			return nil, fmt.Errorf("--additional-gids %d: want a group id", gid)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	f.addCapabilities(p)
	if f.user == "" {
		return p, nil
	}
	p.User.UID, p.User.GID, err = parseUser(f.user, p.User.GID)
	return p, err
}

// readProcess reads a process from a file.
func readProcess(file string) (*specs.Process, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	p := &specs.Process{}
	if err := decode.Decode(text, p); err != nil {
		return nil, fmt.Errorf("--process %s: %w", file, err)
	}
	return p, nil
}

// addCapabilities gives the process further capabilities. What the container lets its processes inherit anyway,
// they have at once, whoever they run as: that is the ambient set (capabilities(7)).
func (f *execFlags) addCapabilities(p *specs.Process) {
	if len(f.capabilities) == 0 {
		return
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	for _, set := range []*[]string{&p.Capabilities.Bounding, &p.Capabilities.Effective, &p.Capabilities.Permitted} {
		*set = append(*set, f.capabilities...)
	}
	for _, name := range f.capabilities {
		if slices.Contains(p.Capabilities.Inheritable, name) {
			p.Capabilities.Ambient = append(p.Capabilities.Ambient, name)
		}
	}
}

// parseUser reads UID or UID:GID. Names are not looked up: the container's files, in which they would be
// found, are not to be trusted with whom the command runs as.
func parseUser(text string, gid uint32) (uint32, uint32, error) {
	ids := [2]uint32{1: gid}
	for i, word := range strings.SplitN(text, ":", 2) {
		id, err := strconv.ParseUint(word, 10, 32)
		if err != nil || id == 1<<32-1 {
			return 0, 0, fmt.Errorf("--user %q: want UID or UID:GID, as numbers", text)
		}
		ids[i] = uint32(id)
	}
	return ids[0], ids[1], nil
}
