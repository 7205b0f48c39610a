//go:build linux

package runtime

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// This file hands down what systemd gives a service, and an engine its runtime.

// notifyPlace is where the container finds the socket of NOTIFY_SOCKET.
const notifyPlace = "/run/notify/notify.sock"

// handDown adds to the spec the descriptors of socket activation (sd_listen_fds(3)), which the command is told
// of, and the socket at which it may say that it is ready (sd_notify(3)), which is mounted.
func handDown(s *specs.Spec, listenFDs int) error {
	if listenFDs > 0 {
		s.Process.Env = append(s.Process.Env, "LISTEN_FDS="+strconv.Itoa(listenFDs)) // LISTEN_PID follows (sendPID)
		if names := os.Getenv("LISTEN_FDNAMES"); names != "" {
			s.Process.Env = append(s.Process.Env, "LISTEN_FDNAMES="+names)
		}
	}
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	if !filepath.IsAbs(socket) {
		return fmt.Errorf("NOTIFY_SOCKET: %q: want a path: a socket without one is the network namespace's", socket)
	}
	s.Mounts = append(s.Mounts, specs.Mount{
		Destination: notifyPlace, Type: "bind", Source: socket, Options: []string{"bind", "nosuid", "noexec", "nodev"},
	})
	s.Process.Env = append(s.Process.Env, "NOTIFY_SOCKET="+notifyPlace)
	return nil
}

// sendPID tells a container side what its command's pid is in the PID namespace that it is in, be it the container's
// own, a pod's or the host's.
func (b *side) sendPID() error { return send(b.sync, strconv.Itoa(pidInside(b.Pid))) }
