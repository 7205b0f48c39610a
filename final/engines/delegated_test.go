//go:build linux

package engines

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestDelegated has a user's Podman call the runtime in a group that root has handed to the user, as systemd does
// at a login: with cgroup v2, who owns a group sets limits in it.
func TestDelegated(t *testing.T) {
	if !inVM {
		t.Skip("a group for a user needs a machine with cgroup v2: go run ./vagrant/microvm ./final/engines")
	}
	need(t, "podman", "conmon", "newuidmap")
	watch := watch(t)
	l := newLearner(t)
	defer watch.compare(t)
	defer l.forget()
	t.Run("scripts", func(t *testing.T) {
		delegate(t)
		path := wrapper(t, "podman", fmt.Sprintf(`echo $$ >%s/session/cgroup.procs
cd %s/home # the script's directory is root's
exec %s --reuid %d --regid %[4]d --clear-groups env HOME=%[2]s/home TMPDIR=%[2]s/home XDG_RUNTIME_DIR=%[2]s/run \
	CONTAINERS_CONF=%[2]s/containers.conf $program --storage-driver vfs --runtime %[5]s "$@"`,
			handed, l.dir, lookUp(t, "setpriv"), learner, runtimeUnderTest(t)))
		t.Setenv("PATH", path)
		run(t, "podman", "load", "--input", os.Getenv(work)+"/lab.tar")
		t.Run("all", func(t *testing.T) {
			scripts(t, "delegated", "PATH="+path, "HANDED="+strings.TrimPrefix(handed, "/sys/fs/cgroup"))
		})
		if left := run(t, "podman", "ps", "--all", "--format", "{{.Names}} {{.Status}}"); left != "" {
			t.Errorf("containers left behind:\n%s", left)
		}
	})
}

// handed is the group that is the user's.
const handed = "/sys/fs/cgroup/learner"

// delegate hands it over (Documentation/admin-guide/cgroup-v2.rst, "Delegation"): the files by which processes and
// controllers are moved are the user's, the limits of the group itself are not.
func delegate(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := cgroup.Remove(&kernel.Door{}, handed); err != nil {
			t.Error(err)
		}
	})
	for _, dir := range []string{handed, handed + "/session"} {
		err := os.Mkdir(dir, 0o755)
		for _, name := range []string{".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
			err = errors.Join(err, unix.Chown(filepath.Join(dir, name), learner, learner))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
