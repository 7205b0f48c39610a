//go:build linux

package ocispec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Device is one of the host's that a person wants in the container; or a directory of them.
type Device struct {
	Host      string // the path there
	Container string // the path here
	Access    string // of r (read), w (write) and m (mknod)
}

// ParseDevice reads --device: HOST[:CONTAINER][:ACCESS].
func ParseDevice(text string) (d Device, err error) {
	parts := strings.Split(text, ":")
	d = Device{Host: parts[0], Access: "rwm"}
	switch {
	case len(parts) == 3:
		d.Container, d.Access = parts[1], parts[2]
	case len(parts) == 2 && isAccess(parts[1]):
		d.Access = parts[1]
	case len(parts) == 2:
		d.Container = parts[1]
	}
	if d.Container == "" {
		d.Container = d.Host
	}
	switch {
	case len(parts) > 3 || !path.IsAbs(d.Host):
		err = errors.New("want HOST[:CONTAINER][:ACCESS], as /dev/fuse:/dev/fuse:rw")
	case !path.IsAbs(d.Container):
		err = fmt.Errorf("%q: want an absolute path in the container, or some of r, w and m", d.Container)
	case !isAccess(d.Access):
		err = fmt.Errorf("%q: want some of r, w and m", d.Access)
	}
	if err != nil {
		return d, refuse("device", text, err.Error())
	}
	d.Host, d.Container = path.Clean(d.Host), path.Clean(d.Container)
	return d, nil
}

// isAccess tells whether a text is some of r, w and m, each once.
func isAccess(text string) bool {
	for i, letter := range text {
		if !strings.ContainsRune("rwm", letter) || strings.ContainsRune(text[:i], letter) {
			return false
		}
	}
	return text != ""
}

// A DeviceRule allows devices by their numbers, whether they have nodes in the container or not. -1 is any number.
type DeviceRule struct {
	Type         string // a, b or c
	Major, Minor int64
	Access       string
}

// ParseDeviceRule reads --device-cgroup-rule, which is written as the files of cgroup v1 are: "c 1:3 rwm".
func ParseDeviceRule(text string) (r DeviceRule, err error) {
	wrong := refuse("device-cgroup-rule", text, `want TYPE MAJOR:MINOR ACCESS, as "c 10:200 rwm" or "b *:* m"`)
	fields := strings.Fields(text)
	if len(fields) != 3 || !slices.Contains([]string{"a", "b", "c"}, fields[0]) || !isAccess(fields[2]) {
		return r, wrong
	}
	r.Type, r.Access = fields[0], fields[2]
	major, minor, ok := strings.Cut(fields[1], ":")
	for _, n := range []struct {
		text string
		to   *int64
	}{{major, &r.Major}, {minor, &r.Minor}} {
		if *n.to = -1; n.text == "*" {
			continue
		}
		number, err := strconv.ParseUint(n.text, 10, 31)
		if err != nil || !ok {
			return r, wrong
		}
		*n.to = int64(number)
	}
	return r, nil
}

// devices are the nodes to make.
func (m *maker) devices() error {
	linux := m.spec.Linux
	if m.o.Privileged {
		linux.Devices = append(linux.Devices, m.h.Devices...)
	}
	for _, n := range m.c.Devices {
		same := func(d specs.LinuxDevice) bool { return d.Path == n.Path }
		linux.Devices = append(slices.DeleteFunc(linux.Devices, same), n.LinuxDevice)
	}
	return nil
}

// deviceRules are for the cgroup. The runtime adds those of the devices that every container has.
func (m *maker) deviceRules() []specs.LinuxDeviceCgroup {
	if m.o.Privileged {
		return []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	}
	rules := []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}
	for _, n := range m.c.Devices {
		if n.Type == "b" || n.Type == "c" {
			rules = append(rules, specs.LinuxDeviceCgroup{
				Allow: true, Type: n.Type, Major: &n.Major, Minor: &n.Minor, Access: n.Access,
			})
		}
	}
	for _, r := range m.o.DeviceRules {
		rules = append(rules, specs.LinuxDeviceCgroup{
			Allow: true, Type: r.Type, Major: &r.Major, Minor: &r.Minor, Access: r.Access,
		})
	}
	return rules
}
