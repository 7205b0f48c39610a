//go:build linux

package lab

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func runNohup(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: nohup COMMAND [ARG...]")
	}
	signal.Ignore(unix.SIGHUP) // an ignored signal stays ignored across execve
	return c.become(c.args, os.Environ())
}

func runSetsid(c *call) error {
	o, err := c.options("+cw", "ctty=c", "wait=w")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: setsid [-cw] COMMAND [ARG...]")
	}
	if unix.Getpgrp() != os.Getpid() {
		if _, err := unix.Setsid(); err != nil {
			return fmt.Errorf("setsid: %w", err)
		}
		if o.has('c') {
			if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 1); err != nil {
				return fmt.Errorf("TIOCSCTTY: %w", err)
			}
		}
		return c.become(o.rest, os.Environ())
	}
	// A group leader cannot start a session: a child has to.
	cmd, err := c.start(o.rest, &syscall.SysProcAttr{Setsid: true, Setctty: o.has('c')})
	if err != nil || !o.has('w') {
		return err
	}
	return ended(cmd)
}

func runNice(c *call) error {
	o, err := c.options("+n:")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		// The system call returns 20 minus the nice value (getpriority(2)).
		value, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
		if err != nil {
			return err
		}
		c.println(20 - value)
		return nil
	}
	n, err := o.int('n', 10)
	if err != nil {
		return err
	}
	// Every thread has its own value in Linux; the one that executes the command counts.
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), n); err != nil {
		return fmt.Errorf("setpriority %d: %w", n, err)
	}
	return c.become(o.rest, os.Environ())
}

func runXargs(c *call) error {
	o, err := c.options("+0n:I:r")
	if err != nil {
		return err
	}
	command := o.rest
	if len(command) == 0 {
		command = []string{"echo"}
	}
	input, err := io.ReadAll(bufio.NewReader(c.in))
	if err != nil {
		return err
	}
	var items []string
	switch {
	case o.has('0'):
		items = strings.Split(strings.TrimSuffix(string(input), "\x00"), "\x00")
	case o.has('I'):
		items = strings.Split(strings.TrimSuffix(string(input), "\n"), "\n")
	default:
		items = strings.Fields(string(input))
	}
	each, err := o.int('n', max(len(items), 1))
	if err != nil || each < 1 {
		return usagef("option '-n' needs a number above 0")
	}
	if o.has('I') {
		each = 1
	}
	if len(items) == 0 && o.has('r') {
		return nil
	}
	for first := true; first || len(items) > 0; first = false {
		n := min(each, len(items))
		args := slices.Concat(command, items[:n])
		if text := o.value('I', ""); text != "" && n == 1 {
			args = slices.Clone(command)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], text, items[0])
			}
		}
		items = items[n:]
		cmd, err := c.start(args, nil)
		if err != nil {
			return err
		}
		if ended(cmd) != nil {
			c.status = 123
		}
	}
	return nil
}

func runTime(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: time COMMAND [ARG...]")
	}
	began := time.Now()
	cmd, err := c.start(c.args, nil)
	if err != nil {
		return err
	}
	result := ended(cmd)
	fmt.Fprintf(c.err, "real\t%.3fs\nuser\t%.3fs\nsys\t%.3fs\n", time.Since(began).Seconds(),
		cmd.ProcessState.UserTime().Seconds(), cmd.ProcessState.SystemTime().Seconds())
	return result
}

func runWatch(c *call) error {
	o, err := c.options("+n:")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: watch [-n SECONDS] COMMAND [ARG...]")
	}
	every, err := o.duration('n', 2*time.Second)
	if err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	for ctx.Err() == nil {
		text := strings.Join(o.rest, " ")
		output, _ := exec.CommandContext(ctx, "sh", "-c", text).CombinedOutput() // a failure is in the output
		c.printf("%sEvery %v: %s\n\n%s", clearScreen, every, text, output)
		if err := c.out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(every):
		}
	}
	return nil
}
