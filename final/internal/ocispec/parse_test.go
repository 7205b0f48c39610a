//go:build linux

package ocispec

import (
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A parsing is a flag's text, and what it means: a value, or the words of an error.
type parsing[T any] struct {
	text string
	want T
	err  string
}

func parses[T any](t *testing.T, parse func(string) (T, error), tests []parsing[T]) {
	t.Helper()
	for _, test := range tests {
		got, err := parse(test.text)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%q: %+v, %v; want %q", test.text, got, err, test.err)
			}
		case err != nil:
			t.Errorf("%q: %v", test.text, err)
		default:
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%q: -want +got\n%s", test.text, diff)
			}
		}
	}
}

func TestParseVolume(t *testing.T) {
	parse := func(text string) (Mount, error) { return ParseVolume(text, "/home/me") }
	bind := func(source string) Mount { return Mount{Type: Bind, Source: source, Target: "/x", Create: true} }
	ro := func(m Mount) Mount { m.ReadOnly = true; return m }
	slave := bind("/a")
	slave.Propagation, slave.Relabel = "rslave", "Z"
	parses(t, parse, []parsing[Mount]{
		{"/x", Mount{Type: Volume, Target: "/x"}, ""},
		{"name:/x", Mount{Type: Volume, Name: "name", Target: "/x"}, ""},
		{"name:/x:nocopy", Mount{Type: Volume, Name: "name", Target: "/x", NoCopy: true}, ""},
		{"/a/../b:/x/", bind("/b"), ""},
		{"/a:/x:ro", ro(bind("/a")), ""},
		{"/a:/x:rslave,Z", slave, ""},
		{"/a:/x:rw,cached", bind("/a"), ""},
		{"./rel:/x", bind("/home/me/rel"), ""},
		{"..:/x:ro", ro(bind("/home")), ""},
		{"", Mount{}, "want [SOURCE:]TARGET[:MODE]"},
		{"a:b:c:d", Mount{}, "want [SOURCE:]TARGET[:MODE]"},
		{":/x", Mount{}, "want [SOURCE:]TARGET[:MODE]"},
		{"/x:ro", Mount{}, "a mode goes with a source"},
		{"name:x", Mount{}, "want an absolute path"},
		{"/a:/", Mount{}, "the root file system is the image's"},
		{"/a:/x:", bind("/a"), ""},
		{"/a:/x:ro,rw", Mount{}, `there is "ro" already`},
		{"/a:/x:fast", Mount{}, `mode "fast"`},
		{"/a:/x:nocopy", Mount{}, "is for a volume"},
		{"name:/x:shared", Mount{}, "is for a path of the host"},
		{"a/b:/x", Mount{}, "a directory of the host begins with /"},
		{"n:/x", Mount{}, "two or more"},
	})
}

func TestParseMount(t *testing.T) {
	tmpfs := func(options ...string) Mount {
		return Mount{Type: Tmpfs, Target: "/t", Options: append([]string{"noexec", "nosuid", "nodev", "rprivate"}, options...)}
	}
	parses(t, ParseMount, []parsing[Mount]{
		{"target=/x", Mount{Type: Volume, Target: "/x"}, ""},
		{"type=volume,src=name,dst=/x,volume-nocopy,volume-label=a=b", Mount{
			Type: Volume, Name: "name", Target: "/x", NoCopy: true, Labels: map[string]string{"a": "b"}}, ""},
		{"type=bind,source=/a,destination=/x,readonly,bind-propagation=rshared", Mount{
			Type: Bind, Source: "/a", Target: "/x", ReadOnly: true, Propagation: "rshared"}, ""},
		{`type=bind,"source=/a,b",target=/x,ro=false,bind-recursive=disabled`, Mount{
			Type: Bind, Source: "/a,b", Target: "/x", NonRecursive: true}, ""},
		{"type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770", tmpfs("size=1048576", "mode=1770"), ""},
		{"type=bind,dst=/x", Mount{}, "wants an absolute path of the host"},
		{"type=bind,src=a,dst=/x", Mount{}, "wants an absolute path of the host"},
		{"type=tmpfs,src=a,dst=/x", Mount{}, "a tmpfs begins empty"},
		{"type=npipe,dst=/x", Mount{}, "want bind, volume or tmpfs"},
		{"type=bind,src=/a", Mount{}, "target is missing"},
		{"src=name,dst=/x,tmpfs-size=1m", Mount{}, "tmpfs-size: is for type=tmpfs"},
		{"dst=/x,size", Mount{}, "want a key=value pair"},
		{"dst=/x,colour=red", Mount{}, `unknown key "colour"`},
		{"dst=/x,ro=maybe", Mount{}, "want true or false"},
		{"type=tmpfs,dst=/x,tmpfs-mode=999", Mount{}, "want permissions"},
		{"dst=/x,volume-driver=nfs", Mount{}, "there is only local"},
		{"type=bind,src=/a,dst=/x,bind-propagation=up", Mount{}, "want one of private"},
	})
}

func TestParseTmpfs(t *testing.T) {
	parses(t, ParseTmpfs, []parsing[Mount]{
		{"/t", Mount{Type: Tmpfs, Target: "/t", Options: []string{"noexec", "nosuid", "nodev", "rprivate"}}, ""},
		{"/t/:exec,size=1m,size=2m,mode=700,ro", Mount{
			Type: Tmpfs, Target: "/t", ReadOnly: true, Options: []string{"nosuid", "nodev", "rprivate", "exec", "size=2m", "mode=700", "ro"}}, ""},
		{"t", Mount{}, "want an absolute path"},
		{"/t:size", Mount{}, `option "size": not one of a tmpfs`},
		{"/t:size=", Mount{}, "with a value"},
		{"/t:upperdir=/etc", Mount{}, "want one of size"},
	})
}

func TestParseDevice(t *testing.T) {
	parses(t, ParseDevice, []parsing[Device]{
		{"/dev/a", Device{"/dev/a", "/dev/a", "rwm"}, ""},
		{"/dev/a:r", Device{"/dev/a", "/dev/a", "r"}, ""},
		{"/dev/a:/dev/b", Device{"/dev/a", "/dev/b", "rwm"}, ""},
		{"/dev/a:/dev/b:rw", Device{"/dev/a", "/dev/b", "rw"}, ""},
		{"a", Device{}, "want HOST[:CONTAINER][:ACCESS]"},
		{"/dev/a:b", Device{}, "want an absolute path in the container"},
		{"/dev/a:/dev/b:rx", Device{}, "want some of r, w and m"},
		{"/dev/a:/dev/b:rr", Device{}, "want some of r, w and m"},
	})
	parses(t, ParseDeviceRule, []parsing[DeviceRule]{
		{"c 1:3 rwm", DeviceRule{"c", 1, 3, "rwm"}, ""},
		{"b *:* m", DeviceRule{"b", -1, -1, "m"}, ""},
		{"c 1 rwm", DeviceRule{}, "want TYPE MAJOR:MINOR ACCESS"},
		{"x 1:3 rwm", DeviceRule{}, "want TYPE MAJOR:MINOR ACCESS"},
		{"c 1:-3 rwm", DeviceRule{}, "want TYPE MAJOR:MINOR ACCESS"},
	})
}

func TestParseLimits(t *testing.T) {
	parses(t, ParseUlimit, []parsing[Ulimit]{
		{"nofile=1", Ulimit{"nofile", 1, 1}, ""},
		{"core=0:-1", Ulimit{"core", 0, -1}, ""},
		{"nofile", Ulimit{}, "want NAME=SOFT[:HARD]"},
		{"nofile=2:1", Ulimit{}, "soft limit must be less"},
	})
	parses(t, ParseCPUs, []parsing[int64]{
		{"1.5", 15e8, ""}, {".01", 1e7, ""}, {"-1", 0, "want a number of processors"}, {"0.0000000001", 0, "nine digits"}, {"x", 0, "want"},
		{"1e999999999", 0, "want a number of processors"}, {"1/2", 0, "want a number"},
	})
	parses(t, ParseMemorySwap, []parsing[int64]{
		{"-1", -1, ""}, {"1g", 1 << 30, ""}, {"-2", 0, "-1 for no limit"}, {"1x", 0, "-1 for no limit"},
	})
	parses(t, ParseUserns, []parsing[Userns]{
		{"host", Userns{}, ""}, {"100000:65536", Userns{100000, 65536}, ""},
		{"100000", Userns{}, "want host, or a range"}, {"4294967295:2", Userns{}, "want host"}, {"0:0", Userns{}, "want host"},
	})
}

// TestResources: Docker's rules, where a value of one flag depends on another.
func TestResources(t *testing.T) {
	for _, test := range []struct {
		r        Resources
		swap     int64
		quota    int64
		wantless bool
	}{
		{Resources{Memory: 64 << 20}, 128 << 20, 0, false},
		{Resources{Memory: 64 << 20, MemorySwap: -1}, -1, 0, false},
		{Resources{Memory: 64 << 20, MemorySwap: 64 << 20}, 64 << 20, 0, false},
		{Resources{NanoCPUs: 5e8}, 0, 50000, true},
	} {
		s, err := test.r.Spec(0)
		if err != nil {
			t.Errorf("%+v: %v", test.r, err)
			continue
		}
		if test.wantless != (s.Memory == nil) || s.Memory != nil && *s.Memory.Swap != test.swap {
			t.Errorf("%+v: memory %+v, want swap %d", test.r, s.Memory, test.swap)
		}
		if test.quota > 0 && (*s.CPU.Quota != test.quota || *s.CPU.Period != 100000) {
			t.Errorf("%+v: cpu %+v, want quota %d", test.r, s.CPU, test.quota)
		}
	}
}

func TestParseSecurity(t *testing.T) {
	read := func(name string) ([]byte, error) {
		return []byte(map[string]string{
			"good": `{"defaultAction":"SCMP_ACT_ALLOW"}`, "bad": "{", "both": `{"architectures":["a"],"archMap":[{}]}`,
		}[name]), nil
	}
	parse := func(text string) (Security, error) { return ParseSecurity(strings.Fields(text), read) }
	parses(t, parse, []parsing[Security]{
		{"no-new-privileges seccomp=unconfined apparmor=a", Security{NoNewPrivileges: true, Seccomp: Unconfined, AppArmor: "a"}, ""},
		{"no-new-privileges:true systempaths=unconfined writable-cgroups=true", Security{
			NoNewPrivileges: true, SystemPaths: true, WritableCgroups: true}, ""},
		{"seccomp=good", Security{Seccomp: `{"defaultAction":"SCMP_ACT_ALLOW"}`}, ""},
		{"seccomp=unconfined seccomp=builtin", Security{}, ""},
		{"label=type:t label=level:s0:c1", Security{Label: Label{Type: "t", Level: "s0:c1"}}, ""},
		{"label:disable", Security{Label: Label{Disable: true}}, ""},
		{"seccomp=bad", Security{}, "seccomp profile"},
		{"seccomp=both", Security{}, "architectures and archMap"},
		{"label=x", Security{}, "want label=disable"},
		{"colour=red", Security{}, `unknown option "colour"`},
		{"seccomp", Security{}, "want no-new-privileges"},
		{"no-new-privileges=x", Security{}, "want true or false"},
	})
}

// TestAllMounts: an image's volume gives way to what a person wants at its place.
func TestAllMounts(t *testing.T) {
	image := Config{Volumes: []string{"/a/b", "/c"}}
	o := Options{Mounts: []Mount{{Type: Tmpfs, Target: "/c"}, {Type: Bind, Target: "/a"}}}
	got, err := o.AllMounts(image)
	want := []Mount{{Type: Tmpfs, Target: "/c"}, {Type: Bind, Target: "/a"}, {Type: Volume, Target: "/a/b"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
	o.Mounts = append(o.Mounts, Mount{Type: Volume, Target: "/c"})
	if _, err := o.AllMounts(image); err == nil || !strings.Contains(err.Error(), "two for /c") {
		t.Errorf("two mounts at one place: %v", err)
	}
}

// FuzzParse: whatever is typed, a mount has a place in the container that is absolute, clean and not the root, and one
// of the host an absolute source.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"/x", "name:/x:ro,Z", "./a:/b:rslave", "type=bind,src=/a,dst=/b,ro", `"type=tmpfs","dst=/t,u"`, "/t:size=1m,exec",
		"/dev/a:/dev/b:rwm", "c 1:3 rwm", "nofile=1:2", "100000:65536", "1.5", "seccomp=x", "net.x=1", "..:/..:", ":", ",", "=",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		volume := func(text string) (Mount, error) { return ParseVolume(text, "/home") }
		for _, parse := range []func(string) (Mount, error){volume, ParseMount, ParseTmpfs} {
			m, err := parse(text)
			if err != nil {
				continue
			}
			if !path.IsAbs(m.Target) || path.Clean(m.Target) != m.Target || m.Target == "/" {
				t.Errorf("%q: target %q", text, m.Target)
			}
			if m.Type == Bind && !path.IsAbs(m.Source) || m.Type != Bind && m.Source != "" {
				t.Errorf("%q: %s of source %q", text, m.Type, m.Source)
			}
		}
		if d, err := ParseDevice(text); err == nil && (!path.IsAbs(d.Host) || !isAccess(d.Access)) {
			t.Errorf("%q: %+v", text, d)
		}
		if u, err := ParseUserns(text); err == nil && uint64(u.First)+uint64(u.Size) >= 1<<32 {
			t.Errorf("%q: %+v", text, u)
		}
		if n, err := ParseCPUs(text); err == nil && n < 0 {
			t.Errorf("%q: %d", text, n)
		}
		_, _ = ParseDeviceRule(text)
		_, _ = ParseUlimit(text)
		_, _ = ParseMemorySwap(text)
		_, _ = ParseSecurity([]string{text}, func(string) ([]byte, error) { return []byte(text), nil })
		_, _ = ParseEnvFile(strings.NewReader(text), lookUp)
	})
}
