//go:build linux

package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// The errors that callers tell apart.
var (
	ErrRunning    = errors.New("it is running already")
	ErrNotRunning = runtime.ErrNotRunning
)

// notRunning is ErrNotRunning of a container that has a name.
type notRunning struct{ name string }

func (e *notRunning) Error() string { return "container " + e.name + " is not running" }

func (e *notRunning) Unwrap() error { return ErrNotRunning }

// Start starts a container. With streams to attach, the client that it returns was there before the command began, so
// that it misses nothing; [Container.Attend] connects both. A *monitor.Failure says that the container was made and its
// command could not begin.
func (c *Container) Start(attach *Streams) (client *monitor.Client, err error) {
	held, run, err := c.lockIdle()
	if err != nil {
		return nil, err
	}
	client, err = c.launch(attach, run)
	closeAll(held, run)
	if err != nil {
		// The monitor clears away, for which it needs the lock that we had.
		return nil, errors.Join(err, c.awaitMonitor())
	}
	return client, nil
}

// lockIdle locks a container that does not run: its directory, and the place of its monitor.
func (c *Container) lockIdle() (held, run *os.File, err error) {
	for {
		if held, err = c.lock(); err != nil {
			return nil, nil, err
		}
		if err := c.makeRun(); err != nil {
			closeAll(held)
			return nil, nil, err
		}
		alive, run, err := c.monitored()
		switch {
		case err == nil && run != nil:
			// Those who share it only look: we have the container's lock, without which nobody starts it.
			if err := errors.Join(flock(run, unix.LOCK_EX), c.prepareIdle()); err != nil {
				closeAll(held, run)
				return nil, nil, err
			}
			return held, run, nil
		case err == nil && alive:
			if c.State.active() {
				closeAll(held)
				return nil, nil, fmt.Errorf("container %s: %w", c.Name, ErrRunning)
			}
		}
		closeAll(held)
		if err == nil { // its monitor is just clearing away
			err = c.awaitMonitor()
		}
		if err != nil {
			return nil, nil, err
		}
	}
}

// prepareIdle clears away what the last run has left, if that was ended half-way.
func (c *Container) prepareIdle() error {
	if c.unfinished() {
		if err := c.recover(); err != nil {
			return err
		}
	}
	return nil
}

// makeRun makes the place of the container's monitor. Somebody who cleans may remove what is above it meanwhile.
func (c *Container) makeRun() error {
	for {
		if err := os.MkdirAll(c.engine.Run, 0o700); err != nil {
			return err
		}
		err := os.Mkdir(c.engine.runDir(c.ID), 0o700)
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// launch starts the monitor and has it start the container. From the moment on that it has been told so, it is the
// monitor's to clear away.
func (c *Container) launch(attach *Streams, run *os.File) (client *monitor.Client, err error) {
	before := c.State
	c.State.Status, c.State.Error = Starting, ""
	if err := c.writeState(); err != nil {
		return nil, err
	}
	options := monitor.Options{
		ID: c.ID, Dir: c.dir, Run: run.Name(), Lock: run, Program: c.engine.Program,
		Terminal: c.Options.Terminal, Stdin: c.Options.Stdin, Once: c.Once,
	}
	if file, ok := c.engine.Door.Explain.(*os.File); ok {
		options.Explain = file
	}
	s, err := monitor.Start(options)
	if err != nil {
		c.State = before
		return nil, errors.Join(err, c.writeState())
	}
	defer s.Close()
	if attach != nil {
		if client, err = monitor.Attach(run.Name()); err != nil {
			return nil, err
		}
		attach.resize(client) // the command finds its terminal as large as ours from the beginning
	}
	if err = s.Go(); err == nil {
		err = s.Wait()
	}
	if err == nil {
		err = c.readState()
	}
	if err != nil && client != nil {
		client.Close()
	}
	return client, err
}

// noteEnd writes down how the container ended.
func (c *Container) noteEnd() error {
	if err := c.readState(); err != nil { // with what the monitor has noted
		return err
	}
	if c.State.active() {
		c.State = c.State.after(monitor.Exit{Code: Unknown, Time: time.Now().UTC()})
	}
	if err := c.writeState(); err != nil {
		return err
	}
	err := os.Remove(c.path(monitor.ExitFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forgetRun removes what was only for a container that runs. The directory goes when the container does: somebody
// may just be waiting for its lock.
func (c *Container) forgetRun() error {
	err := os.Remove(c.engine.runDir(c.ID) + "/" + monitor.AttachFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// FailureCode is the exit code for a container whose command could not begin, as Docker has it: 127 for one that is
// not there, 126 for one that cannot be executed, 125 for all else. The runtime's words are what all engines go by.
func FailureCode(err error) int {
	text := err.Error()
	if !strings.Contains(text, `exec: "`) && !strings.HasPrefix(text, "exec ") { // it was looked for, or executed
		return 125
	}
	for _, missing := range []error{unix.ENOENT, unix.ENOTDIR, errors.New("executable file not found")} {
		if strings.Contains(text, missing.Error()) {
			return 127
		}
	}
	return 126
}
