//go:build linux

package plan

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/rootfs"
)

var update = flag.Bool("update", false, "write the golden files anew")

// machine is where the plans of these tests run: nothing of the one that tests is in them.
func machine() Options {
	return Options{
		Descriptors: Descriptors{Sync: 3, Start: 4, First: 5},
		ID:          "cafe",
		NewKeyring:  true,
		Host:        confine.Host{LastCapability: 40, Held: 1<<41 - 1},
		Rootfs: rootfs.Options{
			Root: "/bundle/rootfs", Bundle: "/bundle", MountSetattr: true, Kcore: true,
			Cgroup: rootfs.Cgroup{Tree: "/sys/fs/cgroup"},
		},
	}
}

// filter stands for a compiled profile.
func filter() *confine.Filter {
	return &confine.Filter{Program: make([]unix.SockFilter, 3), Flags: unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW}
}

// TestGolden: whole plans, for what engines send, call by call. The config.json of each is beside it.
func TestGolden(t *testing.T) {
	for _, test := range []struct {
		config string // testdata/NAME.json
		name   string // testdata/NAME.plan
		exec   bool   // of one more process
		change func(*Options)
	}{
		{"minimal", "minimal", false, func(*Options) {}},
		{"minimal", "minimal-exec", true, func(*Options) {}},
		{"docker", "docker", false, func(o *Options) {
			o.Filter, o.Chown, o.Preserved, o.Sync, o.Start, o.First = filter(), []int{1, 2}, 1, 4, 5, 6
		}},
		{"docker", "docker-exec", true, func(o *Options) { o.Filter = filter() }},
		{"kubernetes", "kubernetes", false, func(o *Options) {
			o.Filter, o.NewKeyring, o.Rootfs.MountSetattr = filter(), false, false
			o.Filter.Listener = op.NewVar("listener")
			o.Host.LSMs = []string{"capability", "apparmor"}
			o.Joins, o.First, o.Rootfs.Spare = map[specs.LinuxNamespaceType]int{specs.UserNamespace: 5}, 9, 200
			o.Rootfs.Sources = map[int]int{6: 6, 7: 7, 8: 8}
		}},
		{"kubernetes", "kubernetes-exec", true, func(o *Options) { o.Filter, o.Host.LSMs = filter(), []string{"apparmor"} }},
		{"user", "user", false, func(o *Options) { o.Host.Held = ^uint64(0) }},
		{"user", "user-exec", true, func(o *Options) { o.Host.Held = ^uint64(0) }},
		{"rootless", "rootless", false, func(o *Options) {
			o.Host.Held, o.Host.DenySetgroups, o.Rootless, o.Rootfs.Cgroup = ^uint64(0), true, true, rootfs.Cgroup{Namespace: true}
		}},
		{"rootless", "rootless-exec", true, func(o *Options) {
			o.Host.Held, o.Host.DenySetgroups, o.Rootless = ^uint64(0), true, true
			o.Filter = filter()
			o.Filter.Listener = op.NewVar("listener")
		}},
		{"time", "time", false, func(*Options) {}},
		{"time", "time-exec", true, func(*Options) {}},
		{"terminal", "terminal", false, func(o *Options) { o.Console, o.First = 5, 6 }},
		{"terminal", "terminal-exec", true, func(o *Options) { o.Console, o.First = 5, 6 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, o := config(t, test.config), machine()
			o.Rootfs.UserNamespace = Has(s, specs.UserNamespace)
			o.Rootfs.NetNamespace = Has(s, specs.NetworkNamespace)
			o.Rootfs.Cgroup.Namespace = Has(s, specs.CgroupNamespace)
			test.change(&o)
			build := func() (*op.List, error) { return Create(s, o) }
			if test.exec {
				o.Start, o.Target = 0, 4
				for _, n := range s.Linux.Namespaces {
					if kind, _ := KindOf(n.Type); kind.Type != specs.PIDNamespace {
						o.TargetKinds |= kind.Flag
					}
				}
				build = func() (*op.List, error) { return Exec(s, s.Process, o) }
			}
			list, err := build()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", test.name+".plan"), text(list))
			if _, err := list.Encode(); err != nil {
				t.Error(err)
			}
			again, err := build()
			if err != nil || text(again) != text(list) {
				t.Errorf("the second plan is not the first: %v", err)
			}
		})
	}
}

// TestHookPlan: a hook joins, and becomes its program.
func TestHookPlan(t *testing.T) {
	o := Options{Descriptors: Descriptors{Sync: 3, Target: 4, First: 5}, TargetKinds: unix.CLONE_NEWNS | unix.CLONE_NEWNET}
	list := Hook("/usr/bin/hook", "/bundle/rootfs", []string{"hook", "one two"}, []string{"A=b"}, o)
	golden(t, "testdata/hook.plan", text(list))
	if _, err := list.Encode(); err != nil {
		t.Error(err)
	}
}

// TestExecTrustsNoProc: who joins a container writes to no file of its /proc, in which another one may stand there.
func TestExecTrustsNoProc(t *testing.T) {
	p := &specs.Process{Args: []string{"/bin/true"}, Cwd: "/", SelinuxLabel: "label", ApparmorProfile: "profile"}
	list, err := Exec(&specs.Spec{}, p, Options{
		Descriptors: Descriptors{Sync: 3, Target: 4, First: 5}, TargetKinds: unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Host: confine.Host{LSMs: []string{"apparmor", "selinux"}}, NewKeyring: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := text(list); strings.Contains(text, `AT_FDCWD, "/proc/`) || !strings.Contains(text, "keycreate") {
		t.Errorf("a file of the container's /proc is opened, or none of the host's:\n%s", text)
	}
}

// config reads a config.json of the tests, as the runtime would.
func config(t *testing.T, name string) *specs.Spec {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	s := &specs.Spec{}
	if err := json.Unmarshal(data, s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if err := Validate(s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s, - wanted, + got (go test -update writes it):\n%s", file, diff)
	}
}

// text writes a plan for people: the reason, the label, the call, where it jumps, and what one would type.
func text(l *op.List) string {
	var b strings.Builder
	why := ""
	for _, o := range l.Ops {
		if o.Why != "" && o.Why != why {
			fmt.Fprintf(&b, "# %s\n", o.Why)
		}
		why = o.Why
		if o.Label != "" {
			fmt.Fprintf(&b, "%s:\n", o.Label)
		}
		fmt.Fprintf(&b, "  %s", o)
		for _, jump := range []struct{ when, to string }{
			{op.ErrnoNames(o.Accept), o.Accepted}, {"0", o.Zero}, {"positive", o.Positive},
		} {
			if jump.to != "" {
				fmt.Fprintf(&b, "  [%s: %s]", jump.when, jump.to)
			}
		}
		if len(o.Accept) > 0 && o.Accepted == "" {
			fmt.Fprintf(&b, "  [%s: go on]", op.ErrnoNames(o.Accept))
		}
		b.WriteString("\n")
		if o.Shell != "" {
			fmt.Fprintf(&b, "      $ %s\n", o.Shell)
		}
		if o.Means != "" {
			fmt.Fprintf(&b, "      ! %s\n", o.Means)
		}
	}
	return b.String()
}
