//go:build linux

package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/resolver"
)

// Each network that is up has a process that answers for the names on it (package resolver). It holds a lock on the
// file with its pid, which ends with it: so it is known whether it lives, and which process it is.

func (n *Network) resolverPath() string { return filepath.Join(n.dir(), "resolver") }

// A resolverState is what that file says.
type resolverState struct {
	Pid int    `json:"pid"`
	UDP uint16 `json:"udp"` // the ports
	TCP uint16 `json:"tcp"`
}

// ensureResolver starts a network's resolver, unless it lives.
func (h *Host) ensureResolver(n *Network) error {
	file, err := lockResolver(n)
	if file == nil || err != nil {
		return err
	}
	defer file.Close()
	state := resolverState{}
	udp, err := nameSocket(n, "udp", &state.UDP)
	if err != nil {
		return err
	}
	defer udp.Close()
	tcp, err := nameSocket(n, "tcp", &state.TCP)
	if err != nil {
		return err
	}
	defer tcp.Close()
	call := kernel.Call{Op: "execve", Object: strconv.Quote(resolver.Name), Value: n.dir()}
	err = h.Door.Do(call, func() (err error) {
		if state.Pid, err = startResolver(n, []*os.File{udp, tcp, file}); err != nil {
			return err
		}
		return json.NewEncoder(file).Encode(state)
	})
	if err != nil {
		return err
	}
	elements := resolverElements(n, state)
	err = h.addElements(elements)
	if errors.Is(err, unix.EEXIST) { // to where the one before was
		err = errors.Join(h.deleteElements(elements), h.addElements(elements))
	}
	return err
}

// resolverElements lead the gateway's port 53 to the resolver, also where that has another port, and where a container
// has published its own port 53 on all of the host's addresses.
func resolverElements(n *Network, state resolverState) []element {
	return portElements(&Connection{
		Endpoint: Endpoint{Ports: []Port{
			{Address: n.Gateway, HostPort: 53, Port: state.UDP, Protocol: "udp"},
			{Address: n.Gateway, HostPort: 53, Port: state.TCP, Protocol: "tcp"},
		}},
		IPv4: netip.PrefixFrom(n.Gateway, 32),
	})
}

// startResolver starts the process, with a mount namespace of its own, to leave what it does not need.
func startResolver(n *Network, files []*os.File) (pid int, err error) {
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{resolver.Name, n.dir()}, Dir: n.dir(), ExtraFiles: files,
		Env:         []string{"GOMAXPROCS=2", "GOGC=50"},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Unshareflags: unix.CLONE_NEWNS},
	}
	keepDescriptors()
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go cmd.Wait() //nolint:errcheck // only so that it is no zombie should it end before us
	return cmd.Process.Pid, nil
}

// keepDescriptors keeps those for ourselves that somebody has left open for us: a pipe that the resolver holds for as
// long as it lives would keep its reader waiting.
func keepDescriptors() {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// findResolver finds the process by its command line; 0 if there is none.
func findResolver(n *Network) int {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		text, _ := os.ReadFile(path)
		if string(text) == resolver.Name+"\x00"+n.dir()+"\x00" {
			pid, _ := strconv.Atoi(strings.Split(path, "/")[2])
			return pid
		}
	}
	return 0
}

// lockResolver takes the lock; nil, if a resolver has it.
func lockResolver(n *Network) (*os.File, error) {
	file, err := os.OpenFile(n.resolverPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return file, file.Truncate(0)
	}
	file.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("flock %s: %w", n.resolverPath(), err)
}

// nameSocket is one of the resolver's, bound to the gateway's port 53, or to any other where a name server of the host
// has that on all addresses.
func nameSocket(n *Network, protocol string, port *uint16) (*os.File, error) {
	p := Port{Address: n.Gateway, HostPort: 53, Protocol: protocol}
	fd, err := bound(p, 4)
	if errors.Is(err, unix.EADDRINUSE) {
		p.HostPort = 0
		fd, err = bound(p, 4)
	}
	if err != nil {
		return nil, fmt.Errorf("name server: bind %s %s: %w", protocol, p.Published(), err)
	}
	socket := os.NewFile(uintptr(fd), protocol)
	if *port, err = portOf(fd); err == nil && protocol == "tcp" {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("name server: listen %s %s: %w", protocol, p.Published(), err)
	}
	return socket, nil
}

// stopResolver ends it, and waits until it is gone: the next one wants its port.
func (h *Host) stopResolver(n *Network) error {
	var state resolverState
	err := read(n.resolverPath(), &state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		state.Pid = findResolver(n) // whoever started it died before it could write
	}
	alive := func() bool {
		file, err := lockResolver(n)
		if file != nil {
			file.Close()
		}
		return file == nil && err == nil
	}
	if state.Pid > 0 && alive() {
		if err := gone(h.Door.Kill(state.Pid, alive)); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(5 * time.Second); alive(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("name server of network %s: it does not end", n.Name)
		}
	}
	if err := h.deleteElements(resolverElements(n, state)); err != nil {
		return err
	}
	return h.remove(n.resolverPath())
}
