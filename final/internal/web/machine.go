//go:build linux

package web

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/metrics"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// Machine is the source of what is really there: the containers of a runtime, whoever made them. engine, if not nil,
// returns those that an engine knows by names and images, also such as do not run; its ids are the runtime's.
func Machine(r *runtime.Runtime, engine func() ([]Container, error)) Source {
	m := &machine{runtime: r, engine: engine}
	return Source{
		Containers: m.containers, Files: m.files, Namespaces: m.namespaces, Mounts: m.mounts, Processes: m.processes,
		Path: m.path, Calls: m.calls, Blind: m.blind(),
	}
}

type machine struct {
	runtime *runtime.Runtime
	engine  func() ([]Container, error)
	reader  metrics.Reader // of the figures: it keeps files open
}

// blind says what an ordinary user does not see.
func (m *machine) blind() (reasons []string) {
	if os.Geteuid() == 0 {
		return nil
	}
	if err := unix.Access(m.runtime.Root, unix.R_OK|unix.X_OK); err != nil && !errors.Is(err, fs.ErrNotExist) {
		reasons = append(reasons, fmt.Sprintf("not root: the containers in %s cannot be seen (%v)", m.runtime.Root, err))
	}
	return append(reasons,
		"not root: namespaces, mounts and calls of other users' processes cannot be seen; start it with sudo")
}

// containers are all that there are, those that are gone meanwhile left out.
func (m *machine) containers() (list []Container, err error) {
	if m.engine != nil {
		if list, err = m.engine(); err != nil {
			return nil, err
		}
	}
	all, err := m.runtime.List()
	if errors.Is(err, fs.ErrPermission) {
		return list, nil // blind has said it
	}
	if err != nil {
		return list, err
	}
	var targets []metrics.Target
	for _, c := range all {
		state, err := c.State()
		if err != nil {
			continue
		}
		list = merge(list, state)
		if state.Pid != 0 {
			targets = append(targets, metrics.Target{ID: c.ID, Pid: c.Pid, Cgroups: c.Cgroups, Created: c.Created})
		}
	}
	samples, err := m.reader.All(targets) // an error is that of some; the others have figures
	for _, sample := range samples {
		list[find(list, sample.ID)].Figures = plotted(sample.Figures)
	}
	slices.SortFunc(list, func(a, b Container) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return list, err
}

// merge adds a container of the runtime to the list, or what the runtime knows of one that is there already.
func merge(list []Container, state *runtime.State) []Container {
	if i := find(list, state.ID); i >= 0 {
		list[i].Status, list[i].Pid = string(state.Status), state.Pid
		return list
	}
	name, image := named(state)
	return append(list, Container{
		ID: state.ID, Name: name, Image: image, Status: string(state.Status), Since: state.Created, Pid: state.Pid,
	})
}

func find(list []Container, id string) int {
	return slices.IndexFunc(list, func(c Container) bool { return c.ID == id })
}

// Engines write into the annotations what they call a container and its image.
var (
	nameKeys = []string{
		"io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName",
		"io.kubernetes.container.name",
	}
	imageKeys = []string{
		"org.opencontainers.image.ref.name", "io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName",
		"io.kubernetes.cri-o.Image",
	}
)

// named finds words for a container: its engine's, or else its id and the directory of its bundle.
func named(s *runtime.State) (name, image string) {
	pick := func(keys []string, otherwise string) string {
		for _, key := range keys {
			if s.Annotations[key] != "" {
				return s.Annotations[key]
			}
		}
		return otherwise
	}
	name = s.ID
	if len(name) == 64 { // an engine's id, and twelve digits tell it apart
		name = name[:12]
	}
	return pick(nameKeys, name), pick(imageKeys, filepath.Base(s.Bundle))
}

// errEnded is what there is to see of a container that an engine remembers.
var errEnded = errors.New("it does not run: there is no process to look at")

// find returns a container and its first process.
func (m *machine) find(id string) (c *runtime.Container, pid int, err error) {
	c, err = m.runtime.Load(id)
	if errors.Is(err, runtime.ErrNotExist) {
		return nil, 0, errEnded
	}
	if err != nil {
		return nil, 0, err
	}
	state, err := c.State()
	if err != nil {
		return nil, 0, err
	}
	if state.Pid == 0 {
		return nil, 0, errEnded
	}
	return c, state.Pid, nil
}

// proc is the path of a process's file.
func proc(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
