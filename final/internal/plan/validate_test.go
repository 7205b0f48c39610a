//go:build linux

package plan

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// spec is a config.json in short: the least that there must be, and what a test adds to the four parts.
func spec(top, process, linux, namespaces string) string {
	return `{"ociVersion": "1.2.0", "root": {"path": "rootfs"}` + top +
		`, "process": {"args": ["sh"], "cwd": "/", "user": {"uid": 0, "gid": 0}` + process +
		`}, "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}` + namespaces + `]` + linux + `}}`
}

func parse(t *testing.T, text string) *specs.Spec {
	t.Helper()
	s := &specs.Spec{}
	if err := json.Unmarshal([]byte(text), s); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// build is the way of a config.json to a plan, on the machine of the tests: its words, and its bytes.
func build(s *specs.Spec) (string, error) {
	if err := errors.Join(Validate(s), ValidateChanges(s)); err != nil {
		return "", err
	}
	if s.Process == nil {
		s.Process = &specs.Process{Cwd: "/"} // as package runtime does
	}
	o := machine()
	o.Rootfs.UserNamespace = Has(s, specs.UserNamespace)
	o.Rootfs.NetNamespace = Has(s, specs.NetworkNamespace)
	o.Rootfs.Cgroup.Namespace = Has(s, specs.CgroupNamespace)
	list, err := Create(s, o)
	if err != nil {
		return "", err
	}
	image, err := list.Encode()
	return text(list) + string(image), err
}

// TestRefused: what is wrong with a config.json is said with its name and its value.
func TestRefused(t *testing.T) {
	for _, test := range []struct{ name, config, want string }{
		{"nothing", `{}`, `ociVersion: missing`},
		{"version 2", `{"ociVersion": "2.0.0"}`, `ociVersion: "2.0.0": want 1.x, such as ` + specs.Version},
		{"version one", `{"ociVersion": "1"}`, `ociVersion: "1": want 1.x, such as ` + specs.Version},
		{"no root", `{"ociVersion": "1.0.0"}`, `root.path: missing`},
		{"an empty root", `{"ociVersion": "1.0.0", "root": {"path": ""}}`, `root.path: missing`},
		{"no arguments", `{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"namespaces": [{"type": "mount"}]}, "process": {"cwd": "/"}}`,
			`process.args: empty: want a command`},
		{"solaris", spec(`, "solaris": {}`, ``, ``, ``), `solaris: this is a runtime for Linux`},
		{"windows", spec(`, "windows": {"layerFolders": []}`, ``, ``, ``), `windows: this is a runtime for Linux`},
		{"vm", spec(`, "vm": {"kernel": {"path": "/k"}}`, ``, ``, ``), `vm: this is a runtime for Linux`},
		{"zos", spec(`, "zos": {}`, ``, ``, ``), `zos: this is a runtime for Linux`},
		{"freebsd", spec(`, "freebsd": {}`, ``, ``, ``), `freebsd: this is a runtime for Linux`},

		{"a relative cwd", `{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"namespaces": [{"type": "mount"}]}, "process": {"args": ["a"], "cwd": "tmp"}}`,
			`process.cwd: "tmp": want an absolute path`},
		{"a command line", spec(``, `, "commandLine": "cmd"`, ``, ``), `process.commandLine: "cmd": it is for Windows`},
		{"a user by name", spec(``, `, "user": {"username": "ann"}`, ``, ``), `process.user.username: "ann": it is for Windows`},
		{"a console too large", spec(``, `, "terminal": true, "consoleSize": {"height": 65536, "width": 80}`, ``, ``), `process.consoleSize: 65536 × 80: too large`},
		{"a zero byte", spec(``, `, "env": ["A=1", "B=\u0000"]`, ``, ``), `process.env[1]: "B=\x00": it has a zero byte`},
		{"no variable", spec(``, `, "env": ["A"]`, ``, ``), `process.env[0]: "A": want NAME=VALUE`},
		{"a umask too large", spec(``, `, "user": {"umask": 512}`, ``, ``), `process.user.umask: 01000: want at most 0777`},
		{"user -1", spec(``, `, "user": {"uid": 4294967295}`, ``, ``), `process.user.uid: 4294967295: not a user`},
		{"group -1", spec(``, `, "user": {"additionalGids": [1, 4294967295]}`, ``, ``), `process.user.additionalGids[1]: 4294967295: not a group`},

		{"no mount namespace", `{"ociVersion": "1.0.0", "root": {"path": "r"}, "process": {"args": ["sh"], "cwd": "/"}, "linux": {"namespaces": [{"type": "user"}]}}`,
			`linux.namespaces: a user namespace without a mount namespace: it may not mount anything`},
		{"an unknown namespace", spec(``, ``, ``, `, {"type": "space"}`), `linux.namespaces[2].type: "space": unknown`},
		{"a namespace twice", spec(``, ``, ``, `, {"type": "pid", "path": "/proc/1/ns/pid"}`), `linux.namespaces[2].type: "pid": it is there twice`},
		{"a namespace by a relative path", spec(``, ``, ``, `, {"type": "ipc", "path": "ns/ipc"}`), `linux.namespaces[2].path: "ns/ipc": want an absolute path`},
		{"a user namespace without ids", spec(``, ``, ``, `, {"type": "user"}`),
			`linux.uidMappings, linux.gidMappings: empty: a user namespace without ids has no root`},
		{"ids without a user namespace", spec(``, ``, `, "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]`, ``),
			`linux.uidMappings, linux.gidMappings: they need a user namespace`},
		{"a clock without a time namespace", spec(``, ``, `, "timeOffsets": {"monotonic": {"secs": 1}}`, ``),
			`linux.timeOffsets: they need a new time namespace`},
		{"an unknown clock", spec(``, ``, `, "timeOffsets": {"realtime": {"secs": 1}}`, `, {"type": "time"}`),
			`linux.timeOffsets: "realtime": want monotonic or boottime`},
		{"a clock's nanoseconds", spec(``, ``, `, "timeOffsets": {"monotonic": {"nanosecs": 1000000000}}`, `, {"type": "time"}`),
			`linux.timeOffsets: "monotonic": nanosecs 1000000000: want less than a second`},
		{"a parameter by another's procfs", `{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"sysctl": {"net.a": "1"},
			"namespaces": [{"type": "mount", "path": "/proc/1/ns/mnt"}, {"type": "network"}]}}`,
			`linux.sysctl, linux.timeOffsets: in a mount namespace by path, /proc may be no procfs, ` +
				`and what is written there reach another file (CVE-2025-52881): have a new one`},
		{"a device of the host's network", spec(``, ``, `, "netDevices": {"eth0": {}}`, ``), `linux.netDevices: they need a network namespace that is not the host's`},
		{"a host's name", spec(`, "hostname": "me"`, ``, ``, ``), `hostname: "me": without a uts namespace it would be the host's`},
		{"a host's domain", spec(`, "domainname": "me"`, ``, ``, ``), `domainname: "me": without a uts namespace it would be the host's`},

		{"a relative hook", spec(`, "hooks": {"poststop": [{"path": "/a"}, {"path": "b"}]}`, ``, ``, ``), `hooks.poststop[1].path: "b": want an absolute path`},
		{"a hook without time", spec(`, "hooks": {"prestart": [{"path": "/a", "timeout": 0}]}`, ``, ``, ``),
			`hooks.prestart[0].timeout: 0: want a number of seconds above 0`},
		{"rdt", spec(``, ``, `, "intelRdt": {}`, ``), `linux.intelRdt: not supported`},
		{"propagation", spec(``, ``, `, "rootfsPropagation": "everywhere"`, ``),
			`linux.rootfsPropagation: "everywhere": want shared, slave, private or unbindable`},
		{"a sysctl of the machine", spec(``, ``, `, "sysctl": {"kernel.panic": "1"}`, ``),
			`linux.sysctl: "kernel.panic": no namespace has a copy of it: it is the whole machine's`},
		{"a mount on the root", spec(`, "mounts": [{"destination": "/", "type": "tmpfs"}]`, ``, ``, ``),
			`mounts[0]: destination: "/": the root is not to be covered, its own mount is root.path`},
		{"a mount of nothing", spec(`, "mounts": [{"destination": "/a", "source": "/b"}]`, ``, ``, ``),
			`mounts[0]: type: missing, and options have neither bind nor rbind`},
		{"a masked path", spec(``, ``, `, "maskedPaths": ["proc"]`, ``), `linux.maskedPaths[0]: "proc": want an absolute path below /`},
		{"a device", spec(``, ``, `, "devices": [{"path": "/dev/x", "type": "z"}]`, ``), `linux.devices[0].type: "z": want c, b, u or p`},
		{"a capability", spec(``, `, "capabilities": {"bounding": ["CAP_MAGIC"]}`, ``, ``), `process.capabilities.bounding: "CAP_MAGIC": unknown capability`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := build(parse(t, test.config))
			if err == nil || err.Error() != test.want {
				t.Errorf("%s\nwant: %s\ngot:  %v", test.config, test.want, err)
			}
		})
	}
}

// TestTaken: newer versions, and what looks odd but is right.
func TestTaken(t *testing.T) {
	for _, config := range []string{
		spec(``, ``, ``, ``),
		`{"ociVersion": "1.99.0-dev", "root": {"path": "r"}, "process": {"args": ["a"], "cwd": "/"}, "linux": {"namespaces": [{"type": "mount"}]}, "new": {"field": 1}}`,
		`{"ociVersion": "1.0.0", "root": {"path": "r"}, "linux": {"namespaces": [{"type": "mount"}]}}`,
		`{"ociVersion": "1.0.0", "root": {"path": "r"}}`,
		spec(`, "hooks": {"prestart": [{"path": "/a", "timeout": 1}]}`, `, "env": ["A=", "=C:=x"]`, ``, ``),
	} {
		if _, err := build(parse(t, config)); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

// TestCandidates: where a command is looked for.
func TestCandidates(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		want string
	}{
		{"sh", []string{"PATH=/a:/b"}, "/a/sh /b/sh"},
		{"sh", []string{"PATH=/a", "PATH=/b"}, "/b/sh"},
		{"sh", []string{"PATH=:/b:c"}, "./sh /b/sh c/sh"},
		{"sh", []string{"PATH=/b:"}, "/b/sh ./sh"},
		{"sh", nil, "/usr/local/sbin/sh /usr/local/bin/sh /usr/sbin/sh /usr/bin/sh /sbin/sh /bin/sh"},
	} {
		got := ""
		for i, candidate := range candidates(test.name, test.env) {
			if i > 0 {
				got += " "
			}
			got += candidate
		}
		if got != test.want {
			t.Errorf("%q with %q: %s, want %s", test.name, test.env, got, test.want)
		}
	}
}
