//go:build linux

package runtime

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// inheriting is a spec without namespaces: the container is in the runtime's, with its mounts.
func inheriting(s *specs.Spec) { s.Linux.Namespaces, s.Hostname = nil, "" }

// TestInherited: what the spec has no namespace for is the runtime's, and the mounts in it go with the container.
func TestInherited(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a", inheriting)
		w.must(c.Start())
		for _, kind := range append(kinds, "user") {
			if w.namespace(c.Pid, kind) != w.namespace(os.Getpid(), kind) {
				w.Errorf("%s: not the runtime's", kind)
			}
		}
		text, code, err := c.exec(execArgs("sh", "-c", "ls /bin/lab /proc/self/root/bin/lab"))
		if err != nil || code != 0 || text != "/bin/lab\n/proc/self/root/bin/lab" {
			w.Errorf("exec: %q, code %d, %v", text, code, err)
		}
		w.must(w.Delete("a", true))
		w.checkNothingLeft("a container in the runtime's mount namespace")
	})
}

// TestInheritedFails: nothing of it stays, wherever it fails, and wherever create is ended.
func TestInheritedFails(t *testing.T) {
	both(t, func(w *world) {
		bundle := w.bundle("a", w.basic(inheriting))
		step := 9
		if inVM || w.Reexec {
			step = 40 // it is the same list: a sample
		}
		for i := 0; ; i += step {
			size, cut := 0, op.Op{}
			w.edit = func(l *op.List) {
				if size = len(l.Ops); i < size {
					cut = l.Ops[i]
					l.Ops[i] = op.Exit(77)
					l.Ops[i].Label = cut.Label
				}
			}
			_, err := w.tryCreate("a", CreateOptions{Bundle: bundle})
			if i >= size {
				w.must(err)
				break
			}
			if err == nil {
				w.must(w.Delete("a", true))
			}
			w.checkNothingLeft(fmt.Sprintf("the end at op %d, %s", i, cut))
			if w.Failed() {
				return
			}
		}
		w.must(w.Delete("a", true))
		w.edit = nil
		for n := 1; n < 200; n += step / 4 {
			cmd := w.helper("killed", order{ID: "a", CreateOptions: CreateOptions{Bundle: bundle}}, fmt.Sprintf("AT=%d", n))
			if cmd.Run() == nil {
				break
			}
			if err := w.Delete("a", true); err != nil && !strings.Contains(err.Error(), "does not exist") {
				w.Errorf("at call %d: delete --force: %v", n, err)
			}
			w.checkNothingLeft(fmt.Sprintf("create killed at call %d", n))
			if w.Failed() {
				return
			}
		}
	})
}

// TestOwnCgroup: without a path in the spec, the group is named after the container, and goes with it.
func TestOwnCgroup(t *testing.T) {
	both(t, func(w *world) {
		s := w.basic()
		bundle := w.bundle("a", s)
		s.Linux.CgroupsPath = "" // which bundle had set
		w.rewrite(bundle, s)
		c, err := w.tryCreate("own-cgroup", CreateOptions{Bundle: bundle})
		w.must(err)
		for name, dir := range c.Cgroups {
			if !strings.HasSuffix(dir, kernel.OCIPrefix+"own-cgroup") || !exists(dir) {
				w.Errorf("%s: %s", name, dir)
			}
		}
		if text := w.proc(c.Pid, "cgroup"); strings.Count(text, "own-cgroup") != strings.Count(text, "\n")+1 {
			w.Errorf("not in every tree:\n%s", text)
		}
		w.must(w.Delete("own-cgroup", false))
		for name, dir := range c.Cgroups {
			if exists(dir) {
				w.Errorf("%s: %s is still there", name, dir)
			}
		}
	})
}
