//go:build linux

package runtime

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/console"
)

// passListener gives the listener of a filter to the agent that the profile names, with the state of the
// container (config-linux.md, "The Container Process State"). The container side says under which number it
// has it, and waits. To who is not root, and could not fetch it, it is sent.
func (c *Container) passListener(pidfd *os.File, pid int, message string, sent opened, s *specs.Spec) error {
	defer func() { sent.close() }()
	if len(message) != 8 || s.Linux == nil || s.Linux.Seccomp == nil || s.Linux.Seccomp.ListenerPath == "" {
		return fmt.Errorf("the container side says %q", message)
	}
	number := int(binary.NativeEndian.Uint64([]byte(message)))
	if len(sent) == 0 {
		fd, err := unix.PidfdGetfd(int(pidfd.Fd()), number, 0) // since Linux 5.6
		if err != nil {
			return fmt.Errorf("pidfd_getfd %d: %w", number, err)
		}
		sent.keep(os.NewFile(uintptr(fd), specs.SeccompFdName))
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	state, err := json.Marshal(specs.ContainerProcessState{
		Version: specs.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: s.Linux.Seccomp.ListenerMetadata,
		State: specs.State{
			Version: specs.Version, ID: c.ID, Status: specs.ContainerState(status), Pid: c.Pid, Bundle: c.Bundle,
			Annotations: s.Annotations,
		},
	})
	if err != nil {
		return err
	}
	socket, err := console.Dial(s.Linux.Seccomp.ListenerPath)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: failed to connect with seccomp agent: %w", err)
	}
	defer socket.Close()
	err = unix.Sendmsg(int(socket.Fd()), state, unix.UnixRights(int(sent[0].Fd())), nil, unix.MSG_NOSIGNAL)
	if err != nil {
		return fmt.Errorf("linux.seccomp.listenerPath: sendmsg %s: %w", s.Linux.Seccomp.ListenerPath, err)
	}
	return nil
}

// checkListener refuses what would keep a listener from who is not root, to whom it is sent.
func checkListener(s *specs.LinuxSeccomp) error {
	if !rootless() || s == nil {
		return nil
	}
	for i, rule := range s.Syscalls {
		if rule.Action == specs.ActNotify && slices.Contains(rule.Names, "sendmsg") {
			return fmt.Errorf("linux.seccomp.syscalls[%d]: %q: by this the listener comes to user %d, who is not root",
				i, "sendmsg", os.Geteuid())
		}
	}
	return nil
}
