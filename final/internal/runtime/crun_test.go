//go:build linux

package runtime

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/plan"
)

// asCrun is what crun makes of the user's bundle: where the machine's cgroups are not to its taste, it does without.
func (l *learning) asCrun(args ...string) string {
	l.Helper()
	const script = `umount /sys/fs/cgroup/unified 2> /dev/null; exec setpriv --reuid 4711 --regid 4711 --clear-groups ` +
		`crun --root "$ROOT" --cgroup-manager=disabled "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", script, "crun"}, args...)...)
	cmd.Env = append(os.Environ(), "ROOT="+filepath.Join(l.dir, "crun"))
	out, err := os.CreateTemp(l.dir, "crun-says")
	l.must(err)
	defer os.Remove(out.Name())
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out // a file: the container holds it open
	err = cmd.Run()
	text, readErr := os.ReadFile(out.Name())
	l.must(readErr)
	if err != nil {
		l.Fatalf("crun %q: %v: %s", args, err, text)
	}
	return string(text)
}

// process is a file with what an exec takes from the bundle if it is ours.
func (l *learning) process(bundle string) (file string) {
	l.Helper()
	_, s, err := readConfig(CreateOptions{Bundle: bundle}.config())
	l.must(err)
	s.Process.Args = []string{"sh", "/look"}
	text, err := json.Marshal(s.Process)
	l.must(err)
	file = filepath.Join(bundle, "process.json")
	l.must(os.WriteFile(file, text, 0o644))
	return file
}

// seen is what the host sees of a process, and it of itself.
type seen map[string][]string

// see looks at a container's first process.
func (l *learning) see(state []byte, inside string) seen {
	l.Helper()
	var of struct {
		Status string
		Pid    int
	}
	l.must(json.Unmarshal(state, &of))
	s := seen{"status": {of.Status}, "exec": strings.Split(inside, "\n")}
	for _, file := range []string{"uid_map", "gid_map", "setgroups", "oom_score_adj"} {
		s[file] = strings.Fields(l.proc(of.Pid, file))
	}
	for _, name := range []string{"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp"} {
		s["ids"] = append(s["ids"], name+" "+l.field(of.Pid, name))
	}
	for _, kind := range plan.Kinds {
		if l.namespace(of.Pid, kind.File) != l.namespace(os.Getpid(), kind.File) {
			s["namespaces"] = append(s["namespaces"], kind.File)
		}
	}
	for line := range strings.Lines(l.proc(of.Pid, "mountinfo")) {
		// 812 790 0:57 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k,uid=4711
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields := strings.Fields(strings.ReplaceAll(before, l.dir, "DIR"))
		s["mounts"] = append(s["mounts"], strings.Join(fields[3:6], " ")+" - "+after)
	}
	return s
}

// crunDiffers are the lines of either that may differ, with the reason.
var crunDiffers = []struct {
	line    *regexp.Regexp
	because string
}{
	{regexp.MustCompile(`^/ /sys ro,\S+ - sysfs sysfs r[wo]$`), "crun makes the place read-only, and not the sysfs itself"},
	{regexp.MustCompile(`^/ /\S+ ro,\S+ - tmpfs tmpfs \S+$`), "what masks a directory is empty: ours has no room either"},
	{regexp.MustCompile(`^/null /proc/\S+ r[ow],\S+ - (devtmpfs|tmpfs) \S+ \S+$`), "what masks a file is the host's /dev/null, for crun read-only"},
	{regexp.MustCompile(`^/(bus|fs|irq|sys|sysrq-trigger) /proc/\S+ ro,\S+ - proc proc \S+$`), "crun forgets the flags of /proc in a read-only path of it"},
	{regexp.MustCompile(`^/(null|zero|full|random|urandom|tty) /dev/\S+ \S+ - (devtmpfs|tmpfs) \S+ \S+$`), "a node of the host's, with the host's flags or fewer"},
}

// TestRootlessAsCrun: a user's bundle, given to crun and to us, becomes the same container.
func TestRootlessAsCrun(t *testing.T) {
	own := [3]uint32{0, learner, 1}
	for _, test := range []struct {
		name   string
		change func(*specs.Spec)
	}{
		{"one id", withIDs(own)},
		{"many ids", withIDs(own, [3]uint32{1, 100000, 65535})},
		{"another user", func(s *specs.Spec) {
			withIDs(own, [3]uint32{1, 100000, 65535})(s)
			s.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			byLearner(t, func(l *learning) {
				for _, program := range []string{"crun", "newuidmap", "setpriv", "unshare"} {
					l.needs(program)
				}
				l.account("learner:100000:65536\n")
				l.compareWithCrun(test.change)
			})
		})
	}
}

// TestRootlessPodAsCrun is the same for a container that joins the namespaces of another one.
func TestRootlessPodAsCrun(t *testing.T) {
	byLearner(t, func(l *learning) {
		for _, program := range []string{"crun", "setpriv", "unshare"} {
			l.needs(program)
		}
		l.bundle("pod")
		l.does("create", "pod")
		l.does("start", "pod")
		l.compareWithCrun(joined(l.pid("pod"), pod...))
		l.does("delete", "pod")
	})
}

// compareWithCrun gives a bundle to both.
func (l *learning) compareWithCrun(change func(*specs.Spec)) {
	l.Helper()
	bundle := l.bundle("a", change, func(s *specs.Spec) {
		s.Version = "1.0.2" // crun 1.8 knows no newer
		s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
	})
	l.script("id -u; id -g; grep -E '^(Groups|Cap|NoNew)' /proc/self/status; cat /proc/self/uid_map; hostname; pwd; env | grep -v ^HOME= | sort; ls /dev | grep -v ^core") // a link, which crun makes also to nowhere
	l.must(os.Mkdir(filepath.Join(l.dir, "crun"), 0o700))
	l.must(os.Chown(filepath.Join(l.dir, "crun"), learner, learner))
	l.asCrun("run", "--detach", "--bundle", bundle, "c")
	want := l.see([]byte(l.asCrun("state", "c")), l.asCrun("exec", "--process", l.process(bundle), "c"))
	l.asCrun("delete", "--force", "c")
	l.does("create", "a")
	l.does("start", "a")
	got := l.see([]byte(l.does("state", "a")), l.does("look", "a"))
	l.does("delete", "a")
	for _, section := range slices.Sorted(maps.Keys(want)) {
		if diff := cmp.Diff(telling(want[section]), telling(got[section])); diff != "" {
			l.Errorf("%s: -crun +final:\n%s", section, diff)
		}
	}
	l.must(os.RemoveAll(filepath.Join(l.dir, "crun")))
}

// telling are the lines that must not differ, and of the others where they are.
func telling(lines []string) (list []string) {
	for _, line := range lines {
		for _, d := range crunDiffers {
			if d.line.MatchString(line) {
				line = fmt.Sprint(strings.Fields(line)[1], ": ", d.because)
			}
		}
		list = append(list, line)
	}
	slices.Sort(list)
	return list
}
