//go:build linux

package ocispec

import (
	"errors"
	"fmt"
	"strings"
)

// Unconfined is the word for no profile.
const Unconfined = "unconfined"

// Security is what --security-opt says.
type Security struct {
	NoNewPrivileges bool
	Seccomp         string // a profile in JSON, Unconfined, or empty for the default
	AppArmor        string // the name of a profile, or Unconfined
	Label           Label  // of SELinux
	SystemPaths     bool   // nothing of /proc and /sys is masked or read-only
	WritableCgroups bool
}

// A Label is an SELinux context; empty parts are the default's.
type Label struct {
	Disable                 bool
	User, Role, Type, Level string
}

// ParseSecurity reads all of --security-opt. readFile is os.ReadFile: a seccomp profile is a file.
func ParseSecurity(options []string, readFile func(string) ([]byte, error)) (s Security, err error) {
	for _, text := range options {
		if err := s.parse(text, readFile); err != nil {
			return s, refuse("security-opt", text, err.Error())
		}
	}
	return s, nil
}

const securityForm = "want no-new-privileges, seccomp=, apparmor=, label=, systempaths=unconfined or writable-cgroups"

func (s *Security) parse(text string, readFile func(string) ([]byte, error)) (err error) {
	key, value, given := strings.Cut(text, "=")
	if !given {
		key, value, given = strings.Cut(text, ":") // Docker's way before 1.11
	}
	switch key {
	case "no-new-privileges":
		s.NoNewPrivileges, err = parseSwitch(key, value, given)
		return err
	case "writable-cgroups":
		s.WritableCgroups, err = parseSwitch(key, value, given)
		return err
	}
	if value == "" {
		return errors.New(securityForm)
	}
	switch key {
	case "seccomp":
		s.Seccomp, err = readSeccomp(value, readFile)
	case "apparmor":
		s.AppArmor = value
	case "label":
		return s.Label.parse(value)
	case "systempaths":
		if s.SystemPaths = value == Unconfined; !s.SystemPaths {
			err = errors.New("want systempaths=unconfined")
		}
	default:
		err = fmt.Errorf("unknown option %q: %s", key, securityForm)
	}
	return err
}

// parse reads what is behind label=: user:USER, role:ROLE, type:TYPE, level:LEVEL, disable.
func (l *Label) parse(text string) error {
	if text == "disable" {
		l.Disable = true
		return nil
	}
	key, value, _ := strings.Cut(text, ":")
	parts := map[string]*string{"user": &l.User, "role": &l.Role, "type": &l.Type, "level": &l.Level}
	part, ok := parts[key]
	if !ok || value == "" {
		return errors.New("want label=disable, or label= with user:, role:, type: or level:")
	}
	*part = value
	return nil
}

// security is everything of it but seccomp.
func (m *maker) security() error {
	p := m.spec.Process
	p.NoNewPrivileges = m.o.Security.NoNewPrivileges
	names, err := m.o.LSM(m.h)
	p.ApparmorProfile, p.SelinuxLabel, m.spec.Linux.MountLabel = names.Profile, names.Process, names.Files
	return err
}

// The parts of /proc and /sys that are about the machine, not about the container. Docker's lists.
var (
	maskedPaths = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
		"/sys/devices/virtual/powercap", "/sys/firmware",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// masks hides and protects them.
func (m *maker) masks() error {
	if !m.o.Privileged && !m.o.Security.SystemPaths {
		m.spec.Linux.MaskedPaths, m.spec.Linux.ReadonlyPaths = maskedPaths, readonlyPaths
	}
	return nil
}
