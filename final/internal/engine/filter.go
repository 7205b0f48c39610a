//go:build linux

package engine

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Filter picks containers: those for which every key has one of its values.
type Filter map[string][]string

// filters are the keys, and how a container has a value of each.
var filters = map[string]func(c *Container, value string) bool{
	"id": func(c *Container, value string) bool { return strings.HasPrefix(c.ID, value) },
	"name": func(c *Container, value string) bool {
		ok, err := regexp.MatchString(value, "/"+c.Name)
		if !ok { // ^web$, which does not know of the slash
			ok, err = regexp.MatchString(value, c.Name)
		}
		return ok && err == nil
	},
	"label": func(c *Container, value string) bool {
		key, want, withValue := strings.Cut(value, "=")
		got, ok := c.Config.Labels[key]
		return ok && (!withValue || got == want)
	},
	"status": func(c *Container, value string) bool { return string(c.State.Status) == value },
	"exited": func(c *Container, value string) bool {
		return c.State.Status == Exited && strconv.Itoa(c.State.ExitCode) == value
	},
	"ancestor": func(c *Container, value string) bool {
		return c.Image == value || strings.TrimSuffix(c.Image, ":latest") == strings.TrimSuffix(value, ":latest") ||
			len(value) >= 4 && strings.HasPrefix(strings.TrimPrefix(c.ImageID, "sha256:"), strings.TrimPrefix(value, "sha256:"))
	},
	"volume": func(c *Container, value string) bool {
		return slices.ContainsFunc(c.MountNames(), func(name string) bool { return name == value })
	},
	"network": func(c *Container, value string) bool { return c.Network() == value },
	"before":  nil, // a container: it does not depend on one container alone
	"since":   nil,
}

// statuses are what containers can be; and Docker's others, which none is here.
var statuses = []string{"created", "starting", "running", "paused", "exited", "restarting", "removing", "dead"}

// ParseFilter reads KEY=VALUE, as often as there are.
func ParseFilter(texts []string) (Filter, error) {
	f := Filter{}
	for _, text := range texts {
		key, value, ok := strings.Cut(text, "=")
		if _, known := filters[key]; !ok || !known {
			var keys []string
			for key := range filters {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			return nil, fmt.Errorf("--filter %q: want KEY=VALUE, with one of the keys %s", text, strings.Join(keys, ", "))
		}
		if key == "status" && !slices.Contains(statuses, value) {
			return nil, fmt.Errorf("--filter %q: want one of the statuses %s", text, strings.Join(statuses, ", "))
		}
		if _, err := regexp.Compile(value); err != nil && key == "name" {
			return nil, fmt.Errorf("--filter %q: want a regular expression: %w", text, err)
		}
		if _, err := strconv.Atoi(value); err != nil && key == "exited" {
			return nil, fmt.Errorf("--filter %q: want an exit code", text)
		}
		f[key] = append(f[key], value)
	}
	return f, nil
}

// match tells whether a container has a value of every key.
func (f Filter) match(c *Container) bool {
	if len(f["status"]) > 0 {
		c.askKernel()
	}
	for key, values := range f {
		has := filters[key]
		if has == nil {
			continue
		}
		// Labels must all be there, as Docker has it; of the other keys one value is enough.
		one := slices.ContainsFunc(values, func(value string) bool { return has(c, value) })
		all := !slices.ContainsFunc(values, func(value string) bool { return !has(c, value) })
		if !one || key == "label" && !all {
			return false
		}
	}
	return true
}

// window picks those made before, or since, a container of the list, which is sorted, the newest first.
func (f Filter) window(list []*Container) []*Container {
	at := func(reference string) int {
		return slices.IndexFunc(list, func(c *Container) bool {
			return c.Name == reference || strings.HasPrefix(c.ID, reference)
		})
	}
	from, to := 0, len(list)
	for _, reference := range f["before"] {
		if i := at(reference); i >= 0 {
			from = max(from, i+1)
		}
	}
	for _, reference := range f["since"] {
		if i := at(reference); i >= 0 {
			to = min(to, i)
		}
	}
	return list[min(from, to):to]
}

// MountNames are the places, the volumes and the paths of the host that the container has.
func (c *Container) MountNames() (names []string) {
	for _, m := range c.Mounts {
		names = append(names, m.Target, m.Name, m.Source)
	}
	return names
}
