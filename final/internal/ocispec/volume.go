//go:build linux

package ocispec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// ParseVolume reads --volume: [SOURCE:]TARGET[:MODE,MODE]. A source with a slash in front is a path of the host,
// one with a dot a path from dir, where the caller is; any other is a volume's name, and none a new volume.
func ParseVolume(text, dir string) (Mount, error) {
	m, err := parseVolume(text, dir)
	if err != nil {
		return m, refuse("volume", text, err.Error())
	}
	return m, nil
}

const volumeForm = "want [SOURCE:]TARGET[:MODE]"

func parseVolume(text, dir string) (m Mount, err error) {
	parts := strings.Split(text, ":")
	if len(parts) > 3 || slices.Contains(parts[:min(len(parts), 2)], "") {
		return m, errors.New(volumeForm)
	}
	source, target, mode := "", parts[len(parts)-1], ""
	switch len(parts) {
	case 2:
		source = parts[0]
	case 3:
		source, target, mode = parts[0], parts[1], parts[2]
	}
	if len(parts) == 2 && !path.IsAbs(target) && isMode(target) {
		return m, fmt.Errorf("%s: a mode goes with a source", volumeForm)
	}
	if m.Target, err = parseTarget(target); err != nil {
		return m, err
	}
	switch {
	case source == "" || !strings.ContainsAny(source[:1], "/."):
		m.Type, m.Name = Volume, source
		if source != "" {
			err = CheckVolumeName(source)
		}
	case path.IsAbs(source):
		m.Type, m.Source, m.Create = Bind, path.Clean(source), true
	default:
		m.Type, m.Source, m.Create = Bind, path.Join(dir, source), true
	}
	if err != nil || mode == "" {
		return m, err
	}
	return m, m.setModes(mode)
}

// volumeModes are the words behind the second colon, by what they are about. One mount has one of each.
var volumeModes = []struct {
	about string
	words []string
}{
	{"access", []string{"ro", "rw"}},
	{"label", []string{"z", "Z"}},
	{"propagation", propagations},
	{"copy", []string{"nocopy"}},
	{"consistency", []string{"consistent", "cached", "delegated", "default"}}, // for machines that share with a virtual one
}

func aboutMode(word string) string {
	for _, m := range volumeModes {
		if slices.Contains(m.words, word) {
			return m.about
		}
	}
	return ""
}

func isMode(text string) bool {
	return !slices.ContainsFunc(strings.Split(text, ","), func(word string) bool { return aboutMode(word) == "" })
}

func (m *Mount) setModes(text string) error {
	seen := map[string]string{}
	for word := range strings.SplitSeq(text, ",") {
		about := aboutMode(word)
		switch {
		case about == "":
			return fmt.Errorf("mode %q: want ro, rw, z, Z, nocopy, or one of %s", word, strings.Join(propagations, ", "))
		case seen[about] != "":
			return fmt.Errorf("mode %q: there is %q already", word, seen[about])
		case about == "propagation" && m.Type != Bind:
			return fmt.Errorf("mode %q: is for a path of the host, not for a volume", word)
		case about == "copy" && m.Type != Volume:
			return fmt.Errorf("mode %q: is for a volume, not for a path of the host", word)
		}
		seen[about] = word
		switch about {
		case "access":
			m.ReadOnly = word == "ro"
		case "label":
			m.Relabel = word
		case "propagation":
			m.Propagation = word
		case "copy":
			m.NoCopy = true
		}
	}
	return nil
}

// AllMounts returns what is to be mounted beside the kernel's file systems: what the person wants, and a volume for
// each place that the image wants one at and the person has left alone. Parents come before what is below them.
// The caller makes the volumes, and gives each mount of one its Name and Source.
func (o Options) AllMounts(image Config) ([]Mount, error) {
	mounts := slices.Clone(o.Mounts)
	taken := map[string]bool{}
	for _, m := range mounts {
		if taken[m.Target] {
			return nil, fmt.Errorf("--volume, --mount, --tmpfs: two for %s", m.Target)
		}
		taken[m.Target] = true
	}
	for _, place := range image.Volumes {
		target, err := parseTarget(place)
		if err != nil {
			return nil, fmt.Errorf("the image's volume %q: %w", place, err)
		}
		if !taken[target] {
			mounts = append(mounts, Mount{Type: Volume, Target: target})
			taken[target] = true
		}
	}
	depth := func(m Mount) int { return strings.Count(m.Target, "/") }
	slices.SortStableFunc(mounts, func(a, b Mount) int { return depth(a) - depth(b) })
	return mounts, nil
}
