//go:build linux

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// A Record is container.json: what was asked for. What becomes of the container is not in it.
type Record struct {
	ID      string
	Name    string
	Created time.Time
	Image   string   // as it was asked for
	ImageID string   // empty with Rootfs
	Layers  []string // directories, the lowest first
	Rootfs  string   // the directory of --rootfs

	Options ocispec.Options
	Config  ocispec.Config  // the options over the image's
	Mounts  []ocispec.Mount // each volume with its name and directory
	Wishes  Wishes          // of its connection

	Once        bool // the standard input ends with the client that ends it
	AutoRemove  bool // --rm
	StopTimeout *int // seconds; nil for the usual
}

// A Status is where a container is in its life.
type Status string

const (
	Created  Status = "created"
	Starting Status = "starting" // a command is at it, or was killed at it
	Running  Status = "running"
	Paused   Status = "paused"
	Exited   Status = "exited"
)

// A State is state.json.
type State struct {
	Status     Status
	Pid        int // of the first process; 0 when it does not run
	Monitor    int // the pid of the monitor; the same
	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int
	OOMKilled  bool
	Error      string // why it was not started
	AutoRemove bool   // as the record's: to list the others, that need not be read

	Cgroups    map[string]string   // of the runtime's container
	Connection *network.Connection // nil without one

	noted bool // the end is the monitor's note still, and not in state.json
}

const (
	recordFile = "container.json"
	stateFile  = "state.json"
)

// Unknown is the exit code of a container whose monitor was killed: nobody saw its end.
const Unknown = monitor.Unknown

// readRecord and readState read what the container's files say.
func (c *Container) readRecord() error { return readJSON(c.path(recordFile), &c.Record) }

// readState also knows an end that the monitor has noted and nobody has dealt with yet.
func (c *Container) readState() error {
	c.State = State{}
	if err := readJSON(c.path(stateFile), &c.State); err != nil {
		return err
	}
	if !c.State.active() {
		return nil
	}
	exit, ended, err := monitor.ReadExit(c.dir)
	if ended {
		c.State = c.State.after(exit)
		c.State.noted = true
	}
	return err
}

// active tells whether there is, or should be, a monitor.
func (s State) active() bool {
	return s.Status == Running || s.Status == Paused || s.Status == Starting
}

// after is the state once the container has ended.
func (s State) after(exit monitor.Exit) State {
	s.Status, s.Pid, s.Monitor = Exited, 0, 0
	s.ExitCode, s.FinishedAt, s.OOMKilled = exit.Code, exit.Time, exit.OOM
	return s
}

func (c *Container) writeState() error { return writeJSON(c.path(stateFile), c.State) }

func readJSON(path string, to any) error {
	text, err := kernel.ReadFile(path) // in fewer calls than package os: there may be a thousand containers
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file as a whole: a reader sees the old one or the new one. Nobody waits for the disk: what was
// written right before a power cut may be lost, as the container is.
func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return writeFile(path, append(text, '\n'), 0o600)
}

func writeFile(path string, text []byte, mode fs.FileMode) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name()) // what is reported is why it was not renamed
		}
	}()
	_, err = file.Write(text)
	// Without Sync a power cut could leave the new name with nothing in it.
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
