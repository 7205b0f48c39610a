//go:build linux

package workshop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The READMEs are programs. A fenced block whose info string is "sh run" is run by a shell; if the next
// block, with only blank lines in between, is "text", it is what the shell must print. With "sh run fails"
// the last command must fail.
//
// In the expected text a line of three dots stands for any lines, three dots at a line's end for any rest of
// it, a word in angle brackets, as <pid>, for any characters but spaces, and a run of spaces for any run of
// spaces, so that columns may move.

func TestTopReadme(t *testing.T)    { testReadme(t, "README.md", "rm -rf rootfs") } // it makes its own
func TestStep01Readme(t *testing.T) { testReadme(t, "step01-reexec/README.md", ":") }
func TestStep02Readme(t *testing.T) { testReadme(t, "step02-rootfs/README.md", makeImage) }
func TestStep03Readme(t *testing.T) { testReadme(t, "step03-cgroups/README.md", makeImage) }
func TestStep04Readme(t *testing.T) { testReadme(t, "step04-network/README.md", makeImage) }
func TestStep05Readme(t *testing.T) { testReadme(t, "step05-metrics/README.md", makeImage) }
func TestFinalReadme(t *testing.T)  { testReadme(t, "final/README.md", ":") }

// makeImage makes the image anew, whether or not the checkout has one. (--force would rename the old one, and
// overlayfs renames no directory of a lower layer.)
const makeImage = "rm -rf rootfs && go run ./final rootfs rootfs"

// testReadme runs the blocks of one README in their order, all in one world made for it, once that has been
// prepared by a command.
func testReadme(t *testing.T, file, prepare string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	blocks := parseBlocks(string(text))
	runs := 0
	if os.Geteuid() != 0 {
		t.Skip("must be root: namespaces and mounts are made")
	}
	w := newWorld(t)
	if out, err := w.shell(prepare); err != nil {
		t.Fatalf("%s: %v\n%s", prepare, err, out)
	}
	for i, b := range blocks {
		if !b.runs() {
			continue
		}
		runs++
		start := time.Now()
		got, err := w.shell(b.text)
		t.Logf("%s:%d: %v", file, b.line, time.Since(start).Round(time.Millisecond))
		if failed := err != nil; failed != b.fails() {
			t.Errorf("%s:%d: %s\nended with: %v\nprinted:\n%s", file, b.line, b.text, err, got)
			continue
		}
		if i+1 == len(blocks) || !blocks[i+1].expects {
			continue
		}
		if diff := compare(blocks[i+1].text, got); diff != "" {
			t.Errorf("%s:%d: %s\nprinted something else than what stands below it (-want +got):\n%s", file, b.line, b.text, diff)
		}
	}
	if runs == 0 {
		t.Errorf("%s: no block is marked to be run", file)
	}
}

// block is a fenced block.
type block struct {
	line    int // of its first line of text
	info    string
	text    string
	expects bool // it is the output of the block before
}

func (b block) runs() bool  { return b.info == "sh run" || b.fails() }
func (b block) fails() bool { return b.info == "sh run fails" }

func parseBlocks(markdown string) []block {
	var blocks []block
	const fence = "```"
	open, indent := false, ""
	between := false // there was a line of text since the last block
	for i, line := range strings.Split(markdown, "\n") {
		last := len(blocks) - 1
		switch {
		case open && strings.TrimSpace(line) == fence:
			open, between = false, false
		case open:
			blocks[last].text += strings.TrimPrefix(line, indent) + "\n"
		case strings.HasPrefix(strings.TrimLeft(line, " "), fence):
			indent, _, _ = strings.Cut(line, fence) // a block in a list
			b := block{line: i + 2, info: strings.TrimPrefix(line, indent+fence)}
			b.expects = b.info == "text" && !between && last >= 0 && blocks[last].runs()
			blocks, open = append(blocks, b), true
		case strings.TrimSpace(line) != "":
			between = true
		}
	}
	return blocks
}

// compare returns "" if got is as wanted, else their difference. The smallest number of lines that one has
// to add or take away is found first, so that the difference shows those, and not every placeholder.
func compare(wanted, got string) string {
	want, have := splitLines(wanted), splitLines(got)
	patterns := make([]*regexp.Regexp, len(want)) // nil for three dots
	for i, line := range want {
		if strings.TrimSpace(line) != "..." {
			patterns[i] = pattern(line)
		}
	}
	// cost[i][j] is the number of lines by which want[i:] and have[j:] differ.
	cost := make([][]int, len(want)+1)
	for i := len(want); i >= 0; i-- {
		cost[i] = make([]int, len(have)+1)
		for j := len(have); j >= 0; j-- {
			switch {
			case i == len(want):
				cost[i][j] = len(have) - j
			case patterns[i] == nil:
				cost[i][j] = cost[i+1][j]
				if j < len(have) {
					cost[i][j] = min(cost[i][j], cost[i][j+1])
				}
			case j == len(have):
				cost[i][j] = 1 + cost[i+1][j]
			case patterns[i].MatchString(have[j]):
				cost[i][j] = cost[i+1][j+1]
			default:
				cost[i][j] = 1 + min(cost[i+1][j], cost[i][j+1])
			}
		}
	}
	return cmp.Diff(resolve(want, have, patterns, cost), strings.Join(have, "\n"))
}

// resolve puts what was really there in the place of every line that matched.
func resolve(want, have []string, patterns []*regexp.Regexp, cost [][]int) string {
	var lines []string
	i, j := 0, 0
	for i < len(want) {
		switch {
		case patterns[i] == nil && cost[i][j] == cost[i+1][j]:
			i++
		case patterns[i] == nil:
			lines = append(lines, have[j])
			j++
		case j < len(have) && patterns[i].MatchString(have[j]):
			lines = append(lines, have[j])
			i, j = i+1, j+1
		case j == len(have) || cost[i][j] == 1+cost[i+1][j]:
			lines = append(lines, want[i])
			i++
		default:
			j++ // a line that should not be there
		}
	}
	return strings.Join(lines, "\n")
}

func splitLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimRight(line, " \t\r\n"))
	}
	return lines
}

var (
	placeholder = regexp.MustCompile(`<[a-z][a-z0-9-]*>`)
	spaces      = regexp.MustCompile(`[ \t]+`)
)

// pattern compiles a line of expected text.
func pattern(line string) *regexp.Regexp {
	var re strings.Builder
	re.WriteString(`^[ \t]*`)
	end := `$`
	if rest, ok := strings.CutSuffix(line, " ..."); ok {
		line, end = rest, `.*$`
	}
	for i, word := range spaces.Split(strings.TrimLeft(line, " \t"), -1) {
		if i > 0 {
			re.WriteString(`[ \t]+`)
		}
		done := 0
		for _, at := range placeholder.FindAllStringIndex(word, -1) {
			re.WriteString(regexp.QuoteMeta(word[done:at[0]]) + `\S+`)
			done = at[1]
		}
		re.WriteString(regexp.QuoteMeta(word[done:]))
	}
	re.WriteString(end)
	return regexp.MustCompile(re.String())
}

// world is where the blocks of a README run. It belongs to the thread of the test that made it.
type world struct {
	root string // the repository's
	env  []string
}

// newWorld gives the thread, and so all it starts, mount and network namespaces of its own. The blocks can
// mount and route as they like, and write files beside the sources: nothing of it reaches the machine.
func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	// From inside the module proxy cannot be reached, so fetch now what is missing.
	if out, err := exec.Command("go", "list", "-deps", "-f", "{{/**/}}", "./...").CombinedOutput(); err != nil {
		t.Fatalf("go list -deps ./...: %v\n%s", err, out)
	}
	w := &world{root: root, env: append(os.Environ(), "GOPROXY=off", "LC_ALL=C.UTF-8", "TERM=dumb")}
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		dir, err := exec.Command("go", "env", name).Output()
		if err != nil {
			t.Fatalf("go env %s: %v", name, err)
		}
		w.env = append(w.env, name+"="+strings.TrimSpace(string(dir)))
	}

	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and its namespaces with it
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
		t.Fatal("unshare CLONE_NEWNS|CLONE_NEWNET:", err)
	}
	if err := errors.Join(makeMounts(root), loopbackUp()); err != nil {
		t.Fatal(err)
	}
	return w
}

// makeMounts lays a throw-away layer over the repository, and makes all mounts shared, as systemd does at
// boot: so the lessons about propagation can be seen on any machine.
func makeMounts(root string) error {
	const layers = "/run/layers"
	escape := strings.NewReplacer(`\`, `\\`, `,`, `\,`, `:`, `\:`)
	options := "lowerdir=" + escape.Replace(root) + ",upperdir=" + layers + "/upper,workdir=" + layers + "/work"
	for _, do := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", "/run", "tmpfs", 0, "mode=0755") },
		func() error { return unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "mode=0755") }, // images and containers
		func() error { return os.MkdirAll(layers+"/upper", 0o755) },
		func() error { return os.MkdirAll(layers+"/work", 0o755) },
		func() error { return unix.Mount("overlay", root, "overlay", 0, options) },
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") },
	} {
		if err := do(); err != nil {
			return fmt.Errorf("mounts over %s: %w", root, err)
		}
	}
	return nil
}

func loopbackUp() error {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, request)
}

// patience is for one block: it may build programs, and the machine may have other things to do.
const patience = 3 * time.Minute

// shell runs a script from the repository's root and returns all that it prints. Output goes to a file, not
// to a pipe: so what a script leaves running in the background does not hold us up.
func (w *world) shell(script string) (printed string, err error) {
	out, err := os.CreateTemp("/run", "output-")
	if err != nil {
		return "", err
	}
	defer out.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-eu", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.root, w.env, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	if ctx.Err() != nil {
		err = fmt.Errorf("%w: it took more than %v", err, patience)
	}
	text, failure := os.ReadFile(out.Name())
	return string(text), errors.Join(err, failure)
}

// TestCompare holds the rules by which output is compared.
func TestCompare(t *testing.T) {
	for _, test := range []struct {
		name, want, got string
		equal           bool
	}{
		{"same", "a\nb\n", "a\nb\n", true},
		{"trailing space", "a\n", "a  \n", true},
		{"another line", "a\nb\n", "a\nc\n", false},
		{"a line more", "a\n", "a\nb\n", false},
		{"a line less", "a\nb\n", "a\n", false},
		{"columns", "PID CMD\n  1 sh\n", "  PID   CMD\n    1   sh\n", true},
		{"columns need a space", "PID CMD\n", "PIDCMD\n", false},
		{"placeholder", "net:[<number>]\n", "net:[4026531833]\n", true},
		{"placeholder is one word", "a <word>\n", "a b c\n", false},
		{"placeholder is not empty", "net:[<number>]\n", "net:[]\n", false},
		{"dots are some lines", "a\n...\nd\n", "a\nb\nc\nd\n", true},
		{"dots are no line", "a\n...\nb\n", "a\nb\n", true},
		{"after the dots", "...\nd\n", "a\nd\ne\n", false},
		{"dots are the rest", "a ...\nd\n", "a b c\nd\n", true},
		{"dots are the rest of this", "a ...\n", "b c\n", false},
		{"no pattern", "a.c [x]*\n", "abc xx\n", false},
		{"nothing", "", "a\n", false},
	} {
		if diff := compare(test.want, test.got); (diff == "") != test.equal {
			t.Errorf("%s: compare(%q, %q) = %q, want equal %v", test.name, test.want, test.got, diff, test.equal)
		}
	}
}

// TestLinks finds links to files that are not there.
func TestLinks(t *testing.T) {
	files, err := filepath.Glob("*/README.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("*/README.md: %v %v", files, err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range append(files, "README.md") {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), match[1])); err != nil {
				t.Errorf("%s links to %s: %v", file, match[1], err)
			}
		}
	}
}
