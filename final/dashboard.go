//go:build linux && !engine

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/web"
)

func dashboardCommand(s *session) *cobra.Command {
	var address string
	command := &cobra.Command{
		Use:   "dashboard",
		Short: "Show what containers do, on a page for the projector",
		Long: `Show the containers, their figures and their system calls on a page, for a screen that a room looks at.

The page is served to this machine alone, and only shows: nothing can be changed on it. ? on it says which keys it
knows. The containers are those of all engines that use this runtime; --root before the verb names another place.
Nothing is measured while no page is open. It ends with Ctrl-C.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt, unix.SIGTERM)
			defer stop()
			source := web.Machine(s.runtime(), s.engineContainers())
			source.Hint = []string{"sudo final run -it lab"}
			return dashboard(ctx, command.OutOrStdout(), address, source)
		},
	}
	command.Flags().StringVar(&address, "listen", "127.0.0.1:8080", "the `address` to serve the page on")
	return command
}

// engineContainers returns what the engine knows of its containers; nil if they are not those to be shown.
func (s *session) engineContainers() func() ([]web.Container, error) {
	if s.root != kernel.OCIStateDir || os.Geteuid() != 0 {
		return nil
	}
	e := s.engine()
	return func() (list []web.Container, err error) {
		all, err := e.List(engine.ListOptions{All: true})
		for _, c := range all {
			list = append(list, web.Container{
				ID: c.ID, Name: c.Name, Image: cmp.Or(c.Image, c.Rootfs), Status: stateOf(c.State),
				Since: latest(c.Created, c.State.StartedAt),
			})
		}
		return list, err
	}
}

// stateOf is where a container is in its life, in a word; for one that has ended, with how.
func stateOf(s engine.State) string {
	if s.Status == engine.Exited {
		return fmt.Sprintf("exited (%d)", s.ExitCode)
	}
	return string(s.Status)
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// dashboard serves the page until the context is done.
func dashboard(ctx context.Context, out io.Writer, address string, source web.Source) error {
	listener, err := net.Listen("tcp", address)
	if errors.Is(err, unix.EADDRINUSE) {
		const advice = "take another with --listen 127.0.0.1:PORT"
		return fmt.Errorf("dashboard: %s is in use by %s: %s", address, listenerOf(address), advice)
	}
	if err != nil {
		return fmt.Errorf("dashboard: --listen %q: %w", address, err)
	}
	defer listener.Close() // Serve has done it, if it came to that
	for _, reason := range source.Blind {
		fmt.Fprintln(out, "note:", reason)
	}
	if at, err := netip.ParseAddrPort(listener.Addr().String()); err == nil && !at.Addr().Unmap().IsLoopback() {
		fmt.Fprintf(out, "note: %s is reached from other machines too; whoever reaches it sees all that is on the page\n", at)
	}
	fmt.Fprintf(out, "dashboard: http://%s/\n", pageAddress(listener.Addr()))
	return web.New(source).Serve(ctx, listener)
}

// pageAddress is what to type into a browser on this machine.
func pageAddress(listening net.Addr) string {
	at, err := netip.ParseAddrPort(listening.String())
	if err != nil || at.Addr().IsUnspecified() {
		_, port, _ := net.SplitHostPort(listening.String()) // it is of that form
		return "localhost:" + port
	}
	return at.String()
}

// listenerOf names the program that listens at a port.
func listenerOf(address string) string {
	const unknown = "another program"
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return unknown
	}
	number, err := net.LookupPort("tcp", port)
	if err != nil {
		return unknown
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := kernel.ReadFile(table) // without IPv6 there is one less
		for _, inode := range listeningSockets(text, number) {
			if name := holderOf("socket:[" + inode + "]"); name != "" {
				return name
			}
		}
	}
	return unknown
}

// listeningSockets reads the inodes of those that listen at a port (proc_pid_net(5)). A state of 0A is LISTEN.
//
//	sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
//	 0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23681 1 ...
func listeningSockets(text string, port int) (inodes []string) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != "0A" {
			continue
		}
		if strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, fields[9])
		}
	}
	return inodes
}

// holderOf names the process that has a file open; "" if it cannot be seen.
func holderOf(target string) string {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is right
	for _, link := range links {
		if to, err := os.Readlink(link); err != nil || to != target {
			continue
		}
		pid := strings.Split(link, "/")[2]
		name, _ := kernel.ReadFile("/proc/" + pid + "/comm") // it may be gone
		return strconv.Quote(name) + " (process " + pid + ")"
	}
	return ""
}
