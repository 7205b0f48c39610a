//go:build linux

package web

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/moby/sys/mountinfo"

	"github.com/simple-container/simple-container/final/internal/metrics"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

func TestPlotted(t *testing.T) {
	quota, most := uint64(50000), uint64(64<<20)
	got := plotted(metrics.Figures{
		CPU:    metrics.CPU{Usage: 1.5, Quota: &quota, Period: 100000, Periods: 9, ThrottledPeriods: 4},
		Memory: metrics.Memory{WorkingSet: 7, Usage: 9, Limit: &most, Events: metrics.MemoryEvents{OOMKill: 2}},
		Pids:   metrics.Pids{Tasks: 3},
		Network: []metrics.Interface{
			{Received: metrics.Traffic{Bytes: 1}, Sent: metrics.Traffic{Bytes: 10}},
			{Received: metrics.Traffic{Bytes: 2}, Sent: metrics.Traffic{Bytes: 20}},
		},
	})
	want := &Figures{
		CPU: 1500 * time.Millisecond, CPULimit: 0.5, Periods: 9, Throttled: 4, Memory: 7, MemoryLimit: most, OOMKills: 2,
		Pids: 3, Received: 3, Sent: 30,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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

// An engine knows a container's name, the runtime whether it runs.
func TestMerge(t *testing.T) {
	list := []Container{{ID: "a", Name: "web", Image: "nginx", Status: "starting"}, {ID: "b", Name: "old", Status: "exited"}}
	list = merge(list, &runtime.State{ID: "a", Status: runtime.Running, Pid: 7, Bundle: "/x/bundle"})
	list = merge(list, &runtime.State{ID: "c", Status: runtime.Created, Pid: 9, Bundle: "/x/bundle"})
	want := []Container{
		{ID: "a", Name: "web", Image: "nginx", Status: "running", Pid: 7}, {ID: "b", Name: "old", Status: "exited"},
		{ID: "c", Name: "c", Image: "bundle", Status: "created", Pid: 9},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestChainFacts(t *testing.T) {
	drop := nftables.ChainPolicyDrop
	ours := &nftables.Table{Family: nftables.TableFamilyINet, Name: "simple_container"}
	filter := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "filter"}
	got := chainFacts([]*nftables.Chain{
		{Table: filter, Name: "FORWARD", Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop},
		{Table: filter, Name: "DOCKER-USER"},
		{Table: filter, Name: "INPUT", Hooknum: nftables.ChainHookInput},
		{Table: ours, Name: "masquerade", Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource},
		{Table: ours, Name: "forward", Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityMangle},
		{Table: &nftables.Table{Family: nftables.TableFamilyNetdev}, Hooknum: nftables.ChainHookForward},
	})
	want := []string{
		"forward: inet simple_container", "forward: ip filter, policy drop", "postrouting: inet simple_container masquerade",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
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
		"/ overlay overlay [rw relatime] [{upper /u} {lower /l2} {lower /l1}]",
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
