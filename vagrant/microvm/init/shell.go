//go:build linux

package main

import (
	"fmt"
	"os"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// shell opens a shell on the console. /dev/console itself cannot be a
// controlling terminal, the serial port behind it can: without one there is no
// job control and no ctrl-c.
func shell(manifest *wire.Manifest) error {
	tty, err := os.OpenFile("/dev/"+manifest.Console, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer tty.Close()
	fmt.Fprintf(tty, "Linux %s: programs are in /microvm/bin; exit turns the machine off, ctrl-a x kills it\n", kernelRelease())
	env := []string{"PS1=microvm:\\w# ", "ENV=/etc/profile"}
	if manifest.Final != "" {
		if _, err := (&command{Args: []string{manifest.Final, "rootfs", rootfsDir}, Input: tty, Output: tty}).run(); err != nil {
			return err
		}
		env = append(env, "FINAL="+manifest.Final, "ROOTFS="+rootfsDir)
	}
	_, err = (&command{Args: []string{"/bin/sh", "-i"}, Dir: "/root", Env: env, Input: tty, Output: tty, Login: true}).run()
	return err
}
