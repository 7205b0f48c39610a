//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"
)

// resolvConf returns a resolv.conf(5) that works from inside the container. A host with systemd-resolved
// names 127.0.0.53 as its server: that is the host's loopback, and in the container nobody answers there.
// The servers it asks in turn are in a file of its own.
func resolvConf() string {
	for _, file := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if conf, servers := reachable(string(text)); servers > 0 {
			return conf
		}
	}
	const public = "1.1.1.1"
	fmt.Fprintf(os.Stderr, "%s: no name server of the host's can be reached from the container, so it gets %s\n", program, public)
	return "nameserver " + public + "\n"
}

// reachable returns a resolv.conf without the servers that the container cannot ask, those on loopback and, as it
// has no IPv6, those with such an address; and how many are left.
func reachable(text string) (conf string, servers int) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "nameserver" {
			if ip, err := netip.ParseAddr(words[1]); err != nil || ip.IsLoopback() || ip.Is6() {
				continue
			}
			servers++
		}
		conf += strings.TrimRight(line, "\n") + "\n"
	}
	return conf, servers
}

// writeNames writes the files that turn names into addresses. They go to the upper layer. An image may
// have a symbolic link in their place, to a file that nobody made here; so it is removed first.
func (c container) writeNames() error {
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	for _, file := range []struct{ path, text string }{
		{"/etc/hostname", c.Hostname + "\n"},
		{"/etc/hosts", fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", c.Network.Address.Addr(), c.Hostname)},
		{"/etc/resolv.conf", c.Network.ResolvConf},
	} {
		say(fmt.Sprintf("write(%q, %q)", file.path, file.text), fmt.Sprintf("printf %q > %s", file.text, file.path))
		if err := os.Remove(file.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(file.path, []byte(file.text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
