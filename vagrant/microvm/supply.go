//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// A supply is what the guests of those packages have that name it in a line of testdata/microvm.
type supply struct {
	Packages []string // beside guestPackages
	Programs []guestProgram
	Files    []string // of the packages, in the same places
}

// supplies are all of them.
//   - systemd is not started: it is there for a test to start, with what makes namespaces, as busybox knows none
//     of cgroups;
//   - apparmor and selinux have what turns a text into a policy for the kernel;
//   - the engines have the files without which they do nothing at all; a test writes the rest.
var supplies = map[string]supply{
	"systemd": {Programs: []guestProgram{
		{Name: "systemd", Paths: []string{"lib/systemd/systemd", "usr/lib/systemd/systemd"},
			Links: []string{"/lib/systemd/systemd"}},
		{Name: "systemd-executor", Paths: []string{"usr/lib/systemd/systemd-executor"},
			Links: []string{"/lib/systemd/systemd-executor"}, Optional: true}, // since trixie, and systemd wants to see it
		{Name: "systemctl", Paths: []string{"bin/systemctl", "usr/bin/systemctl"}},
		{Name: "unshare", Paths: []string{"usr/bin/unshare"}},
		{Name: "nsenter", Paths: []string{"usr/bin/nsenter"}},
	}},
	"apparmor": {Programs: []guestProgram{
		{Name: "apparmor_parser", Paths: []string{"sbin/apparmor_parser", "usr/sbin/apparmor_parser"}},
	}},
	"selinux": {Programs: []guestProgram{
		{Name: "secilc", Paths: []string{"usr/bin/secilc"}},
	}},
	"engines": {
		Packages: []string{"catatonit", "conmon", "containerd", "containernetworking-plugins", "crun", "podman",
			"runc", "uidmap"},
		Programs: []guestProgram{
			{Name: "podman", Paths: []string{"usr/bin/podman"}},
			{Name: "conmon", Paths: []string{"usr/bin/conmon"}},
			{Name: "catatonit", Paths: []string{"usr/bin/catatonit"}, Links: []string{"/usr/libexec/podman/catatonit"}},
			{Name: "containerd", Paths: []string{"usr/bin/containerd"}},
			{Name: "containerd-shim-runc-v2", Paths: []string{"usr/bin/containerd-shim-runc-v2"}},
			{Name: "ctr", Paths: []string{"usr/bin/ctr"}},
			{Name: "crun", Paths: []string{"usr/bin/crun"}},
			{Name: "runc", Paths: []string{"usr/sbin/runc", "usr/bin/runc"}},
			{Name: "newuidmap", Paths: []string{"usr/bin/newuidmap"}},
			{Name: "newgidmap", Paths: []string{"usr/bin/newgidmap"}},
			{Name: "setpriv", Paths: []string{"usr/bin/setpriv"}}, // busybox's changes no user
			{Name: "bridge", Paths: []string{"usr/lib/cni/bridge"}, Links: []string{"/usr/lib/cni/bridge"}},
			{Name: "host-local", Paths: []string{"usr/lib/cni/host-local"}, Links: []string{"/usr/lib/cni/host-local"}},
			{Name: "loopback", Paths: []string{"usr/lib/cni/loopback"}, Links: []string{"/usr/lib/cni/loopback"}},
		},
		Files: []string{"/etc/containers/policy.json", "/usr/share/containers/seccomp.json"},
	},
}

// addFiles adds files of the packages under their own names.
func (a *initramfs) addFiles(names []string) error {
	for _, name := range names {
		file := filepath.Join(a.Tree, name)
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("find %s: not in the unpacked packages", name)
		}
		if err := a.copy(name, file); err != nil {
			return err
		}
	}
	return nil
}
