//go:build linux

package main

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

var killVerb = verb{"kill ID [SIGNAL]", "Send a signal to a container, SIGTERM if none is named", 1, 2,
	func(flags *flagSet) func(*session, []string) error {
		all := flags.BoolP("all", "a", false, "to all its processes, not only the first")
		regex := flags.BoolP("regex", "r", false, "ID is a regular expression: every container whose id it matches")
		return func(s *session, args []string) error {
			signal := unix.SIGTERM
			if len(args) > 1 {
				var err error
				if signal, err = parseSignal(args[1]); err != nil {
					return err
				}
			}
			return s.each(args[0], *regex, func(id string) error {
				c, err := s.runtime().Load(id)
				if err != nil {
					return err
				}
				return c.Kill(signal, *all)
			})
		}
	}}

// parseSignal knows 9, KILL, SIGKILL and sigkill, and RTMIN+3, which stops a systemd (signal(7): the C library
// keeps the first two of the kernel's real-time signals for itself).
func parseSignal(text string) (unix.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n <= 64 {
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if signal := unix.SignalNum(name); signal != 0 {
		return signal, nil
	}
	for from, base := range map[string]int{"SIGRTMIN": 34, "SIGRTMAX": 64} {
		offset, ok := strings.CutPrefix(name, from)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(offset) // +3, -1
		if signal := base + n; (offset == "" || err == nil) && signal >= 34 && signal <= 64 {
			return unix.Signal(signal), nil
		}
	}
	return 0, fmt.Errorf("signal %q: unknown", text)
}
