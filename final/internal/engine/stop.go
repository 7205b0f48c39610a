//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// Kill sends the container's first process a signal.
func (c *Container) Kill(signal unix.Signal) error {
	err := c.kill(signal)
	if err == nil && signal == unix.SIGKILL {
		return c.awaitKilled(killPatience)
	}
	return err
}

func (c *Container) kill(signal unix.Signal) error {
	made, err := c.engine.OCI.Load(c.ID)
	if err == nil {
		err = made.Kill(signal, false)
	}
	if errors.Is(err, runtime.ErrNotExist) || errors.Is(err, ErrNotRunning) {
		return &notRunning{c.Name}
	}
	return err
}

// stopTimeout is how long a container has for its end.
const stopTimeout = 10

// Stop asks the container's first process to end, and makes it when it has not in time: seconds, or if nil those of
// the container; -1 waits for ever. One that does not run is stopped already.
func (c *Container) Stop(signal unix.Signal, seconds *int) error {
	alive, err := c.isMonitored()
	if err != nil || !alive {
		return err
	}
	if err := c.kill(signal); err != nil && !errors.Is(err, ErrNotRunning) {
		return err
	}
	if c.paused() { // a process that is frozen does not notice
		if err := c.thaw(); err != nil {
			return err
		}
	}
	if seconds == nil {
		seconds = c.StopTimeout
	}
	if seconds == nil {
		seconds = new(stopTimeout)
	}
	if *seconds >= 0 && !c.endsWithin(time.Duration(*seconds)*time.Second) {
		if err := c.kill(unix.SIGKILL); err != nil && !errors.Is(err, ErrNotRunning) {
			return err
		}
		return c.awaitKilled(killPatience)
	}
	return c.awaitMonitor()
}

// endsWithin waits for the end of the container's first process.
func (c *Container) endsWithin(patience time.Duration) bool {
	ended, err := c.awaitMonitorUntil(time.Now().Add(patience))
	return ended || err != nil
}

// StopSignal is the one that asks the container to end.
func (c *Container) StopSignal() string {
	if c.Config.StopSignal != "" {
		return c.Config.StopSignal
	}
	return "SIGTERM"
}

// Wait waits for the container's end, and returns its exit code. One that was never started is waited for until
// somebody starts it.
func (c *Container) Wait() (code int, err error) {
	for {
		code, known, err := c.hearExit()
		if err != nil {
			return 0, err
		}
		if err := c.awaitMonitor(); err != nil || known {
			return code, err
		}
		err = c.readState()
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return 0, notFound(c.Name)
		case err != nil:
			return 0, err
		case c.State.active():
			if err := c.settle(); err != nil {
				return 0, err
			}
		case c.State.Status == Exited:
			return c.State.ExitCode, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// hearExit waits for the monitor's word on how the container ended. With --rm it is in no file any more when all is
// cleared away. known is false where there is no monitor, or one that was killed.
func (c *Container) hearExit() (code int, known bool, err error) {
	client, err := c.Attach()
	if errors.Is(err, ErrNotRunning) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	defer client.Close()
	return hearExitFrom(client)
}

func hearExitFrom(client *monitor.Client) (code int, known bool, err error) {
	_ = client.Send(monitor.Quiet) // one that has just ended has said how, all the same
	buffer := make([]byte, monitor.BufferSize)
	for {
		kind, text, err := client.Receive(buffer)
		switch {
		case err != nil:
			return 0, false, nil
		case kind == monitor.Exited:
			code, err = strconv.Atoi(string(text))
			return code, err == nil, err
		}
	}
}

// Pause stops all processes of the container where they are.
func (c *Container) Pause() error { return c.freeze(true) }

// Unpause lets them go on.
func (c *Container) Unpause() error { return c.freeze(false) }

// thaw lets them go on, unless somebody else has, or they have ended.
func (c *Container) thaw() error {
	err := c.Unpause()
	if errors.Is(err, ErrNotRunning) || !c.paused() {
		return nil
	}
	return err
}

func (c *Container) freeze(on bool) error {
	if c.State.active() {
		switch paused := c.paused(); {
		case on && paused:
			return fmt.Errorf("container %s is paused already", c.Name)
		case !on && !paused:
			return fmt.Errorf("container %s is not paused", c.Name)
		}
	}
	made, err := c.engine.OCI.Load(c.ID)
	if err == nil && on {
		err = made.Pause()
	} else if err == nil {
		err = made.Resume()
	}
	switch {
	case errors.Is(err, runtime.ErrNotExist):
		return &notRunning{c.Name}
	case err != nil:
		return fmt.Errorf("container %s: %w", c.Name, err)
	}
	return nil
}

// Pids are the processes of the container, as the host numbers them.
func (c *Container) Pids() ([]int, error) {
	made, err := c.engine.OCI.Load(c.ID)
	if errors.Is(err, runtime.ErrNotExist) {
		return nil, &notRunning{c.Name}
	}
	if err != nil {
		return nil, err
	}
	return made.Pids()
}
