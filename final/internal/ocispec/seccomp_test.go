//go:build linux

package ocispec

import (
	"encoding/json"
	"runtime"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func profileOf(t *testing.T, o Options, h Host) *specs.LinuxSeccomp {
	t.Helper()
	o.Args = []string{"x"}
	s, err := Spec(o, Config{}, Container{ID: "x"}, h)
	if err != nil {
		t.Fatal(err)
	}
	return s.Linux.Seccomp
}

// TestSeccomp holds the profile against the one that Docker makes of the same data, with few capabilities and with
// many.
func TestSeccomp(t *testing.T) {
	for _, add := range [][]string{nil, {"ALL"}, {"SYS_ADMIN", "SYS_PTRACE"}} {
		h := host()
		h.Arch, h.Kernel = runtime.GOARCH, [2]int{6, 1}
		got := profileOf(t, Options{CapAdd: add}, h)
		s, err := Spec(Options{CapAdd: add, Args: []string{"x"}}, Config{}, Container{ID: "x"}, h)
		if err != nil {
			t.Fatal(err)
		}
		want, err := seccomp.GetDefaultProfile(s)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: -want +got\n%s", add, diff)
		}
	}
}

// TestSeccompConditions: rules hold by architecture, kernel and capability.
func TestSeccompConditions(t *testing.T) {
	profile := seccomp.Seccomp{
		LinuxSeccomp: specs.LinuxSeccomp{DefaultAction: specs.ActErrno},
		ArchMap:      []seccomp.Architecture{{Arch: specs.ArchAARCH64, SubArches: []specs.Arch{specs.ArchARM}}, {Arch: specs.ArchX86_64}},
	}
	rule := func(name string, include, exclude *seccomp.Filter) {
		profile.Syscalls = append(profile.Syscalls, &seccomp.Syscall{
			LinuxSyscall: specs.LinuxSyscall{Names: []string{name}, Action: specs.ActAllow}, Includes: include, Excludes: exclude})
	}
	rule("always", nil, nil)
	rule("on-arm64", &seccomp.Filter{Arches: []string{"arm64"}}, nil)
	rule("not-on-arm64", nil, &seccomp.Filter{Arches: []string{"arm64"}})
	rule("with-chown-and-admin", &seccomp.Filter{Caps: []string{"CAP_CHOWN", "CAP_SYS_ADMIN"}}, nil)
	rule("without-chown", nil, &seccomp.Filter{Caps: []string{"CAP_CHOWN"}})
	rule("from-6.0", &seccomp.Filter{MinKernel: &seccomp.KernelVersion{Kernel: 6}}, nil)
	rule("before-6.0", nil, &seccomp.Filter{MinKernel: &seccomp.KernelVersion{Kernel: 6}})
	profile.Syscalls = append(profile.Syscalls, &seccomp.Syscall{Name: "old-form", LinuxSyscall: specs.LinuxSyscall{Action: specs.ActAllow}})
	text, err := json.Marshal(profile)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Security: Security{Seccomp: string(text)}}
	arm := host()
	arm.Arch, arm.Kernel = "arm64", [2]int{5, 10}
	for _, test := range []struct {
		host   Host
		add    []string
		arches []specs.Arch
		names  []string
	}{
		{host(), nil, []specs.Arch{specs.ArchX86_64}, []string{"always", "not-on-arm64", "from-6.0", "old-form"}},
		{arm, []string{"SYS_ADMIN"}, []specs.Arch{specs.ArchAARCH64, specs.ArchARM},
			[]string{"always", "on-arm64", "with-chown-and-admin", "before-6.0", "old-form"}},
	} {
		o.CapAdd = test.add
		got := profileOf(t, o, test.host)
		var names []string
		for _, call := range got.Syscalls {
			names = append(names, call.Names...)
		}
		if !slices.Equal(names, test.names) || !slices.Equal(got.Architectures, test.arches) {
			t.Errorf("%v %v: %v %v, want %v %v", test.host.Arch, test.add, got.Architectures, names, test.arches, test.names)
		}
	}
}

// TestSeccompNone: who is privileged, or asks for it, has no filter.
func TestSeccompNone(t *testing.T) {
	for _, o := range []Options{{Privileged: true}, {Security: Security{Seccomp: Unconfined}}, {Security: Security{Seccomp: "{}"}}} {
		if got := profileOf(t, o, host()); got != nil {
			t.Errorf("%+v: a filter", o)
		}
	}
}
