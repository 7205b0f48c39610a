//go:build linux && !engine

package main

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// TestContainerSpec: what flags ask for, the runtime does: config.json is made of them, and the container looks at
// itself.
func TestContainerSpec(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(directory+"/file", []byte("the host's\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const status = "cat /proc/self/status"
	for _, test := range []struct {
		flags, script string
		want          []string
	}{
		{"", status, []string{"CapBnd:\t" + bits(dockers), "CapEff:\t" + bits(dockers), "Seccomp:\t2", "NoNewPrivs:\t0"}},
		{"", "hostname; pwd; id; env", []string{"0123456789ab\n/\nuid=0(root) gid=0(root)", "HOME=/root", "HOSTNAME=0123456789ab"}},
		{"--cap-drop all --cap-add chown", status, []string{"CapBnd:\t" + bits([]string{"CAP_CHOWN"})}},
		{"--security-opt seccomp=unconfined --security-opt no-new-privileges", status, []string{"Seccomp:\t0", "NoNewPrivs:\t1"}},
		{"-u 11:12 --group-add 13 -w /tmp -e A=b -h name", "id; pwd; echo $A; hostname; " + status, []string{
			"uid=11", "gid=12", "13", "/tmp\nb\nname\n", "CapEff:\t" + bits(nil), "CapBnd:\t" + bits(dockers)}},
		{"--privileged", status + "; head -c 4 /proc/kcore | wc -c; mount", []string{"Seccomp:\t0", "4\n", "sysfs (rw,"}},
		{"--read-only --tmpfs /run:size=1m,mode=750", "touch /x; touch /run/x && mount", []string{
			"read-only file system", "on /run type tmpfs (rw,nosuid,nodev,noexec,relatime,size=1024k,mode=750"}},
		{"--shm-size 2m", "mount", []string{"on /dev/shm type tmpfs (rw,nosuid,nodev,noexec,relatime,size=2048k"}},
		{"--sysctl net.core.somaxconn=77", "cat /proc/sys/net/core/somaxconn /proc/sys/net/ipv4/ip_unprivileged_port_start", []string{"77\n0\n"}},
		{"--ulimit core=3:500 --oom-score-adj 500", "cat /proc/self/limits /proc/self/oom_score_adj", []string{"3                    500", "500\n"}},
		{"-v " + directory + ":/data:ro", "cat /data/file; touch /data/x", []string{"the host's", "read-only file system"}},
		{"--mount type=bind,src=" + directory + ",dst=/data", "touch /data/new && ls /data", []string{"new"}},
		{"--userns 100000:65536", "cat /proc/self/uid_map; id", []string{"100000      65536", "uid=0"}},
		{"--network host --ipc host --uts host --pid host", "ls -l /proc/self/ns", shared(t, "net", "ipc", "uts", "pid")},
		{"-m 64m --memory-swap 64m --cpus 0.5 --pids-limit 32", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max",
			[]string{"67108864\n"}},
	} {
		t.Run(test.flags, func(t *testing.T) {
			t.Parallel()
			v := newVictim(t, false)
			v.spec = specOf(t, v, test.flags)
			v.spec.Process.Args = []string{"sh", "-c", "(" + test.script + ") 2>&1; true"}
			if strings.Contains(test.flags, "--userns") {
				chown(t, v)
			}
			got := v.run()
			mustHave(t, test.script, got, test.want...)
		})
	}
}

// dockers are the capabilities that Docker gives, by the numbers of linux/capability.h.
var dockers = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// bits are capabilities as the kernel prints them, without those that the test does not have itself.
func bits(names []string) string {
	var set uint64
	for number, known := range confine.Capabilities() {
		for _, name := range names {
			if name == known && held(number) {
				set |= 1 << number
			}
		}
	}
	return fmt.Sprintf("%016x", set)
}

func held(capability int) bool {
	has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(capability), 0, 0, 0)
	return err == nil && has == 1
}

// shared are this process's namespaces.
func shared(t *testing.T, kinds ...string) (links []string) {
	t.Helper()
	for _, kind := range kinds {
		link, err := os.Readlink("/proc/self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		links = append(links, link)
	}
	return links
}

// specOf is the config.json that run would write.
func specOf(t *testing.T, v *victim, line string) *specs.Spec {
	t.Helper()
	o, err := parseContainer(strings.Fields(line))
	if err != nil {
		t.Fatal(err)
	}
	image := ocispec.Config{Cmd: []string{"sh"}}
	known := confine.Capabilities()
	host := ocispec.Host{Arch: goruntime.GOARCH, Kernel: [2]int{6, 1}, KnownCapabilities: known, Hostname: "host"}
	for number, name := range known {
		if held(number) {
			host.Capabilities = append(host.Capabilities, name)
		}
	}
	c := ocispec.Container{ID: "0123456789abcdef", Root: "rootfs"}
	if c.Mounts, err = o.AllMounts(image); err != nil {
		t.Fatal(err)
	}
	if c.User, err = ocispec.LookUpUser(o.User, o.Groups, strings.NewReader("root:x:0:0::/root:"), nil); err != nil {
		t.Fatal(err)
	}
	s, err := ocispec.Spec(o, image, c, host)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// chown gives the image's files to the root of the user namespace, as an overlay of mapped layers shows them.
func chown(t *testing.T, v *victim) {
	t.Helper()
	if err := os.Chown(v.image(""), 100000, 100000); err != nil {
		t.Fatal(err)
	}
}
