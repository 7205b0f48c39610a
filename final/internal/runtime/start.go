//go:build linux

package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// listen makes the socket at which a created container waits to be started. Its path goes through a
// descriptor of the directory, since a socket's address has room for 107 bytes (unix(7)).
func listen(dir string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	socket := os.NewFile(uintptr(fd), startFile)
	err = at(dir, func(path string) error {
		if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path + "/" + startFile}); err != nil {
			return fmt.Errorf("bind %s/%s: %w", dir, startFile, err)
		}
		return unix.Listen(fd, 8)
	})
	if err != nil {
		socket.Close()
		return nil, err
	}
	return socket, nil
}

// at gives a directory a short path for the time of a call.
func at(dir string, call func(path string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", dir, err)
	}
	defer unix.Close(fd)
	return call(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// Start has a created container execute its command. If a hook fails, the container is destroyed, as the
// specification wants it (runtime.md, lifecycle).
func (c *Container) Start() error {
	held, err := c.runtime.lock(c.ID)
	if err != nil {
		return err
	}
	defer held.Close()
	if err := c.read(); err != nil { // it may have changed before we had the lock
		return err
	}
	if !c.Complete { // and waits perhaps, with its hooks half run
		return fmt.Errorf("container %q: cannot start a container whose creation was ended half-way: %w", c.ID, ErrNotRunning)
	}
	if c.Bare {
		return fmt.Errorf("container %q: process: not set: there is nothing to start", c.ID)
	}
	if frozen, err := c.group().Frozen(); err == nil && frozen && exists(c.path(startFile)) {
		return fmt.Errorf("container %q: cannot start a paused container: resume it first", c.ID)
	}
	connection, err := c.connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := c.startHooks(connection); err != nil {
		return errors.Join(err, c.destroy())
	}
	c.Late.explain(c.runtime.Door.Explain)
	err = c.awaitExec(connection)
	_ = os.Remove(c.path(startFile)) // gone already if the container was deleted meanwhile
	if err != nil {
		return errors.Join(err, c.kill()) // it has ended, or is about to
	}
	if err := c.runHooks("poststart", c.hooks().Poststart, Running); err != nil {
		return errors.Join(err, c.destroy())
	}
	return nil
}

// awaitExec gives the word to go, and waits until the command runs: execve closes the connection.
func (c *Container) awaitExec(connection *os.File) error {
	for {
		gone := send(connection, plan.Go)
		message, files, err := receiveFiles(connection, c.Late.list()) // it may have reported something before it went
		switch {
		case errors.Is(err, errEnded) && gone != nil, errors.Is(err, errUnread):
			return fmt.Errorf("container %q: %w", c.ID, ErrNotRunning)
		case errors.Is(err, errEnded):
			return nil
		case err != nil:
			return err
		}
		s, err := c.spec()
		if err != nil {
			return err
		}
		pidfd, err := unix.PidfdOpen(c.Pid, 0)
		if err != nil {
			return fmt.Errorf("pidfd_open %d: %w", c.Pid, err)
		}
		file := os.NewFile(uintptr(pidfd), "pidfd")
		err = c.passListener(file, c.Pid, message, files, s)
		file.Close()
		if err != nil {
			return err
		}
	}
}

// connect reaches the container side where it waits.
func (c *Container) connect() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	err = at(c.dir, func(path string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: path + "/" + startFile})
	})
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), startFile), nil
	case errors.Is(err, unix.ECONNREFUSED): // nobody listens any more
		err = fmt.Errorf("cannot start a container that has stopped: %w", ErrNotRunning)
	case errors.Is(err, fs.ErrNotExist):
		err = errors.New("cannot start a container that has been started")
	}
	unix.Close(fd)
	return nil, fmt.Errorf("container %q: %w", c.ID, err)
}

// late notes what a plan's last ops mean, those after the wait for start.
func late(list *op.List) Late {
	l := Late{Ops: len(list.Ops)}
	waited := false
	for _, o := range list.Ops {
		waited = waited || o.Label == plan.WaitLabel
		if waited {
			l.Words, l.Shell = append(l.Words, o.Words()), append(l.Shell, o.Shell)
		}
	}
	return l
}

// explain says the calls that are left.
func (l Late) explain(out io.Writer) {
	if out == nil {
		return
	}
	fmt.Fprintln(out, "in the container:")
	for i, words := range l.Words {
		fmt.Fprintln(out, "    "+words)
		if l.Shell[i] != "" {
			fmt.Fprintln(out, "      $ "+l.Shell[i])
		}
	}
}

// list is the plan again, as far as it is known.
func (l Late) list() *op.List {
	list := &op.List{Ops: make([]op.Op, l.Ops)}
	for i, words := range l.Words {
		list.Ops[l.Ops-len(l.Words)+i].Means = words
	}
	return list
}
