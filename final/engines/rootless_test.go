//go:build linux

package engines

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

const learner = 4711

// rootlessConf is for a user whose machine delegates no cgroups.
const rootlessConf = `[containers]
netns = "none"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
`

// TestPodmanWithoutRoot: Podman of a user calls the runtime as the root of a user namespace that it has made.
func TestPodmanWithoutRoot(t *testing.T) {
	need(t, "podman", "conmon", "catatonit", "newuidmap")
	if s, off := kernel.UsersBarred(); off {
		t.Skipf("%s is %s: users have no containers here", s.Name, s.Value)
	}
	watch := watch(t)
	l := newLearner(t)
	defer watch.compare(t)
	defer l.forget()
	for _, test := range []struct{ line, script, want string }{
		{"load --quiet --input " + os.Getenv(work) + "/lab.tar", "", "Loaded image: " + image},
		{"run --rm lab sh -c", "id; cat /proc/self/uid_map; echo x > /dev/null", "uid=0(root) gid=0(root) groups=0(root)\n" +
			"         0       4711          1\n         1     100000      65536"},
		// Podman waits twenty seconds for the end of one in the foreground, whoever runs it; so the others are not.
		{"run --detach --name one --user 7:8 --cap-drop all --read-only lab sleep 1000", "", "..."},
		{"exec one sh -c", "id; grep CapEff /proc/1/status; touch /x 2>&1 || echo refused",
			"uid=7 gid=8 groups=8\nCapEff:\t0000000000000000\ntouch: /x: read-only file system\nrefused"},
		{"run --detach --name kept --userns keep-id lab sleep 1000", "", "..."},
		{"exec kept id -u", "", "4711"},
		{"run --detach --name fellow --userns container:kept lab sleep 1000", "", "..."},
		{"exec fellow cat /proc/self/uid_map", "", "0          1       4711\n      4711          0          1\n      4712       4712      60825"},
		{"rm --force --time 0 fellow", "", "fellow"},
		{"rm --force --time 0 one kept", "", "..."},
		{"pod create --name pod --userns keep-id", "", "..."},
		{"run --detach --pod pod --name member lab sleep 1000", "", "..."},
		{"exec member id -u", "", "4711"},
		{"pod rm --force --time 0 pod", "", "..."},
		{"run --detach --name two lab sleep 1000", "", "..."},
		{"exec two cat /proc/1/comm", "", "sleep"},
		{"exec --user 7 two id -u", "", "7"},
		{"ps --format {{.Names}}", "", "two"},
		{"stop --time 0 two", "", "two"},
		{"start two", "", "two"},
		{"rm --force --time 0 two", "", "two"},
	} {
		args := strings.Fields(test.line)
		if test.script != "" {
			args = append(args, test.script)
		}
		got, err := l.podman(args...)
		if err != nil || test.want != "..." && got != test.want {
			t.Errorf("podman %q: %q, %v; want %q", args, got, err, test.want)
		}
	}
}

// A learning user has a home, a session, and ids that root has given them.
type learningUser struct {
	*testing.T
	dir     string
	mounted []string
}

func newLearner(t *testing.T) *learningUser {
	t.Helper()
	l := &learningUser{T: t, dir: t.TempDir()}
	for dir := l.dir; dir != os.Getenv(work); dir = filepath.Dir(dir) {
		l.must(os.Chmod(dir, 0o755))
	}
	for _, name := range []string{"home", "run"} {
		l.must(os.Mkdir(filepath.Join(l.dir, name), 0o700))
		l.must(os.Chown(filepath.Join(l.dir, name), learner, learner))
	}
	for name, line := range map[string]string{
		"passwd": "learner:x:4711:4711::/:/bin/sh\n", "group": "learner:x:4711:\n",
		"subuid": "learner:100000:65536\n", "subgid": "learner:100000:65536\n",
	} {
		old, err := os.ReadFile("/etc/" + name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		file := writeFile(t, filepath.Join(l.dir, name), string(old)+line)
		l.must(os.Chmod(file, 0o644))
		if err != nil { // a mount needs a place; /etc is this world's
			writeFile(t, "/etc/"+name, "")
		}
		l.must(unix.Mount(file, "/etc/"+name, "", unix.MS_BIND, ""))
		l.mounted = append(l.mounted, "/etc/"+name)
	}
	l.must(os.Chmod(writeFile(t, l.dir+"/containers.conf", rootlessConf), 0o644))
	return l
}

func (l *learningUser) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// podman runs it as the user.
func (l *learningUser) podman(args ...string) (string, error) {
	l.Helper()
	path, err := exec.LookPath("podman")
	l.must(err)
	args = append([]string{"--runtime", runtimeUnderTest(l.T), "--storage-driver", "vfs", "--log-level", "error"}, args...)
	cmd := exec.CommandContext(l.Context(), path, args...)
	cmd.Dir = filepath.Join(l.dir, "home")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "USER=learner", "XDG_RUNTIME_DIR=" + filepath.Join(l.dir, "run"),
		"CONTAINERS_CONF=" + l.dir + "/containers.conf", "TMPDIR=" + cmd.Dir,
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: learner, Gid: learner}}
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// forget ends what Podman keeps for the next container: a process that holds the user namespace.
func (l *learningUser) forget() {
	if out, err := l.podman("system", "migrate"); err != nil {
		l.Error(err, out)
	}
	for _, place := range l.mounted {
		if err := unix.Unmount(place, unix.MNT_DETACH); err != nil {
			l.Error(fmt.Errorf("unmount %s: %w", place, err))
		}
	}
}
