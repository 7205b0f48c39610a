//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/simple-container/simple-container/final/internal/console"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

var createVerb = verb{"create ID", "Make a container out of a bundle, and stop before its command", 1, 1,
	func(flags *flagSet) func(*session, []string) error {
		var f createFlags
		f.add(flags)
		return func(s *session, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			if f.socket != "" {
				if o.Console, err = console.Dial(f.socket); err != nil {
					return fmt.Errorf("--console-socket: %w", err)
				}
				defer o.Console.Close()
			}
			_, err = s.runtime().Create(args[0], o)
			return err
		}
	}}

// createFlags are those of create and run.
type createFlags struct {
	runtime.CreateOptions
	socket string
}

func (f *createFlags) add(flags *flagSet) {
	flags.StringVarP(&f.Bundle, "bundle", "b", "", "directory of the bundle (default the working directory)")
	flags.StringVar(&f.socket, "console-socket", "", "socket that gets the terminal")
	flags.StringVar(&f.PidFile, "pid-file", "", "file for the process id")
	flags.StringVar(&f.PidfdSocket, "pidfd-socket", "", "socket that gets a pidfd of the process")
	flags.IntVar(&f.PreserveFDs, "preserve-fds", 0, "how many descriptors from 3 on the command gets")
	flags.BoolVar(&f.NoPivot, "no-pivot", false, "chroot instead of pivot_root: unsafe, for a root file system in an initramfs")
	flags.BoolVar(&f.NoNewKeyring, "no-new-keyring", false, "leave the command its parent's session keyring")
	flags.StringVarP(&f.Config, "config", "f", "", "file to read in place of the bundle's config.json")
	flags.Bool("no-subreaper", false, "accepted, as runc's")
}

// options checks the flags, and adds what systemd's socket activation hands down: the descriptors behind the
// standard streams (sd_listen_fds(3)).
func (f *createFlags) options() (runtime.CreateOptions, error) {
	o := f.CreateOptions
	if o.PreserveFDs < 0 {
		return o, fmt.Errorf("--preserve-fds %d: want a number of descriptors", o.PreserveFDs)
	}
	text := os.Getenv("LISTEN_FDS")
	if text == "" {
		return o, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return o, errors.New("LISTEN_FDS: " + strconv.Quote(text) + ": want a number")
	}
	o.PreserveFDs += n
	o.ListenFDs = n
	return o, nil
}
