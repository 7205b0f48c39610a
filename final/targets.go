//go:build linux && !engine

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/metrics"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// targets are the containers that run, by name: those of the runtime, whoever made them.
func (s *session) targets() ([]metrics.Target, error) { return s.listTargets(false) }

// allTargets are also those that do not run.
func (s *session) allTargets() ([]metrics.Target, error) { return s.listTargets(true) }

func (s *session) listTargets(all bool) (targets []metrics.Target, err error) {
	list, err := s.runtime().List()
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if t, ok := targetOf(c); ok && (all || !t.Stopped()) {
			targets = append(targets, t)
		}
	}
	targets = withNames(targets, s.engineTargets(all), all)
	slices.SortFunc(targets, func(a, b metrics.Target) int { return strings.Compare(a.Name, b.Name) })
	return targets, nil
}

// withNames gives the runtime's containers the names and images that the engine knows. To the runtime the engine's are
// not until they run, and not from their end on, which their records may not know of yet.
func withNames(targets []metrics.Target, known map[string]metrics.Target, all bool) []metrics.Target {
	for i, t := range targets {
		if k, ok := known[t.ID]; ok {
			targets[i].Name, targets[i].Image = k.Name, k.Image
			delete(known, t.ID)
		}
	}
	if !all {
		return targets
	}
	return slices.AppendSeq(targets, maps.Values(known))
}

// engineTargets are the engine's containers, which have names and images: none for another root than the engine's.
func (s *session) engineTargets(all bool) map[string]metrics.Target {
	known := map[string]metrics.Target{}
	if s.root != kernel.OCIStateDir {
		return known
	}
	list, _ := s.engine().List(engine.ListOptions{All: all}) // who cannot be named is measured all the same
	for _, c := range list {
		status := string(c.State.Status)
		switch c.State.Status {
		case engine.Exited:
			status = string(runtime.Stopped)
		case engine.Starting:
			status = string(runtime.Created)
		}
		known[c.ID] = metrics.Target{ID: c.ID, Name: c.Name, Image: c.Image, Created: c.Created, Status: status}
	}
	return known
}

// runs tells whether there is something to look at: one of the engine's that was only made is not stopped, and the
// runtime knows nothing of it.
func runs(t metrics.Target) bool { return !t.Stopped() && (t.Pid != 0 || len(t.Cgroups) > 0) }

// exitCode is how the engine says that a container has ended, nil if it does not.
func (s *session) exitCode(t metrics.Target) *int {
	c, err := s.engine().Find(t.ID)
	if err != nil || c.State.Status != engine.Exited || c.State.ExitCode == engine.Unknown {
		return nil
	}
	return &c.State.ExitCode
}

// targetOf is false for a container that is being made, or vanishes while we look.
func targetOf(c *runtime.Container) (t metrics.Target, ok bool) {
	status, err := c.Status()
	if err != nil || status == runtime.Creating {
		return t, false
	}
	t = metrics.Target{
		ID: c.ID, Name: c.ID, Image: imageOf(c.Annotations), Cgroups: c.Cgroups, Created: c.Created,
		Status: string(status),
	}
	if !t.Stopped() {
		t.Pid = c.Pid
	}
	return t, true
}

// imageOf is what engines say of the image, which the runtime does not need to know.
func imageOf(annotations map[string]string) string {
	for _, key := range []string{"io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"} {
		if image := annotations[key]; image != "" {
			return image
		}
	}
	return ""
}

// named picks containers by name or id, or by the beginning of an id that only one has; all of them without
// names.
func named(targets []metrics.Target, names []string) (picked []metrics.Target, err error) {
	if len(names) == 0 {
		return targets, nil
	}
	for _, name := range names {
		i := slices.IndexFunc(targets, func(t metrics.Target) bool { return t.Name == name || t.ID == name })
		if i < 0 {
			begins := func(t metrics.Target) bool { return name != "" && strings.HasPrefix(t.ID, name) }
			if i = slices.IndexFunc(targets, begins); i >= 0 && slices.ContainsFunc(targets[i+1:], begins) {
				return nil, fmt.Errorf("container %q: more than one id begins so", name)
			}
		}
		if i < 0 {
			return nil, fmt.Errorf("container %q: %w (see final ps and final list)", name, runtime.ErrNotExist)
		}
		picked = append(picked, targets[i])
	}
	return picked, nil
}
