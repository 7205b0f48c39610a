//go:build linux

package lab

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

func (s *shell) umaskBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	if len(args) == 0 {
		mask := unix.Umask(0)
		unix.Umask(mask)
		fmt.Fprintf(hc.Stdout, "%04o\n", mask)
		return nil
	}
	mask, err := strconv.ParseUint(args[0], 8, 12)
	if err != nil {
		return s.failed(hc, "umask", fmt.Errorf("%q is not an octal mode", args[0]))
	}
	unix.Umask(int(mask))
	return nil
}

var limits = []struct {
	letter   byte
	resource int
	unit     uint64
	name     string
}{
	{'c', unix.RLIMIT_CORE, 512, "core file size (blocks)"},
	{'d', unix.RLIMIT_DATA, 1024, "data seg size (kb)"},
	{'f', unix.RLIMIT_FSIZE, 512, "file size (blocks)"},
	{'l', unix.RLIMIT_MEMLOCK, 1024, "locked memory (kb)"},
	{'n', unix.RLIMIT_NOFILE, 1, "open files"},
	{'s', unix.RLIMIT_STACK, 1024, "stack size (kb)"},
	{'t', unix.RLIMIT_CPU, 1, "cpu time (seconds)"},
	{'u', unix.RLIMIT_NPROC, 1, "processes"},
	{'v', unix.RLIMIT_AS, 1024, "virtual memory (kb)"},
}

func (s *shell) ulimitBuiltin(_ context.Context, hc interp.HandlerContext, args []string) error {
	letter, hard := byte('f'), false
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		for _, l := range []byte(args[0][1:]) {
			switch l {
			case 'S':
			case 'H':
				hard = true
			default:
				letter = l
			}
		}
		args = args[1:]
	}
	known := false
	for _, l := range limits {
		if letter != 'a' && letter != l.letter {
			continue
		}
		known = true
		// syscall's, not unix's: the Go runtime raised RLIMIT_NOFILE at start and gives children the old
		// value back, until it is set through here.
		var limit syscall.Rlimit
		err := syscall.Getrlimit(l.resource, &limit)
		if err != nil {
			return s.failed(hc, "ulimit", err)
		}
		if letter == 'a' {
			fmt.Fprintf(hc.Stdout, "%-26s (-%c) ", l.name, l.letter)
		}
		if letter == 'a' || len(args) == 0 {
			printLimit(hc.Stdout, limit, hard, l.unit)
			continue
		}
		if limit.Cur, err = parseLimit(args[0], l.unit); err != nil {
			return s.failed(hc, "ulimit", err)
		}
		if hard || limit.Cur > limit.Max {
			limit.Max = limit.Cur
		}
		if err := syscall.Setrlimit(l.resource, &limit); err != nil {
			return s.failed(hc, "ulimit", fmt.Errorf("%s %s: %w", l.name, args[0], err))
		}
	}
	if !known {
		return s.failed(hc, "ulimit", fmt.Errorf("unrecognized option '-%c'", letter))
	}
	return nil
}

const unlimited = ^uint64(0) // RLIM_INFINITY

func parseLimit(text string, unit uint64) (uint64, error) {
	if text == "unlimited" {
		return unlimited, nil
	}
	n, err := strconv.ParseUint(text, 10, 50)
	if err != nil {
		return 0, fmt.Errorf("%q is not a number", text)
	}
	return n * unit, nil
}

func printLimit(w io.Writer, limit syscall.Rlimit, hard bool, unit uint64) {
	value := limit.Cur
	if hard {
		value = limit.Max
	}
	if value == unlimited {
		fmt.Fprintln(w, "unlimited")
		return
	}
	fmt.Fprintln(w, value/unit)
}
