//go:build linux

package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/decode"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// State is what `state` and `list` print: the state of the specification, and what runc adds to it.
type State struct {
	Version     string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"` // 0 when stopped
	Status      Status            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// A Status is where a container is in its life.
type Status string

const (
	Creating Status = "creating"
	Created  Status = "created" // everything is done but the start
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

const (
	stateFile  = "state.json"
	configFile = "config.json"
	startFile  = "start.sock" // it is there as long as the container waits to be started
)

func (c *Container) path(name string) string { return filepath.Join(c.dir, name) }

func (c *Container) read() error {
	text, err := kernel.Contents(c.path(stateFile))
	if err != nil {
		return err
	}
	var state record
	if !decode.Read(text, &state, recordFields.Read) {
		state = record{} // it has read a part
		if err := json.Unmarshal(text, &state); err != nil {
			return fmt.Errorf("read %s: %w", c.path(stateFile), err)
		}
	}
	c.record = state
	return nil
}

// write replaces state.json as a whole: a reader sees the old one or the new one.
func (c *Container) write() error {
	text, err := c.record.json()
	if err != nil {
		return err
	}
	return writeFile(c.path(stateFile), text, 0o600)
}

// writeFile writes a file beside its place and moves it there.
func writeFile(path string, text []byte, mode uint32) (err error) {
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	defer func() {
		if err != nil {
			_ = os.Remove(beside) // it may not be there
		}
	}()
	if err := kernel.WriteFile(beside, text, mode); err != nil {
		return err
	}
	if err := unix.Rename(beside, path); err != nil {
		return fmt.Errorf("rename %s %s: %w", beside, path, err)
	}
	return nil
}

// spec reads the container's config.json, as it was when it was created.
func (c *Container) spec() (*specs.Spec, error) {
	text, err := kernel.Contents(c.path(configFile))
	if err != nil {
		return nil, err
	}
	s := &specs.Spec{}
	if err := decode.Decode(text, s); err != nil {
		return nil, fmt.Errorf("read %s: %w", c.path(configFile), err)
	}
	if s.Process == nil {
		s.Process = nobody()
	}
	return s, nil
}

// alive tells whether the container's first process has not ended: the one that we started, and not another
// that got its pid.
func (c *Container) alive() bool {
	if c.Pid == 0 {
		return false
	}
	now, err := kernel.Stat(c.Pid)
	return err == nil && now.Start == c.Born && now.Alive()
}

// group returns the container's cgroup.
func (c *Container) group() *cgroup.Group { return cgroup.Load(c.Cgroups, c.Systemd) }

// Status asks the kernel where the container is in its life.
func (c *Container) Status() (Status, error) {
	if !c.Complete && busy(c.dir) {
		return Creating, nil
	}
	if !c.Complete && (c.read() != nil || !c.Complete) || !c.alive() { // it may be complete since we have read it
		return Stopped, nil
	}
	frozen, err := c.group().Frozen()
	switch {
	case err != nil && c.alive():
		return "", err
	case err != nil: // it ended while we looked
		return Stopped, nil
	case frozen: // also one that waits to be started, and now cannot
		return Paused, nil
	case c.waits():
		return Created, nil
	}
	return Running, nil
}

// waits tells whether the container side waits to be started: whether somebody listens at its socket. The file
// alone does not say it; it stays if `start` is ended before it has removed it. So one of another type knocks:
// the kernel turns it away (EPROTOTYPE, connect(2)), and whoever listens, frozen perhaps, is not bothered.
func (c *Container) waits() bool {
	if !exists(c.path(startFile)) {
		return false
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	err = at(c.dir, func(path string) error {
		return unix.Connect(fd, &unix.SockaddrUnix{Name: path + "/" + startFile})
	})
	return errors.Is(err, unix.EPROTOTYPE)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// State returns all there is to say of the container.
func (c *Container) State() (*State, error) {
	status, err := c.Status()
	if err != nil {
		return nil, err
	}
	return c.stateAs(status), nil
}

func (c *Container) stateAs(status Status) *State {
	state := &State{
		Version: specs.Version, ID: c.ID, Status: status, Bundle: c.Bundle, Rootfs: c.Rootfs, Created: c.Created,
		Annotations: c.Annotations, Owner: owner(c.dir),
	}
	if status != Stopped {
		state.Pid = c.Pid
	}
	return state
}

// owner is the name of whoever made the container.
func owner(dir string) string {
	var stat unix.Stat_t
	if err := unix.Stat(dir, &stat); err != nil {
		return ""
	}
	if stat.Uid == 0 {
		return "root" // and no file need be read
	}
	id := strconv.Itoa(int(stat.Uid))
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

// Process is the container's first process as its config.json has it, for another one like it.
func (c *Container) Process() (*specs.Process, error) {
	s, err := c.spec()
	if err != nil {
		return nil, err
	}
	return s.Process, nil
}
