//go:build linux

package ocispec

import (
	"encoding/csv"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// The types of a Mount.
const (
	Bind   = "bind"
	Volume = "volume"
	Tmpfs  = "tmpfs"
)

// A Mount is something that a person, or the image, wants at a place in the container.
type Mount struct {
	Type   string // Bind, Volume or Tmpfs
	Name   string // a volume's; empty until an anonymous one has got its own
	Source string // the path on the host; a volume's is known when there is the volume
	Target string // the place in the container: absolute and clean

	ReadOnly     bool
	Propagation  string            // of a bind mount, as rslave; empty is rprivate
	NonRecursive bool              // what is mounted below the source does not come along
	Relabel      string            // for SELinux: z is for several containers, Z for this one
	Create       bool              // a source that is not there is made, as a directory: --volume, not --mount
	NoCopy       bool              // a new volume does not begin with what the image has at the place
	Labels       map[string]string // of a new volume
	Options      []string          // of a tmpfs, as size=64m and noexec
}

// ParseMount reads --mount: type=bind,source=/srv,target=/data,readonly. The fields are a line of CSV, so that a
// path may have a comma.
func ParseMount(text string) (Mount, error) {
	m := Mount{Type: Volume}
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil {
		return m, refuse("mount", text, "want key=value,key=value: "+err.Error())
	}
	var seen []string
	for _, field := range fields {
		key, value, given := strings.Cut(strings.TrimSpace(field), "=")
		key = strings.ToLower(key)
		if full, ok := mountAliases[key]; ok {
			key = full
		}
		if err := m.set(key, value, given); err != nil {
			return m, refuse("mount", text, err.Error())
		}
		seen = append(seen, key)
	}
	if err := m.check(seen); err != nil {
		return m, refuse("mount", text, err.Error())
	}
	return m, nil
}

// mountAliases are other names for the keys of --mount.
var mountAliases = map[string]string{"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}

// mountKeys says which of the types has a key; the others are everybody's.
var mountKeys = map[string]string{
	"bind-propagation": Bind, "bind-nonrecursive": Bind, "bind-recursive": Bind,
	"volume-nocopy": Volume, "volume-label": Volume,
	"tmpfs-size": Tmpfs, "tmpfs-mode": Tmpfs,
}

// set takes one field of --mount.
func (m *Mount) set(key, value string, given bool) (err error) {
	switch key {
	case "readonly":
		m.ReadOnly, err = parseSwitch(key, value, given)
		return err
	case "volume-nocopy":
		m.NoCopy, err = parseSwitch(key, value, given)
		return err
	case "bind-nonrecursive":
		m.NonRecursive, err = parseSwitch(key, value, given)
		return err
	}
	if !given {
		return fmt.Errorf("field %q: want a key=value pair", key)
	}
	switch key {
	case "type":
		m.Type = strings.ToLower(value)
	case "source":
		m.Source = value
	case "target":
		m.Target, err = parseTarget(value)
	case "consistency": // for machines that share files with a virtual one
	case "bind-propagation":
		m.Propagation = value
		if !slices.Contains(propagations, value) {
			err = fmt.Errorf("%s=%s: want one of %s", key, value, strings.Join(propagations, ", "))
		}
	case "bind-recursive":
		m.NonRecursive, err = parseRecursive(value)
	case "volume-label":
		name, text, _ := strings.Cut(value, "=")
		m.Labels = mergeLabels(m.Labels, map[string]string{name: text})
	case "volume-driver":
		if value != "local" {
			err = fmt.Errorf("%s=%s: there is only local", key, value)
		}
	case "tmpfs-size":
		var size int64
		if size, err = units.RAMInBytes(value); err == nil {
			m.Options = append(m.Options, "size="+strconv.FormatInt(size, 10))
		}
	case "tmpfs-mode":
		var mode uint64
		if mode, err = strconv.ParseUint(value, 8, 12); err != nil {
			return fmt.Errorf("%s=%s: want permissions, as 1777", key, value)
		}
		m.Options = append(m.Options, fmt.Sprintf("mode=%o", mode))
	default:
		err = fmt.Errorf("unknown key %q: want type, source, target, readonly, %s", key,
			"bind-propagation, bind-nonrecursive, volume-nocopy, volume-label, tmpfs-size or tmpfs-mode")
	}
	return err
}

// parseSwitch reads a field that may stand alone: readonly, readonly=false.
func parseSwitch(key, value string, given bool) (bool, error) {
	if !given {
		return true, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: want true or false", key, value)
	}
	return on, nil
}

// parseRecursive reads bind-recursive. A read-only mount is read-only with all below it where the kernel can, which
// is "enabled".
func parseRecursive(value string) (non bool, err error) {
	switch value {
	case "enabled", "true", "1":
		return false, nil
	case "disabled", "false", "0":
		return true, nil
	}
	return false, fmt.Errorf("bind-recursive=%s: want enabled or disabled", value)
}

// propagations are those of bind mounts (mount_namespaces(7)).
var propagations = []string{"private", "rprivate", "shared", "rshared", "slave", "rslave"}

// parseTarget reads a place in a container.
func parseTarget(text string) (string, error) {
	switch clean := path.Clean(text); {
	case text == "" || !path.IsAbs(text):
		return "", fmt.Errorf("target %q: want an absolute path in the container", text)
	case clean == "/":
		return "", errors.New("target /: the root file system is the image's; see --rootfs for another")
	default:
		return clean, nil
	}
}

// check looks at the fields of --mount together, and makes Name of a volume's Source.
func (m *Mount) check(keys []string) error {
	if !slices.Contains([]string{Bind, Volume, Tmpfs}, m.Type) {
		return fmt.Errorf("type=%s: want bind, volume or tmpfs", m.Type)
	}
	for _, key := range keys {
		if kind := mountKeys[key]; kind != "" && kind != m.Type {
			return fmt.Errorf("%s: is for type=%s, and this is type=%s", key, kind, m.Type)
		}
	}
	if m.Target == "" {
		return errors.New("target is missing: want the place in the container")
	}
	switch m.Type {
	case Bind:
		if !path.IsAbs(m.Source) {
			return fmt.Errorf("source %q: a bind mount wants an absolute path of the host", m.Source)
		}
		m.Source = path.Clean(m.Source)
	case Volume:
		m.Name, m.Source = m.Source, ""
		if m.Name != "" {
			return CheckVolumeName(m.Name)
		}
	case Tmpfs:
		if m.Source != "" {
			return fmt.Errorf("source %q: a tmpfs begins empty and has none", m.Source)
		}
		m.Options = append(slices.Clone(tmpfsDefaults), m.Options...)
		if m.ReadOnly {
			m.Options = append(m.Options, "ro")
		}
	}
	return nil
}

var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

// CheckVolumeName refuses what is no name of a volume; it will be that of a directory.
func CheckVolumeName(name string) error {
	if volumeName.MatchString(name) {
		return nil
	}
	return fmt.Errorf("volume %q: a name has two or more of a-z, A-Z, 0-9, _, . and -, the first a letter or digit; %s",
		name, "a directory of the host begins with /, . or ..")
}
