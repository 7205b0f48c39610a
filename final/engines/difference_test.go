//go:build linux

package engines

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// A difference is one between a runtime and runc that is as it should be.
type difference struct {
	runtime string         // the base of its name
	bundle  string         // or empty for all
	section string         // of facts
	line    *regexp.Regexp // of the runtime or of runc
	because string

	happened bool
}

func allow(runtime, bundle, section, line, because string) difference {
	return difference{runtime, bundle, section, regexp.MustCompile("^(?:" + line + ")$"), because, false}
}

func (d difference) covers(runtime, bundle, section, line string) bool {
	return d.runtime == runtime && (d.bundle == "" || d.bundle == bundle) &&
		d.section == section && d.line.MatchString(line)
}

// allowed are all of them. One that did not happen fails the test: the list must not outlive its reasons.
var allowed = []difference{
	allow("crun", "", "dev", `/dev/core symbolic link .*|/proc/kcore`,
		"runc makes this link only where the kernel has /proc/kcore"),
	allow("crun", "", "mounts", `/ /sys ro\S* - sysfs sysfs r[wo]`,
		"runc mounts the sysfs itself read-only, crun the place"),
	allow("crun", "", "mounts", `/(bus|fs|irq|sys\S*) /proc/(bus|fs|irq|sys\S*) ro,\S* - proc proc rw`,
		"crun forgets the flags of /proc in a read-only path of it"),
	allow("crun", "", "mounts", `/ /\S+ ro,relatime - tmpfs tmpfs (rw,size=0k|ro)\S*`,
		"what masks a directory is empty, and must not be written to"),
	allow("crun", "", "mounts", `/null /\S+ (r[ow],(nosuid,)?relatime - devtmpfs devtmpfs|rw,nosuid - tmpfs tmpfs) .*`,
		"what masks a file: crun takes the host's /dev/null"),
	allow("crun", "mounts", "files", `/mnt/made directory 1?755 .*`,
		"a directory on the way to a mount point: crun makes it sticky"),
	allow("crun", "other users", "dev", `/dev/mqueue .*`,
		"the group that runc mounts it as is none in the container"),
	allow("crun", "other users", "mounts", `/(null|zero|full|tty|u?random) /dev/\S+ .*`,
		"mknod is not for others: both mount the host's, with other flags"),
	allow("crun", "propagation", "mounts", `.*`,
		"runc 1.1's containers stay private: what they mount the root on is, whatever is asked for"),

	allow("final", "", "mounts", `/ /\S+ ro,relatime - tmpfs tmpfs ro\S*`,
		"what masks a directory is empty: final's has no room either"),
	allow("final", "", "mounts", `/null /\S+ (rw,(nosuid,)?relatime - devtmpfs devtmpfs|rw,nosuid - tmpfs tmpfs) .*`,
		"what masks a file: final takes the host's /dev/null, which no image can put another file in place of"),
	allow("final", "other users", "dev", `/dev/mqueue .*`,
		"it comes with the namespace, in which the process is nobody yet; anybody may write to it"),
	allow("final", "propagation", "mounts", `.*`,
		"runc 1.1's containers stay private: what they mount the root on is, whatever is asked for"),
}

// allowedV1 are those that only a machine with cgroups of v1 shows.
var allowedV1 = []difference{
	allow("crun", "", "mounts", `/ /sys/fs/cgroup rw\S* - tmpfs (cgroup|tmpfs) rw,(size=1024k|mode=755)\S*`,
		"a directory for v1's mounts: crun's is small"),
	allow("crun", "", "mounts", `/\S* /sys/fs/cgroup/\S+ ro\S* - cgroup \S+ rw,\S+`,
		"the name of a source without a device: anything will do"),
	allow("crun", "", "limits of the cgroup", `devices.list: c (5:1|10:200) rwm`,
		"nobody asked for either: crun allows /dev/console, runc /dev/net/tun"),

	allow("final", "", "mounts", `/ /sys/fs/cgroup r[ow]\S* - tmpfs tmpfs rw,mode=755\S*`,
		"a directory for v1's mounts: read-only, as all of it is asked to be; runc's is not"),
	allow("final", "", "mounts", `/\S* /sys/fs/cgroup/systemd ro\S* - cgroup (cgroup|systemd) rw,name=systemd`,
		"the name of a source without a device: anything will do"),
	allow("final", "", "mounts", `/\S* /sys/fs/cgroup/unified ro\S* - cgroup2 cgroup2? rw\S*`,
		"where there are v1 and v2, runc shows v1 alone"),
	allow("final", "", "limits of the cgroup", `devices.list: c 10:200 rwm`,
		"nobody asked for it: runc allows /dev/net/tun, until 1.2"),
}

// allowedV2 are those that only a machine without does. The micro-VM is one where who starts us may have more
// files open than it asks for.
var allowedV2 = []difference{
	allow("crun", "", "mounts", `/\S* /sys/fs/cgroup ro\S* - cgroup2 cgroup2? rw\S*`,
		"the name of a source without a device: anything will do"),
	allow("crun", "", "limits", `Max open files\s.*`,
		"runc 1.1 raises the soft limit for itself, and leaves it there for the container"),

	allow("final", "limits", "limits of the cgroup", `cpu.weight: (20|59)`,
		"512 shares: runc 1.1 scales the range; since 2025 runtimes keep 1024 shares where the kernel's 100 is"),
	allow("final", "the host's processes and cgroups", "mounts", `/ /sys/fs/cgroup ro\S* - cgroup2 cgroup2? rw\S*`,
		"the name of a source without a device: anything will do"),
	allow("final", "", "limits", `Max open files\s.*`,
		"runc 1.1 raises the soft limit for itself, and leaves it there for the container"),
}

// nameOf is the name that differences know a runtime by.
func nameOf(runtime string) string {
	if name := filepath.Base(runtime); name != "whole" {
		return name
	}
	return "final"
}

// allowedHere are those of them that this machine may show.
func allowedHere(t *testing.T) []difference {
	t.Helper()
	if hasV1(t) {
		return slices.Concat(allowed, allowedV1)
	}
	return slices.Concat(allowed, allowedV2)
}

// TestDifference gives each bundle to crun, to runc and to RUNTIME, and compares.
func TestDifference(t *testing.T) {
	need(t, "crun", "runc")
	watch := watch(t)
	runtimes := []string{"crun"}
	if tested := runtimeUnderTest(t); !slices.Contains([]string{"crun", "runc"}, filepath.Base(tested)) {
		runtimes = append(runtimes, tested)
	}
	allowed := allowedHere(t)
	ran := map[string]int{}
	for _, bundle := range bundles {
		if inVM && !slices.Contains(bundlesOnV2, bundle.name) {
			continue
		}
		t.Run(bundle.name, func(t *testing.T) {
			reference := observe(t, "runc", bundle.change)
			for _, runtime := range runtimes {
				name := nameOf(runtime)
				ran[name]++
				compare(t, name, bundle.name, observe(t, runtime, bundle.change), reference, allowed)
			}
		})
	}
	for _, d := range allowed {
		if ran[d.runtime] == len(bundles) && !d.happened && !t.Failed() {
			t.Errorf("allowed, but did not happen: %s, %s: %s", d.runtime, d.section, d.line)
		}
	}
	watch.compare(t)
}

// TestBuilds: final as it is built for engines is what final is as a whole.
func TestBuilds(t *testing.T) {
	need(t, "runc") // the world is only made for those who have an engine or a runtime
	watch := watch(t)
	final, whole := os.Getenv(work)+"/final", os.Getenv(work)+"/whole"
	nothing := func(*specs.Spec) {}
	if diff := cmp.Diff(observe(t, whole, nothing), observe(t, final, nothing)); diff != "" {
		t.Errorf("the same container (-whole +final):\n%s", diff)
	}
	for _, what := range []string{"--version", "features"} {
		if diff := cmp.Diff(run(t, whole, what), run(t, final, what)); diff != "" {
			t.Errorf("%s (-whole +final):\n%s", what, diff)
		}
	}
	watch.compare(t)
}

func hasV1(t *testing.T) bool {
	t.Helper()
	return layoutOf(t).Mode() != cgroup.Unified
}

func layoutOf(t *testing.T) cgroup.Layout {
	t.Helper()
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	layout, err := cgroup.Find(mounts)
	if err != nil {
		t.Fatal(err)
	}
	return layout
}

// compare reports the lines that only one of two containers has, unless they are allowed.
func compare(t *testing.T, runtime, bundle string, got, want facts, allowed []difference) {
	t.Helper()
	sections := slices.AppendSeq(slices.Collect(maps.Keys(got)), maps.Keys(want))
	slices.Sort(sections)
	for _, section := range slices.Compact(sections) {
		report := func(sign, line string) {
			for i, d := range allowed {
				if d.covers(runtime, bundle, section, line) {
					allowed[i].happened = true
					return
				}
			}
			t.Errorf("%s, %s: %s %s", runtime, section, sign, line)
		}
		for _, line := range without(got[section], want[section]) {
			report("has", line)
		}
		for _, line := range without(want[section], got[section]) {
			report("has not", line)
		}
	}
}

// without returns the lines of a that b has not, where each line of b stands for one of a.
func without(a, b []string) (rest []string) {
	b = slices.Clone(b)
	for _, line := range a {
		if i := slices.Index(b, line); i >= 0 {
			b = slices.Delete(b, i, i+1)
			continue
		}
		rest = append(rest, line)
	}
	return rest
}
