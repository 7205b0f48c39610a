//go:build linux

package web

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

func TestQuota(t *testing.T) {
	for _, row := range []struct {
		v2, quota, period string
		want              float64
	}{
		{"50000 100000", "", "", 0.5},
		{"max 100000", "", "", 0},
		{"", "150000", "100000", 1.5},
		{"", "-1", "100000", 0},
		{"", "", "", 0},
		{"1 0", "", "", 0},
	} {
		if got := quota(row.v2, row.quota, row.period); got != row.want {
			t.Errorf("%+v: %v", row, got)
		}
	}
}

func TestLimit(t *testing.T) {
	for n, want := range map[uint64]uint64{
		64 << 20: 64 << 20, 1<<64 - 1: 0, 9223372036854771712: 0, 0: 0,
	} {
		if got := limit(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

func TestWorkingSet(t *testing.T) {
	for want, m := range map[uint64]cgroup.Memory{
		70: {Usage: cgroup.MemoryEntry{Usage: 100}, Raw: map[string]uint64{"inactive_file": 30}},
		60: {Usage: cgroup.MemoryEntry{Usage: 100}, Raw: map[string]uint64{"inactive_file": 1, "total_inactive_file": 40}},
		0:  {Usage: cgroup.MemoryEntry{Usage: 100}, Raw: map[string]uint64{"inactive_file": 300}}, // read at another moment
	} {
		if got := workingSet(m); got != want {
			t.Errorf("%+v: %d, want %d", m, got, want)
		}
	}
}

func TestCarried(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     840      10    0    0    0     0          0         0      840      10    0    0    0     0       0          0
  eth0: 1296052     931    0    0    0     0          0         0    66212     904    0    0    0     0       0          0
  eth1:18446744073709551615 1  0    0    0     0          0         0        1       1    0    0    0     0       0          0
`
	if in, out := carried(text); in != 1296052-1 || out != 66213 { // it has gone round
		t.Errorf("%d %d", in, out)
	}
}

func TestNamed(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4)
	for _, row := range []struct {
		state       runtime.State
		name, image string
	}{
		{runtime.State{ID: "web", Bundle: "/tmp/shop"}, "web", "shop"},
		{runtime.State{ID: long, Bundle: "/b", Annotations: map[string]string{"io.kubernetes.cri.image-name": "nginx:1"}}, long[:12], "nginx:1"},
		{runtime.State{ID: long, Annotations: map[string]string{"io.kubernetes.cri.container-name": "app"}}, "app", "."},
	} {
		if name, image := named(&row.state); name != row.name || image != row.image {
			t.Errorf("%+v: %q %q", row.state, name, image)
		}
	}
}

func TestMountTree(t *testing.T) {
	const text = `100 90 0:40 / / rw,relatime - overlay overlay rw,lowerdir=/l2:/l1,upperdir=/u,workdir=/w
102 100 0:41 / /proc rw,nosuid - proc proc rw
103 102 0:41 /sys /proc/sys ro - proc proc rw
101 100 0:42 / /dev rw - tmpfs tmpfs rw
104 101 0:43 / /dev/<script>\040x rw shared:7 - tmpfs shm rw
`
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mountTree(infos).Mounts {
		got = append(got, fmt.Sprint(strings.Repeat(". ", m.Depth), m.Target, " ", m.Type, " ", m.Source, " ", m.Options, " ", m.Layers))
	}
	want := []string{
		"/ overlay overlay [rw relatime] [/u /l2 /l1]",
		". /dev tmpfs tmpfs [rw] []",
		". . /dev/<script> x tmpfs shm [rw shared:7] []",
		". /proc proc proc [rw nosuid] []",
		". . /proc/sys proc proc : /sys [ro] []",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A tree as large as anybody can make it is cut, and nothing is lost silently.
func TestHugeMountTree(t *testing.T) {
	var text strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&text, "%d %d 0:40 / /%d rw - tmpfs tmpfs rw\n", i+2, i+1, i)
	}
	infos, err := mountinfo.GetMountsFromReader(strings.NewReader(text.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	if tree := mountTree(infos); len(tree.Mounts) != mostRows || tree.More != 5000-mostRows {
		t.Errorf("%d, and %d more", len(tree.Mounts), tree.More)
	}
}

func TestProcessTree(t *testing.T) {
	list := []process{}
	for _, row := range [][2]int{{40, 1}, {50, 40}, {60, 40}, {55, 50}, {70, 9}, {45, 60}} {
		list = append(list, process{Process: Process{Host: row[0]}, parent: row[1]})
	}
	var got []string
	for _, p := range processTree(list) {
		got = append(got, fmt.Sprint(strings.Repeat(".", p.Depth), p.Host))
	}
	if diff := cmp.Diff([]string{"40", ".50", "..55", ".60", "..45", "70"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseStatus(t *testing.T) {
	const text = "Name:\tsl\\eep\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nPid:\t4711\nPPid:\t4700\nUid:\t1000\t1000\t1000\t1000\nNSpid:\t4711\t33\t12\nThreads:\t3\n"
	got, ok := parseStatus(text)
	want := process{Process{Host: 4711, Inside: 12, State: "S", User: 1000, Threads: 3, Command: `[sl\eep]`}, 4700}
	if !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, ok := parseStatus(""); ok {
		t.Error("a process that is not there")
	}
}

func TestCommandLine(t *testing.T) {
	for text, want := range map[string]string{
		"sh\x00-c\x00echo  hi\x00":     "sh -c echo  hi",
		"a\x00\x1b[31m\nb\x00":         "a \u00b7[31m\u00b7b",
		"<script>\x00\xff\x00":         "<script> \ufffd",
		strings.Repeat("x", 400) + "y": strings.Repeat("x", 300) + "...",
	} {
		if got := commandLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestInode(t *testing.T) {
	if n, err := inode("/proc/self/ns/pid", "pid"); err != nil || n == "" {
		t.Errorf("%q, %v", n, err)
	}
	if _, err := inode("/proc/self/exe", "pid"); err == nil {
		t.Error("a link that is no namespace is taken for one")
	}
}
