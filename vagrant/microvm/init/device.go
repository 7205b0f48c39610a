//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// openPort loads the modules of the report port and opens it. Its device has a
// number in its name; the name we gave it is in sysfs.
func openPort(modules []string) (io.ReadWriter, error) {
	if err := runQuiet(append([]string{"/sbin/modprobe", "-a"}, modules...)...); err != nil {
		return nil, err
	}
	for range 500 { // the port appears when host and guest have greeted each other
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, file := range names {
			if name, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(name)) == wire.PortName {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(file)), os.O_RDWR, 0)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("open port %s: no such virtio-serial port", wire.PortName)
}

// linkApplets makes busybox's applets commands, where no package has put one.
func linkApplets() error { return runQuiet("/usr/sbin/busybox", "--install", "-s") }

// raiseLoopback does `ip link set lo up`; the kernel then gives it 127.0.0.1.
func raiseLoopback() (err error) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(s)) }()
	ifreq, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifreq.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifreq); err != nil {
		return fmt.Errorf("set lo up: %w", err)
	}
	return nil
}

// runQuiet runs a command whose output goes to the console.
func runQuiet(args ...string) error {
	code, err := (&command{Args: args, Input: os.Stdin, Output: os.Stderr}).run()
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit code %d", strings.Join(args, " "), code)
	}
	return err
}
