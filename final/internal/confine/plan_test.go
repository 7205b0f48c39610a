//go:build linux

package confine

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

var update = flag.Bool("update", false, "write the golden files")

// dockerCapabilities are what Docker grants.
var dockerCapabilities = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

func dockerSets() *specs.LinuxCapabilities {
	list := dockerCapabilities
	return &specs.LinuxCapabilities{Bounding: list, Effective: list, Permitted: list}
}

// whole is a host that has and grants everything.
var whole = Host{
	LastCapability: unix.CAP_LAST_CAP, Held: ^uint64(0), LSMs: []string{"capability", "apparmor", "selinux"},
}

// mkdirFails is a filter that a test can notice.
func mkdirFails(action specs.LinuxSeccompAction, errno *uint) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/run/agent.sock",
		Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir", "mkdirat"}, Action: action, ErrnoRet: errno}}}
}

// planCase is a process, and what its plan is called in testdata.
type planCase struct {
	name    string
	process specs.Process
	linux   specs.Linux
	host    Host
}

func planCases() []planCase {
	mask, one := uint32(0o077), []string{"CAP_NET_BIND_SERVICE"}
	all := &specs.LinuxCapabilities{Bounding: one, Effective: one, Permitted: one, Inheritable: one, Ambient: one}
	denied := whole
	denied.DenySetgroups, denied.LastCapability = true, unix.CAP_LAST_CAP+1
	return []planCase{
		{"docker", specs.Process{Capabilities: dockerSets(), ApparmorProfile: "docker-default"},
			specs.Linux{Seccomp: mkdirFails(specs.ActErrno, nil)}, whole},
		{"user", specs.Process{
			User:            specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{10, 20}, Umask: &mask},
			NoNewPrivileges: true, SelinuxLabel: "system_u:system_r:container_t:s0:c1,c2",
			Capabilities: all,
		}, specs.Linux{Seccomp: mkdirFails(specs.ActNotify, nil)}, whole},
		{"nothing", specs.Process{User: specs.User{UID: 1, GID: 1, AdditionalGids: []uint32{5}}}, specs.Linux{}, denied},
		{"attributes", specs.Process{
			Capabilities: &specs.LinuxCapabilities{Bounding: Capabilities(), Permitted: one, Effective: one, Inheritable: one},
			Scheduler: &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5,
				Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}},
			IOPriority:      &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6},
			ExecCPUAffinity: &specs.CPUAffinity{Initial: "0", Final: "0-1, 3"},
		}, specs.Linux{
			Seccomp:     mkdirFails(specs.ActLog, nil),
			Personality: &specs.LinuxPersonality{Domain: specs.PerLinux32},
			MemoryPolicy: &specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0,2-3",
				Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}},
		}, whole},
	}
}

// build makes all that this package contributes, in the order of a container's plan.
func build(t *testing.T, c *planCase, f *Filter) (l *op.List, warnings []string) {
	t.Helper()
	l = &op.List{}
	p, proc := &c.process, op.NewVar("proc")
	steps := []func() error{
		func() error { return InitialAffinity(l, p.ExecCPUAffinity) },
		func() error { Keyring(l, proc, "test", p, c.host); return nil },
		func() error { return FinalAffinity(l, p.ExecCPUAffinity) },
		func() error { return Attributes(l, p, &c.linux) },
	}
	steps = append(steps,
		func() error { return Labels(l, proc, p, c.host) },
		func() (err error) { warnings, err = Identity(l, p, c.host, f); return err },
		func() error { return Finish(l, p, c.host, f) },
	)
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return l, warnings
}

func TestPlans(t *testing.T) {
	for _, c := range planCases() {
		t.Run(c.name, func(t *testing.T) {
			var f *Filter
			if c.linux.Seccomp != nil {
				f = compile(t, amd64, c.linux.Seccomp) // the same on every machine
			}
			l, warnings := build(t, &c, f)
			var b strings.Builder
			for _, o := range l.Ops {
				fmt.Fprintf(&b, "%v\n", o)
				if o.Means != "" {
					fmt.Fprintf(&b, "\tfailed: %s\n", o.Means)
				}
				for _, line := range []string{o.Shell, o.Why} {
					if line != "" {
						fmt.Fprintf(&b, "\t%s\n", line)
					}
				}
			}
			for _, warning := range warnings {
				fmt.Fprintf(&b, "warning: %s\n", warning)
			}
			file := filepath.Join("testdata", c.name+".txt")
			if *update {
				if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(golden), b.String()); diff != "" {
				t.Errorf("go test -update writes what is new (-golden +plan):\n%s", diff)
			}
			l.Fail(op.Int(2), 125)
			if _, err := l.Encode(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWarnings: what cannot be granted is left out, and said.
func TestWarnings(t *testing.T) {
	h := Host{LastCapability: unix.CAP_AUDIT_READ, Held: ^uint64(1 << unix.CAP_SYS_RESOURCE), DenySetgroups: true}
	list := []string{"CAP_CHOWN", "CAP_BPF", "CAP_SYS_RESOURCE"}
	p := &specs.Process{
		Capabilities: &specs.LinuxCapabilities{Bounding: list}, User: specs.User{AdditionalGids: []uint32{7}},
	}
	got, err := Identity(&op.List{}, p, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`process.capabilities.bounding: "CAP_BPF": the running kernel does not have it`,
		`process.capabilities.bounding: "CAP_SYS_RESOURCE": the runtime does not have it itself`,
		`process.user.additionalGids: [7]: the user namespace denies setgroups`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// TestSetsThatExclude: what one set has and another one does not allow is left out too, and the process starts.
func TestSetsThatExclude(t *testing.T) {
	chown, kill := []string{"CAP_CHOWN"}, []string{"CAP_KILL"}
	const refused = "process.capabilities.%s: can't raise %s capability %s: not among the %s ones"
	for _, test := range []struct {
		name string
		user uint32
		in   specs.LinuxCapabilities
		want sets
		says []string
	}{
		{"effective", 0, specs.LinuxCapabilities{Effective: []string{"CAP_CHOWN", "CAP_KILL"}, Permitted: kill},
			sets{effective: 1 << unix.CAP_KILL, permitted: 1 << unix.CAP_KILL},
			[]string{fmt.Sprintf(refused, "effective", "effective", "CAP_CHOWN", "permitted")}},
		{"inheritable", 0, specs.LinuxCapabilities{Inheritable: chown, Permitted: chown, Ambient: chown},
			sets{permitted: 1 << unix.CAP_CHOWN}, []string{
				fmt.Sprintf(refused, "inheritable", "inheritable", "CAP_CHOWN", "bounding"),
				fmt.Sprintf(refused, "ambient", "ambient", "CAP_CHOWN", "inheritable")}},
		{"ambient", 0, specs.LinuxCapabilities{Ambient: []string{"CAP_KILL", "CAP_CHOWN"}, Inheritable: kill, Bounding: kill, Permitted: kill},
			sets{bounding: 1 << unix.CAP_KILL, permitted: 1 << unix.CAP_KILL, inheritable: 1 << unix.CAP_KILL, ambient: 1 << unix.CAP_KILL},
			[]string{fmt.Sprintf(refused, "ambient", "ambient", "CAP_CHOWN", "permitted")}},
		{"user", 1, specs.LinuxCapabilities{Ambient: kill, Bounding: kill, Permitted: kill},
			sets{bounding: 1 << unix.CAP_KILL, permitted: 1 << unix.CAP_KILL},
			[]string{fmt.Sprintf(refused, "ambient", "ambient", "CAP_KILL", "inheritable")}},
		{"root", 0, specs.LinuxCapabilities{Ambient: kill, Bounding: kill, Permitted: kill},
			sets{bounding: 1 << unix.CAP_KILL, permitted: 1 << unix.CAP_KILL}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, says, err := setsOf(&specs.Process{User: specs.User{UID: test.user}, Capabilities: &test.in}, whole)
			if err != nil || got != test.want {
				t.Errorf("%+v, %v, want %+v", got, err, test.want)
			}
			if diff := cmp.Diff(test.says, says); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestProcessErrors: each of these is refused with the path of what is wrong.
func TestProcessErrors(t *testing.T) {
	wide := uint32(0o1777)
	capabilities := func(c specs.LinuxCapabilities) specs.Process { return specs.Process{Capabilities: &c} }
	user := func(u specs.User) specs.Process { return specs.Process{User: u} }
	sched := func(s specs.Scheduler) specs.Process { return specs.Process{Scheduler: &s} }
	io := func(i specs.LinuxIOPriority) specs.Process { return specs.Process{IOPriority: &i} }
	limits := func(r ...specs.POSIXRlimit) specs.Process { return specs.Process{Rlimits: r} }
	cpus := func(a specs.CPUAffinity) specs.Process { return specs.Process{ExecCPUAffinity: &a} }
	memory := func(m specs.LinuxMemoryPolicy) specs.Linux { return specs.Linux{MemoryPolicy: &m} }
	person := func(p specs.LinuxPersonality) specs.Linux { return specs.Linux{Personality: &p} }
	for _, test := range []struct {
		process specs.Process
		linux   specs.Linux
		want    string
	}{
		{capabilities(specs.LinuxCapabilities{Bounding: []string{"CAP_FOO"}}), specs.Linux{},
			`process.capabilities.bounding: "CAP_FOO": unknown capability`},
		{capabilities(specs.LinuxCapabilities{Ambient: []string{"chown"}}), specs.Linux{},
			`process.capabilities.ambient: "chown": unknown capability`},
		{user(specs.User{UID: 1<<32 - 1}), specs.Linux{}, `process.user.uid: 4294967295: not a user`},
		{user(specs.User{GID: 1<<32 - 1}), specs.Linux{}, `process.user.gid: 4294967295: not a group`},
		{user(specs.User{AdditionalGids: []uint32{0, 1<<32 - 1}}), specs.Linux{},
			`process.user.additionalGids[1]: 4294967295: not a group`},
		{user(specs.User{Umask: &wide}), specs.Linux{}, `process.user.umask: 01777: want at most 0777`},
		{specs.Process{ApparmorProfile: "docker-default"}, specs.Linux{},
			`process.apparmorProfile: "docker-default": the running kernel is without apparmor`},
		{specs.Process{SelinuxLabel: "a"}, specs.Linux{},
			`process.selinuxLabel: "a": the running kernel is without selinux`},
		{sched(specs.Scheduler{}), specs.Linux{}, `process.scheduler.policy: "": Linux has no such policy`},
		{sched(specs.Scheduler{Policy: specs.SchedISO}), specs.Linux{},
			`process.scheduler.policy: "SCHED_ISO": Linux has no such policy`},
		{sched(specs.Scheduler{Policy: specs.SchedOther, Nice: 20}), specs.Linux{},
			`process.scheduler.nice: 20: want -20 to 19`},
		{sched(specs.Scheduler{Policy: specs.SchedOther, Priority: 1}), specs.Linux{},
			`process.scheduler.priority: 1: not with SCHED_OTHER`},
		{sched(specs.Scheduler{Policy: specs.SchedRR, Runtime: 1}), specs.Linux{},
			`process.scheduler: runtime 1, deadline 0, period 0: not with SCHED_RR`},
		{sched(specs.Scheduler{Policy: specs.SchedRR, Flags: []specs.LinuxSchedulerFlag{"X"}}), specs.Linux{},
			`process.scheduler.flags[0]: "X": unknown flag`},
		{io(specs.LinuxIOPriority{Class: "IOPRIO_CLASS_NONE"}), specs.Linux{},
			`process.ioPriority.class: "IOPRIO_CLASS_NONE": unknown class`},
		{io(specs.LinuxIOPriority{}), specs.Linux{}, `process.ioPriority.class: "": unknown class`},
		{io(specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 8}), specs.Linux{},
			`process.ioPriority.priority: 8: want 0 to 7`},
		{limits(specs.POSIXRlimit{Type: "NOFILE"}), specs.Linux{}, `process.rlimits[0].type: "NOFILE": unknown limit`},
		{limits(specs.POSIXRlimit{Type: "RLIMIT_CPU"}, specs.POSIXRlimit{Type: "RLIMIT_CPU"}), specs.Linux{},
			`process.rlimits[1].type: "RLIMIT_CPU": limited twice`},
		{limits(specs.POSIXRlimit{Type: "RLIMIT_CPU", Soft: 2, Hard: 1}), specs.Linux{},
			`process.rlimits[0].soft: 2: above the hard limit, 1`},
		{cpus(specs.CPUAffinity{Initial: "1-0"}), specs.Linux{},
			`process.execCPUAffinity.initial: "1-0": want a list such as 0-3,7`},
		{cpus(specs.CPUAffinity{Final: "8192"}), specs.Linux{},
			`process.execCPUAffinity.final: "8192": want numbers below 8192`},
		{specs.Process{}, person(specs.LinuxPersonality{Domain: "BSD"}),
			`linux.personality.domain: "BSD": want LINUX or LINUX32`},
		{specs.Process{}, person(specs.LinuxPersonality{Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"X"}}),
			`linux.personality.flags: ["X"]: the specification has none`},
		{specs.Process{}, memory(specs.LinuxMemoryPolicy{}), `linux.memoryPolicy.mode: "": invalid memory policy mode`},
		{specs.Process{}, memory(specs.LinuxMemoryPolicy{Mode: specs.MpolBind}),
			`linux.memoryPolicy.nodes: none, and MPOL_BIND wants one at least`},
		{specs.Process{}, memory(specs.LinuxMemoryPolicy{Mode: specs.MpolLocal, Nodes: "0"}),
			`linux.memoryPolicy.nodes: "0": not with MPOL_LOCAL`},
		{specs.Process{}, memory(specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "x"}),
			`linux.memoryPolicy.nodes: invalid memory policy node: "x": want a list such as 0-3,7`},
		{specs.Process{}, memory(specs.LinuxMemoryPolicy{Mode: specs.MpolDefault, Flags: []specs.MemoryPolicyFlagType{"X"}}),
			`linux.memoryPolicy.flags[0]: "X": invalid memory policy flag`},
	} {
		host := whole
		host.LSMs = nil
		l, p := &op.List{}, &test.process
		var all []string
		note := func(err error) {
			if err != nil {
				all = append(all, err.Error())
			}
		}
		_, err := Identity(l, p, host, nil)
		note(err)
		note(Labels(l, op.NewVar("proc"), p, host))
		_, err = Rlimits(p)
		note(err)
		note(InitialAffinity(l, p.ExecCPUAffinity))
		note(FinalAffinity(l, p.ExecCPUAffinity))
		note(Attributes(l, p, &test.linux))
		if !slices.Equal(all, []string{test.want}) {
			t.Errorf("got %q, want %q", all, test.want)
		}
	}
}

func TestRlimits(t *testing.T) {
	p := &specs.Process{Rlimits: []specs.POSIXRlimit{
		{Type: "RLIMIT_NOFILE", Soft: 10, Hard: 20}, {Type: "RLIMIT_CPU", Hard: 1<<64 - 1},
	}}
	got, err := Rlimits(p)
	want := []Rlimit{
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, unix.Rlimit{Cur: 10, Max: 20}},
		{"RLIMIT_CPU", unix.RLIMIT_CPU, unix.Rlimit{Cur: 0, Max: unix.RLIM_INFINITY}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
