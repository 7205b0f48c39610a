//go:build linux

package ocispec

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write the golden files anew")

// known are the capabilities of the host of the tests: all but one can be given.
var known = append([]string{"CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_RESOURCE"}, defaultCapabilities...)

// host is the machine that golden files are for.
func host() Host {
	return Host{
		Arch: "amd64", Kernel: [2]int{6, 1}, CPUs: 4, CgroupV2: true, Hostname: "machine",
		Capabilities: append(known[:3:3], defaultCapabilities...), KnownCapabilities: known,
		Devices: []specs.LinuxDevice{{Path: "/dev/sda", Type: "b", Major: 8}},
	}
}

// web is an image as they are.
func web() Config {
	return Config{
		Entrypoint: []string{"/entry.sh"}, Cmd: []string{"serve", "--all"}, Env: []string{"PATH=/opt/bin:/bin", "VERSION=1"},
		Workdir: "/srv", User: "www", Volumes: []string{"/data", "/cache/"}, ExposedPorts: []string{"80/tcp"},
		Labels: map[string]string{"from": "image"}, StopSignal: "SIGQUIT",
	}
}

// prepared is what an engine would have for the options, volumes included.
func prepared(t *testing.T, o Options, image Config) Container {
	t.Helper()
	c := Container{
		ID: "3f0c8d6b1a2e4f5061728394a5b6c7d8", Root: "/c/rootfs", User: User{Home: "/root"},
		Hosts: "/c/hosts", HostnameFile: "/c/hostname", Resolv: "/c/resolv.conf",
		Init: "/usr/bin/init", CgroupPath: "/final/3f0c",
	}
	var err error
	if c.Mounts, err = o.AllMounts(image); err != nil {
		t.Fatal(err)
	}
	for i, m := range c.Mounts {
		if m.Type == Volume {
			c.Mounts[i].Source = "/volumes/" + strings.Trim(m.Name+m.Target, "/")
		}
	}
	return c
}

// TestGolden compares the whole of config.json. Only the seccomp profile, which has some 500 lines, is left to
// TestSeccomp.
func TestGolden(t *testing.T) {
	mount := func(parse func(string) (Mount, error), text string) Mount {
		m, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	volume := func(text string) Mount {
		return mount(func(text string) (Mount, error) { return ParseVolume(text, "/home") }, text)
	}
	score := -500
	for name, test := range map[string]struct {
		o     Options
		image Config
		with  func(*Container)
	}{
		"plain":      {Options{}, Config{Cmd: []string{"sh"}}, nil},
		"image":      {Options{Terminal: true}, web(), func(c *Container) { c.User = User{UID: 33, GID: 33, Groups: []uint32{4}, Home: "/var/www"} }},
		"replaced":   {Options{Args: []string{"a"}, Entrypoint: []string{}, Env: []string{"VERSION", "X=1"}, Workdir: "/w/../x"}, web(), nil},
		"privileged": {Options{Privileged: true, Args: []string{"sh"}}, Config{}, nil},
		"shared":     {Options{Network: "host", PID: "host", IPC: "host", UTS: "host", Cgroup: "host"}, web(), nil},
		"joined": {Options{Network: "container:a", PID: "container:a", IPC: "container:a"}, web(), func(c *Container) {
			c.Shm = "/shm"
			c.Namespaces = map[specs.LinuxNamespaceType]string{
				specs.NetworkNamespace: "/proc/7/ns/net", specs.PIDNamespace: "/proc/7/ns/pid", specs.IPCNamespace: "/proc/7/ns/ipc",
			}
		}},
		"files": {Options{ReadOnly: true, ShmSize: 1 << 20, Init: true, Mounts: []Mount{
			volume("/srv:/data:ro"), volume("named:/deep/er"), volume("./rel:/rel:z,rslave"), volume("/anonymous"),
			mount(ParseTmpfs, "/run:size=1m,exec"), mount(ParseMount, "type=tmpfs,dst=/dev/shm,tmpfs-mode=1770"),
			mount(ParseMount, "type=bind,src=/etc/hosts,dst=/etc/hosts,ro,bind-nonrecursive"),
		}}, web(), nil},
		"limits": {Options{
			Resources: Resources{Memory: 64 << 20, Reservation: 32 << 20, NanoCPUs: 15e8, CPUShares: 512, CpusetCPUs: "0-1", Pids: 32},
			Ulimits:   []Ulimit{{"nofile", 64, 128}, {"core", -1, -1}, {"nofile", 1, 2}}, OOMScore: &score,
			Devices: []Device{{"/dev/fuse", "/dev/fuse", "rw"}}, DeviceRules: []DeviceRule{{"c", 10, -1, "r"}},
		}, web(), func(c *Container) {
			c.Devices = []Node{{specs.LinuxDevice{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}, "rw"}}
		}},
		"mapped": {Options{Userns: Userns{100000, 65536}, Sysctls: map[string]string{"net.core.somaxconn": "9", "kernel.sem": "1 2 3 4"}}, web(), nil},
		"security": {Options{CapDrop: []string{"ALL"}, CapAdd: []string{"net_bind_service"}, Security: Security{
			NoNewPrivileges: true, Seccomp: Unconfined, SystemPaths: true, WritableCgroups: true}, Domainname: "nis", Hostname: "h"}, web(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			c := prepared(t, test.o, test.image)
			if test.with != nil {
				test.with(&c)
			}
			s, err := Spec(test.o, test.image, c, host())
			if err != nil {
				t.Fatal(err)
			}
			if s.Linux.Seccomp != nil {
				s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: s.Linux.Seccomp.DefaultAction}
			}
			golden(t, filepath.Join("testdata", name+".json"), s)
		})
	}
}

// lists are those of words and numbers, which are to be one line of a golden file.
var lists = regexp.MustCompile(`\[[^\[\]{}]*\]`)

func golden(t *testing.T, file string, s *specs.Spec) {
	t.Helper()
	got, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(lists.ReplaceAllFunc(got, func(list []byte) []byte {
		return []byte("[" + strings.Join(strings.Fields(string(list[1:len(list)-1])), " ") + "]")
	}), '\n')
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s: -want +got (go test -update if it is right)\n%s", file, diff)
	}
}

// TestRefused: what does not go together, or would do something else than it says, is an error that says so.
func TestRefused(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Entrypoint: []string{}}, "no command"},
		{Options{Workdir: "here"}, `--workdir "here": want an absolute path`},
		{Options{Hostname: "a b"}, `--hostname "a b": want`},
		{Options{Hostname: "x", UTS: "host"}, "the host's name cannot be changed"},
		{Options{Sysctls: map[string]string{"vm.swappiness": "1"}}, `--sysctl "vm.swappiness=1": the parameter is the whole machine's`},
		{Options{Sysctls: map[string]string{"net.core.somaxconn": "1"}, Network: "host"}, "the network is the host's"},
		{Options{Sysctls: map[string]string{"kernel.sem": "1"}, IPC: "host"}, "the IPC namespace is the host's"},
		{Options{CapAdd: []string{"FLY"}}, `--cap-add "FLY": no capability has the name`},
		{Options{CapAdd: []string{"SYS_RESOURCE"}}, "CAP_SYS_RESOURCE is not ours to give"},
		{Options{CapDrop: []string{"FLY"}}, `--cap-drop "FLY": no capability has the name`},
		{Options{Security: Security{AppArmor: "x"}}, "AppArmor is not switched on"},
		{Options{Security: Security{Label: Label{Type: "x"}}}, "SELinux is not switched on"},
		{Options{Security: Security{Seccomp: "{"}}, "seccomp profile"},
		{Options{PID: "container:x"}, `--pid "container:x": the container has no such namespace`},
		{Options{Userns: Userns{1, 9}, Privileged: true}, "--userns: not together with --privileged"},
		{Options{Userns: Userns{1, 9}, Network: "host"}, "--userns: not together with --network host"},
		{Options{Resources: Resources{NanoCPUs: 5e9}}, "want 0.01 to 4.00, as there are 4 processors"},
		{Options{Resources: Resources{CpusetCPUs: "1-"}}, `--cpuset-cpus "1-": want numbers and ranges`},
	} {
		s, err := Spec(test.o, web(), prepared(t, test.o, web()), host())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v, %v; want %q", test.o, s, err, test.want)
		}
	}
	o := Options{Userns: Userns{1, 9}}
	c := prepared(t, o, web())
	c.User.UID = 9
	if _, err := Spec(o, web(), c, host()); err == nil || !strings.Contains(err.Error(), "id 9: --userns maps 0 to 8") {
		t.Errorf("a user who is not mapped: %v", err)
	}
}

// TestOver: what a person says wins over the image, and an entrypoint makes the image's command void.
func TestOver(t *testing.T) {
	for _, test := range []struct {
		name string
		o    Options
		want []string
	}{
		{"nothing", Options{}, []string{"/entry.sh", "serve", "--all"}},
		{"command", Options{Args: []string{"x"}}, []string{"/entry.sh", "x"}},
		{"entrypoint", Options{Entrypoint: []string{"/e"}}, []string{"/e"}},
		{"both", Options{Entrypoint: []string{"/e"}, Args: []string{"x"}}, []string{"/e", "x"}},
		{"no entrypoint", Options{Entrypoint: []string{}, Args: []string{"x"}}, []string{"x"}},
	} {
		c := test.o.Over(web())
		if diff := cmp.Diff(test.want, c.Args()); diff != "" {
			t.Errorf("%s: -want +got\n%s", test.name, diff)
		}
		if again := test.o.Over(c); !cmp.Equal(c, again) {
			t.Errorf("%s: laid over twice, it is another: %s", test.name, cmp.Diff(c, again))
		}
	}
	c := Options{User: "u", Workdir: "/x", StopSignal: "9", Labels: map[string]string{"from": "me", "x": ""}}.Over(web())
	want := web()
	want.User, want.Workdir, want.StopSignal, want.Labels = "u", "/x", "9", map[string]string{"from": "me", "x": ""}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

// TestOptionsAsJSON: an engine keeps them in a file.
func TestOptionsAsJSON(t *testing.T) {
	for _, o := range []Options{{}, {Entrypoint: []string{}}, {Entrypoint: []string{"x"}, Env: []string{"A=1"}}} {
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var again Options
		if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(o, again) {
			t.Errorf("%s: %v %s", text, err, cmp.Diff(o, again))
		}
	}
}

// TestLSM: what the security modules are told, by what there is and what was asked for.
func TestLSM(t *testing.T) {
	on := Host{AppArmor: true, Profile: "default", SELinux: true}
	label := Label{Type: "a_t", Level: "s0:c1,c2"}
	for _, test := range []struct {
		o    Options
		h    Host
		want LSM
	}{
		{Options{}, Host{}, LSM{}},
		{Options{}, on, LSM{Profile: "default"}},
		{Options{}, Host{AppArmor: true}, LSM{}}, // nothing to load a profile with
		{Options{Privileged: true}, on, LSM{}},
		{Options{Privileged: true, Security: Security{AppArmor: "x"}}, on, LSM{Profile: "x"}},
		{Options{Security: Security{AppArmor: Unconfined}}, on, LSM{}},
		{Options{Security: Security{AppArmor: Unconfined}}, Host{}, LSM{}},
		{Options{Security: Security{AppArmor: "x"}}, Host{AppArmor: true}, LSM{Profile: "x"}},
		{Options{Security: Security{AppArmor: Unconfined, Label: label}}, on,
			LSM{Process: "system_u:system_r:a_t:s0:c1,c2", Files: "system_u:object_r:container_file_t:s0:c1,c2"}},
		{Options{Security: Security{Label: Label{Disable: true}}}, on, LSM{Profile: "default"}},
	} {
		if got, err := test.o.LSM(test.h); err != nil || got != test.want {
			t.Errorf("%+v on %+v: %+v, %v; want %+v", test.o, test.h, got, err, test.want)
		}
	}
	relabel := Options{Mounts: []Mount{{Source: "/a", Target: "/b", Relabel: "Z"}}, Security: Security{Label: label}}
	if _, err := relabel.LSM(on); err == nil || !strings.Contains(err.Error(), "chcon -R -t container_file_t /a") {
		t.Errorf("a volume with Z: %v", err)
	}
}
