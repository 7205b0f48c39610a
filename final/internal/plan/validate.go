//go:build linux

package plan

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

// Validate checks what no kernel call would: fields that contradict each other, and those of other systems.
// What one feature means by a value is checked where its calls are made.
func Validate(s *specs.Spec) error {
	for _, check := range []func(*specs.Spec) error{
		checkVersion, checkRoot, checkOtherSystems, checkNamespaces, checkMapped, checkHooks, checkFeatures,
	} {
		if err := check(s); err != nil {
			return err
		}
	}
	if s.Process == nil {
		return nil // start is what needs it
	}
	return ValidateProcess(s.Process)
}

// checkVersion takes every 1.x: what a newer one adds, and this program does not know, it is to ignore.
func checkVersion(s *specs.Spec) error {
	if s.Version == "" {
		return errors.New("ociVersion: missing")
	}
	// 1.0.2-dev+build (semver.org)
	version, _, _ := strings.Cut(s.Version, "+")
	version, _, _ = strings.Cut(version, "-")
	numbers := strings.Split(version, ".")
	wrong := func(number string) bool {
		_, err := strconv.ParseUint(number, 10, 32)
		return err != nil
	}
	if len(numbers) != 3 || numbers[0] != "1" || slices.ContainsFunc(numbers, wrong) {
		return fmt.Errorf("ociVersion: %q: want 1.x, such as %s", s.Version, specs.Version)
	}
	return nil
}

func checkRoot(s *specs.Spec) error {
	if s.Root == nil || s.Root.Path == "" {
		return errors.New("root.path: missing")
	}
	return nil
}

func checkOtherSystems(s *specs.Spec) error {
	for _, other := range []struct {
		field string
		there bool
	}{
		{"solaris", s.Solaris != nil}, {"windows", s.Windows != nil}, {"vm", s.VM != nil},
		{"zos", s.ZOS != nil}, {"freebsd", s.FreeBSD != nil},
	} {
		if other.there {
			return fmt.Errorf("%s: this is a runtime for Linux", other.field)
		}
	}
	return nil
}

// ValidateProcess checks a process, the container's first or another.
func ValidateProcess(p *specs.Process) error {
	switch {
	case len(p.Args) == 0 || p.Args[0] == "":
		return errors.New("process.args: empty: want a command")
	case strings.Contains(p.Cwd, "\x00"):
		return fmt.Errorf("process.cwd: %q: it has a zero byte", p.Cwd)
	case !path.IsAbs(p.Cwd):
		return fmt.Errorf("process.cwd: %q: want an absolute path", p.Cwd)
	case p.CommandLine != "":
		return fmt.Errorf("process.commandLine: %q: it is for Windows", p.CommandLine)
	case p.User.Username != "":
		return fmt.Errorf("process.user.username: %q: it is for Windows", p.User.Username)
	case p.Terminal && p.ConsoleSize != nil && (p.ConsoleSize.Height > 65535 || p.ConsoleSize.Width > 65535):
		return fmt.Errorf("process.consoleSize: %d × %d: too large", p.ConsoleSize.Height, p.ConsoleSize.Width)
	}
	for i, variable := range p.Env {
		if !strings.Contains(variable, "=") {
			return fmt.Errorf("process.env[%d]: %q: want NAME=VALUE", i, variable)
		}
	}
	return errors.Join(checkStrings("process.args", p.Args), checkStrings("process.env", p.Env))
}

// checkStrings refuses what no C string can be.
func checkStrings(field string, list []string) error {
	for i, text := range list {
		if strings.Contains(text, "\x00") {
			return fmt.Errorf("%s[%d]: %q: it has a zero byte", field, i, text)
		}
	}
	return nil
}

// checkNamespaces refuses what contradicts itself, and what would change the host.
func checkNamespaces(s *specs.Spec) error {
	if s.Linux == nil {
		return nil
	}
	seen := map[specs.LinuxNamespaceType]bool{}
	for i, n := range s.Linux.Namespaces {
		if _, ok := KindOf(n.Type); !ok {
			return fmt.Errorf("linux.namespaces[%d].type: %q: unknown", i, n.Type)
		}
		if seen[n.Type] {
			return fmt.Errorf("linux.namespaces[%d].type: %q: it is there twice", i, n.Type)
		}
		if n.Path != "" && !path.IsAbs(n.Path) {
			return fmt.Errorf("linux.namespaces[%d].path: %q: want an absolute path", i, n.Path)
		}
		seen[n.Type] = true
	}
	set := namespacesOf(s)
	mapped := len(s.Linux.UIDMappings) > 0 || len(s.Linux.GIDMappings) > 0
	switch {
	case seen[specs.UserNamespace] && !seen[specs.MountNamespace]:
		return errors.New("linux.namespaces: a user namespace without a mount namespace: it may not mount anything")
	case set.new(specs.UserNamespace) && (len(s.Linux.UIDMappings) == 0 || len(s.Linux.GIDMappings) == 0):
		return errors.New("linux.uidMappings, linux.gidMappings: empty: a user namespace without ids has no root")
	case !seen[specs.UserNamespace] && mapped:
		return errors.New("linux.uidMappings, linux.gidMappings: they need a user namespace")
	case len(s.Linux.TimeOffsets) > 0 && !set.new(specs.TimeNamespace):
		return errors.New("linux.timeOffsets: they need a new time namespace")
	case len(s.Linux.Sysctl)+len(s.Linux.TimeOffsets) > 0 && set.joined(specs.MountNamespace):
		return errors.New("linux.sysctl, linux.timeOffsets: in a mount namespace by path, /proc may be no procfs, " +
			"and what is written there reach another file (CVE-2025-52881): have a new one")
	}
	return checkClocks(s.Linux.TimeOffsets)
}

// ValidateChanges refuses what would be set for the host: names, network devices and kernel parameters without a
// namespace of their own. The caller leaves out of the spec's namespaces those that are the host's.
func ValidateChanges(s *specs.Spec) error {
	for _, name := range []struct{ field, value string }{{"hostname", s.Hostname}, {"domainname", s.Domainname}} {
		if name.value != "" && !Has(s, specs.UTSNamespace) {
			return fmt.Errorf("%s: %q: without a uts namespace it would be the host's", name.field, name.value)
		}
	}
	if s.Linux != nil && len(s.Linux.NetDevices) > 0 && !Has(s, specs.NetworkNamespace) {
		return errors.New("linux.netDevices: they need a network namespace that is not the host's")
	}
	return rootfs.Sysctl(&op.List{}, s)
}

func checkHooks(s *specs.Spec) error {
	if s.Hooks == nil {
		return nil
	}
	for _, list := range []struct {
		name  string
		hooks []specs.Hook
	}{
		{"prestart", s.Hooks.Prestart}, {"createRuntime", s.Hooks.CreateRuntime}, {"createContainer", s.Hooks.CreateContainer},
		{"startContainer", s.Hooks.StartContainer}, {"poststart", s.Hooks.Poststart}, {"poststop", s.Hooks.Poststop},
	} {
		for i, hook := range list.hooks {
			if err := checkHook(hook); err != nil {
				return fmt.Errorf("hooks.%s[%d].%w", list.name, i, err)
			}
		}
	}
	return nil
}

func checkHook(h specs.Hook) error {
	switch {
	case !path.IsAbs(h.Path):
		return fmt.Errorf("path: %q: want an absolute path", h.Path)
	case h.Timeout != nil && *h.Timeout <= 0:
		return fmt.Errorf("timeout: %d: want a number of seconds above 0", *h.Timeout)
	}
	return errors.Join(checkStrings("path", []string{h.Path}), checkStrings("args", h.Args), checkStrings("env", h.Env))
}

// checkFeatures refuses by name what this runtime does not do, and what nobody may ask for.
func checkFeatures(s *specs.Spec) error {
	if _, ok := s.Annotations[""]; ok {
		return errors.New(`annotations: "": a key must not be empty`)
	}
	if s.Linux != nil && s.Linux.IntelRdt != nil {
		return errors.New("linux.intelRdt: not supported")
	}
	return nil
}
