//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// rule is a packet filter rule, in iptables' words.
type rule struct {
	table, chain string
	match        []string
}

// translate lets the container reach the world: the host forwards its packets and gives each the host's
// own address on the way out, because no router out there knows 10.213.0.0/16.
func (n *network) translate(id string) error {
	if err := startForwarding(); err != nil {
		return err
	}
	tag := []string{"-m", "comment", "--comment", alias + id}
	for _, r := range []rule{
		{"nat", "POSTROUTING", []string{"-s", n.subnet().String(), "!", "-d", addresses.String(), "-j", "MASQUERADE"}},
		// A host with Docker drops what it forwards and has no rule for. Ours go first.
		{"filter", "FORWARD", []string{"-i", n.Link, "-j", "ACCEPT"}},
		{"filter", "FORWARD", []string{"-o", n.Link, "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED", "-j", "ACCEPT"}},
	} {
		r.match = append(tag[:len(tag):len(tag)], r.match...)
		if err := r.iptables("-I"); err != nil {
			return err
		}
		n.rules = append(n.rules, r)
	}
	return nil
}

func (n *network) untranslate() error {
	var errs []error
	for _, r := range n.rules {
		errs = append(errs, r.iptables("-D"))
	}
	return errors.Join(errs...)
}

// iptables inserts (-I) or deletes (-D) the rule.
func (r rule) iptables(action string) error {
	args := append([]string{"-w", "-t", r.table, action, r.chain}, r.match...) // -w: wait for others to finish
	cmd := exec.Command("iptables", args...)
	command := strings.Join(cmd.Args, " ")
	say(fmt.Sprintf("execve(%q, %q)", cmd.Path, cmd.Args), command)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setpgid:   true,         // a Ctrl-C is for the container, not for whoever tidies up after it
		Pdeathsig: unix.SIGKILL, // what it does after us no clean-up would know of
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install the package iptables (apt-get install iptables)", err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(string(out)))
	}
	return nil
}

const (
	forwarding = "/proc/sys/net/ipv4/ip_forward"
	savedAs    = stateDir + "/ip_forward"
)

// startForwarding makes the host a router. The first container keeps in a file what the setting was; the
// file appears whole or not at all, whenever we die.
func startForwarding() error {
	if _, err := os.Stat(savedAs); errors.Is(err, fs.ErrNotExist) {
		before, err := os.ReadFile(forwarding)
		if err != nil {
			return err
		}
		if err := os.WriteFile(savedAs+".new", before, 0o600); err != nil {
			return err
		}
		if err := os.Rename(savedAs+".new", savedAs); err != nil {
			return err
		}
	}
	return writeFile(forwarding, "1")
}

// stopForwarding puts the setting back when the last container has left.
func stopForwarding() error {
	if others, err := othersConnected(); others || err != nil {
		return err
	}
	before, err := os.ReadFile(savedAs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // we did not come that far
	}
	if err != nil {
		return err
	}
	return errors.Join(writeFile(forwarding, strings.TrimSpace(string(before))), os.Remove(savedAs))
}
