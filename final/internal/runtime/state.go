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

// record is what state.json remembers. What can be asked of the kernel is not in it.
type record struct {
	ID      string            `json:"id"`
	Bundle  string            `json:"bundle"`
	Rootfs  string            `json:"rootfs"`
	Created time.Time         `json:"created"`
	Pid     int               `json:"pid"`  // of the container's first process; 0 before it exists
	Born    uint64            `json:"born"` // when that began (kernel.ProcessStat): then the pid is still its own
	Cgroups map[string]string `json:"cgroups"`
	Beneath uint64            `json:"beneath,omitempty"` // what its mounts are on (mount.go)
	Systemd string            `json:"systemd,omitempty"` // the unit, if systemd made the cgroup
	Late    Late              `json:"late"`

	NoNewKeyring bool `json:"noNewKeyring,omitempty"` // its processes keep their caller's

	// Of the spec, what start, state and delete need: to read the whole takes longer than all they do.
	Annotations map[string]string `json:"annotations,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	Bare        bool              `json:"bare,omitempty"` // no process: it can be created, and not started

	Complete bool `json:"complete"` // create has come to its end
}

// recordFields are those of a record, for package decode: start and delete do little else than to read it.
var recordFields = decode.Fields[record]{
	{Name: "id", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.ID) }},
	{Name: "bundle", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Bundle) }},
	{Name: "rootfs", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Rootfs) }},
	{Name: "created", Read: func(r *decode.Reader, v *record) { readTime(r, &v.Created) }},
	{Name: "pid", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Pid) }},
	{Name: "born", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Born) }},
	{Name: "cgroups", Read: func(r *decode.Reader, v *record) { decode.Map(r, &v.Cgroups, decode.Text) }},
	{Name: "beneath", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Beneath) }},
	{Name: "systemd", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Systemd) }},
	{Name: "late", Read: func(r *decode.Reader, v *record) { lateFields.Read(r, &v.Late) }},
	{Name: "noNewKeyring", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.NoNewKeyring) }},
	{Name: "annotations", Read: func(r *decode.Reader, v *record) { decode.Map(r, &v.Annotations, decode.Text) }},
	{Name: "hooks", Read: func(r *decode.Reader, v *record) { decode.Pointer(r, &v.Hooks, decode.Hooks.Read) }},
	{Name: "bare", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.Bare) }},
	{Name: "complete", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.Complete) }},
}

var lateFields = decode.Fields[Late]{
	{Name: "ops", Read: func(r *decode.Reader, v *Late) { decode.Number(r, &v.Ops) }},
	{Name: "words", Read: func(r *decode.Reader, v *Late) { decode.List(r, &v.Words, decode.Text) }},
	{Name: "shell", Read: func(r *decode.Reader, v *Late) { decode.List(r, &v.Shell, decode.Text) }},
}

func readTime(r *decode.Reader, v *time.Time) {
	var text string
	decode.Text(r, &text)
	if err := v.UnmarshalText([]byte(text)); err != nil {
		r.Unsure()
	}
}

// Late is what start must know of the plan: what it means if an op fails that comes after the wait for start.
type Late struct {
	Ops   int      `json:"ops"`   // that the plan has
	Words []string `json:"words"` // of the last ones
	Shell []string `json:"shell"` // the commands that would do the same, for --explain
}

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
	text, err := json.Marshal(c.record)
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
	if s.Process == nil {
		return nobody(), nil
	}
	return s.Process, nil
}
