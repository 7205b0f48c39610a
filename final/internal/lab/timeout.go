//go:build linux

package lab

import (
	"time"

	"golang.org/x/sys/unix"
)

func runSleep(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: sleep SECONDS...")
	}
	var total time.Duration
	for _, arg := range c.args {
		if arg == "infinity" || arg == "inf" {
			total = 1 << 62
			break
		}
		d, err := parseDuration(arg)
		if err != nil {
			return err
		}
		total += d
	}
	// One thread in nanosleep(2), no timers: a sleep is what lessons look at with ps, strace and /proc.
	left := unix.NsecToTimespec(int64(total))
	for {
		rest := unix.Timespec{}
		if err := unix.Nanosleep(&left, &rest); err != unix.EINTR {
			return nil
		}
		left = rest
	}
}

func runTimeout(c *call) error {
	o, err := c.options("+s:k:", "signal=s", "kill-after=k")
	if err != nil {
		return err
	}
	if len(o.rest) < 2 {
		return usagef("usage: timeout [-s SIGNAL] [-k SECONDS] SECONDS COMMAND [ARG...]")
	}
	limit, err := parseDuration(o.rest[0])
	if err != nil {
		return err
	}
	sig, err := parseSignal(o.value('s', "TERM"))
	if err != nil {
		return err
	}
	after, err := o.duration('k', 0)
	if err != nil {
		return err
	}
	cmd, err := c.start(o.rest[1:], nil)
	if err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // the state says all
		close(done)
	}()
	select {
	case <-done:
		return exitCode(codeOf(cmd.ProcessState))
	case <-time.After(limit):
	}
	_ = cmd.Process.Signal(sig) // it may have ended just now
	if after > 0 {
		select {
		case <-done:
		case <-time.After(after):
			_ = cmd.Process.Kill()
			<-done
			return exitCode(137)
		}
	}
	<-done
	if sig == unix.SIGKILL {
		return exitCode(137)
	}
	return exitCode(124)
}
