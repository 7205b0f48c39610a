//go:build linux

// Init is process 1 of the micro-VM: it makes the kernel's empty initramfs
// look like a machine that systemd has booted, runs what the manifest names,
// and turns the machine off.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "init: process 1 of the micro-VM, not a program to call")
		os.Exit(1)
	}
	// Whatever happens the machine goes off: process 1 must not return, the
	// kernel would panic.
	if err := start(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err)
	}
	powerOff()
}

// start is the table of contents.
func start() error {
	manifest, err := readManifest()
	if err != nil {
		return err
	}
	if err := leaveInitramfs(); err != nil {
		return err
	}
	if err := mountAll(manifest.NoCgroup2); err != nil {
		return err
	}
	if err := linkApplets(); err != nil {
		return err
	}
	if err := raiseLoopback(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte("microvm")); err != nil {
		return fmt.Errorf("set hostname microvm: %w", err)
	}
	if manifest.Shell {
		return shell(manifest)
	}
	return runTests(manifest)
}

func readManifest() (*wire.Manifest, error) {
	text, err := os.ReadFile(wire.ManifestPath)
	if err != nil {
		return nil, err
	}
	manifest := &wire.Manifest{}
	if err := json.Unmarshal(text, manifest); err != nil {
		return nil, fmt.Errorf("parse %s: %w", wire.ManifestPath, err)
	}
	return manifest, nil
}

// powerOff ends the machine. A reboot ends QEMU too, where the firmware has no
// way to turn the power off.
func powerOff() {
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // returns only when it failed
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}
