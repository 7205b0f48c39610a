//go:build linux

package workshop

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, `write the READMEs' "What changed" anew`)

// step is what a step is announced to add to the one before.
type step struct {
	name  string
	files []string // new: the lesson
	hooks []string // carried, with a few lines changed to reach it; all else is carried byte for byte
	tests []string // new: the lesson's grader
}

var steps = []step{
	{name: "step01-reexec"},
	{"step02-rootfs",
		[]string{"overlay.go", "rootfs.go"},
		[]string{"main.go", "run.go", "child.go"},
		[]string{"rootfs_test.go"}},
	{"step03-cgroups",
		[]string{"limits.go", "cgroup.go", "cgroup_v1.go"},
		[]string{"main.go", "run.go", "child.go", "kernel.go"},
		[]string{"cgroup_test.go"}},
	{"step04-network",
		[]string{"network.go", "subnet.go", "nat.go", "resolv.go"},
		[]string{"main.go", "run.go", "child.go"},
		[]string{"network_test.go"}},
	{"step05-metrics",
		[]string{"metrics.go", "metrics_v1.go", "exporter.go", "stats.go", "trace.go", "histogram.go",
			"syscalls_generate.go", "syscalls_linux_amd64.go", "syscalls_linux_arm64.go"},
		[]string{"main.go", "run.go", "cgroup.go"},
		[]string{"metrics_test.go", "trace_test.go"}},
}

// A step's hooks are few lines. More of them, and the diff is no lesson any more.
const (
	mostAdded   = 60
	mostRemoved = 40
)

// TestStepsCarryForward holds the steps together: a fix in one that is not in all later ones fails here.
func TestStepsCarryForward(t *testing.T) {
	for i, s := range steps[1:] {
		before := steps[i]
		old, now := goFiles(t, before.name), goFiles(t, s.name)
		want := slices.Concat(old, s.files, s.tests)
		slices.Sort(want)
		if diff := cmp.Diff(want, now); diff != "" {
			t.Errorf("files of %s (-announced +there):\n%s", s.name, diff)
		}
		for _, file := range old {
			a, b := filepath.Join(before.name, file), filepath.Join(s.name, file)
			same := bytes.Equal(read(t, a), read(t, b))
			switch hook := slices.Contains(s.hooks, file); {
			case !same && !hook:
				t.Errorf("%s and %s differ; if that is a fix: make forward FROM=%s\n%s", a, b, before.name, diff(t, a, b))
			case same && hook:
				t.Errorf("%s is announced to differ from %s, and does not", b, a)
			}
		}
		added, removed := 0, 0
		for _, file := range s.hooks {
			for line := range strings.Lines(diff(t, filepath.Join(before.name, file), filepath.Join(s.name, file))) {
				switch line[0] {
				case '+':
					added++
				case '-':
					removed++
				}
			}
		}
		if added > mostAdded || removed > mostRemoved {
			t.Errorf("%s changes the files it carries by +%d −%d lines: want at most +%d −%d", s.name, added, removed, mostAdded, mostRemoved)
		}
	}
}

// TestStepsStandAlone: a step imports the packages that the workshop announces, and nothing of another step
// or of final.
func TestStepsStandAlone(t *testing.T) {
	for i, s := range steps {
		allowed := []string{"golang.org/x/sys/unix"}
		if i >= 3 {
			allowed = append(allowed, "github.com/vishvananda/netlink")
		}
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, "./"+s.name).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(out)) {
			if strings.Contains(path, ".") && !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s: a step has the standard library and %q", s.name, path, allowed)
			}
		}
	}
}

// TestGradersFailOnTheStepBefore is the graders' own test: what a step adds, the step before has not, and
// every test of the lesson must notice.
func TestGradersFailOnTheStepBefore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("must be root, as the graders")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o755))
	build := func(pkg string, args ...string) string {
		file := filepath.Join(dir, filepath.Base(pkg)+strings.Join(args, ""))
		run(t, "go", append(append([]string{"build"}, args...), "-o", file, pkg)...)
		return file
	}
	final, rootfs := build("./final"), filepath.Join(dir, "rootfs")
	run(t, final, "rootfs", rootfs)

	for i, s := range steps[1:] {
		t.Run(s.name, func(t *testing.T) {
			grader := filepath.Join(dir, s.name+".test")
			run(t, "go", "test", "-c", "-o", grader, "./"+s.name)
			tests := testsOf(t, s)
			cmd := exec.Command(grader, "-test.v", "-test.timeout=4m", "-test.run=^("+strings.Join(tests, "|")+")$")
			cmd.Dir = s.name
			cmd.Env = append(os.Environ(), "CONTAINER="+build("./"+steps[i].name), "FINAL="+final, "ROOTFS="+rootfs)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Errorf("the grader of %s passes %s", s.name, steps[i].name)
			}
			for _, test := range tests {
				if !strings.Contains(string(out), "--- FAIL: "+test+" ") {
					t.Errorf("%s: %s does not fail on %s\n%s", s.name, test, steps[i].name, excerpt(string(out), test))
				}
			}
		})
	}
}

// testsOf lists the tests of a step's lesson. One that needs nothing of the lesson says so with a comment:
// "// holds before".
func testsOf(t *testing.T, s step) (tests []string) {
	pattern := regexp.MustCompile(`(?m)^(// holds before.*\n)?func (Test\w+)\(`)
	for _, file := range s.tests {
		for _, match := range pattern.FindAllStringSubmatch(string(read(t, filepath.Join(s.name, file))), -1) {
			if match[1] == "" {
				tests = append(tests, match[2])
			}
		}
	}
	return tests
}

// excerpt cuts a test's part out of the output of go test -v.
func excerpt(out, test string) string {
	_, after, _ := strings.Cut(out, "=== RUN   "+test+"\n")
	part, _, _ := strings.Cut(after, "=== RUN")
	return part
}

// TestWhatChanged keeps the block of that name in the READMEs: what is new, and the diff of the rest.
func TestWhatChanged(t *testing.T) {
	const begin, end = "<!-- changed -->\n", "<!-- /changed -->"
	for i, s := range steps[1:] {
		file := filepath.Join(s.name, "README.md")
		text := string(read(t, file))
		before, rest, ok := strings.Cut(text, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Errorf("%s: no block between %q and %q", file, strings.TrimSpace(begin), end)
			continue
		}
		want := before + begin + changes(t, steps[i], s) + end + after
		if want == text {
			continue
		}
		if *update {
			must(t, os.WriteFile(file, []byte(want), 0o644))
			continue
		}
		t.Errorf("%s is not up to date: go test . -run %s -update\n%s", file, t.Name(), cmp.Diff(text, want))
	}
}

func changes(t *testing.T, before, s step) string {
	var b strings.Builder
	b.WriteString("\nNew:\n\n")
	for _, file := range slices.Concat(s.files, s.tests) {
		fmt.Fprintf(&b, "- [%s](%[1]s)\n", file)
	}
	fmt.Fprintf(&b, "\nChanged, to reach it (`diff -ru -x '*.md' %s %s`):\n\n```diff\n", before.name, s.name)
	for _, file := range s.hooks {
		fmt.Fprintf(&b, "%s\n%s", file, diff(t, filepath.Join(before.name, file), filepath.Join(s.name, file)))
	}
	b.WriteString("```\n\n")
	return b.String()
}

// diff is the difference of two files in diff's words, without its headings.
func diff(t *testing.T, a, b string) string {
	t.Helper()
	out, err := exec.Command("diff", "-U1", a, b).Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Fatal(err)
	}
	heading := regexp.MustCompile(`(?m)^(---|\+\+\+) .*\n|^@@ .*\n`)
	return heading.ReplaceAllString(string(out), "")
}

// BenchmarkStep is how long a container takes from start to end, step by step, in one run: compare the
// figures with each other. The network is a namespace made for it.
func BenchmarkStep(b *testing.B) {
	dir := b.TempDir()
	for _, pkg := range slices.Concat([]step{{name: "final"}}, steps) {
		if out, err := exec.Command("go", "build", "-o", dir+"/", "./"+pkg.name).CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
	}
	if out, err := exec.Command(dir+"/final", "rootfs", dir+"/rootfs").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for _, s := range steps {
		b.Run(s.name, func(b *testing.B) {
			runtime.LockOSThread() // and never unlock: the thread, in its namespaces, ends with this function
			if err := errors.Join(
				unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_NEWNET),
				unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
				unix.Mount("tmpfs", "/run", "tmpfs", 0, ""),
			); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				cmd := exec.Command(filepath.Join(dir, s.name), "run", "true")
				cmd.Dir = dir
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
		})
	}
}

func goFiles(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".go" {
			files = append(files, path)
		}
		return err
	}))
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return text
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
