//go:build linux

package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hostShell is the lab's shell, by its path on the host.
var hostShell = filepath.Join(work, "image/bin/sh")

// hook runs a script: on the host, or inside the container.
func hook(path, script string) specs.Hook {
	return specs.Hook{Path: path, Args: []string{"sh", "-c", script}, Env: []string{"PATH=/bin"}}
}

// hooks are one hook of each kind, whose script says which it is by $1.
func hooks(script string) *specs.Hooks {
	list := func(name, shell, log string) []specs.Hook {
		text := strings.NewReplacer("NAME", name, "LOG", log).Replace(script)
		return []specs.Hook{hook(shell, text)}
	}
	log := filepath.Join(work, "log/hooks")
	return &specs.Hooks{
		Prestart: list("prestart", hostShell, log), CreateRuntime: list("createRuntime", hostShell, log),
		CreateContainer: list("createContainer", hostShell, log), StartContainer: list("startContainer", "/bin/sh", "/log/hooks"),
		Poststart: list("poststart", hostShell, log), Poststop: list("poststop", hostShell, log),
	}
}

// logged gives the container a directory to write to, and returns what is in the log there.
func (w *world) logged() (mount func(*specs.Spec), read func() []string) {
	w.Helper()
	dir := filepath.Join(work, "log")
	w.must(os.RemoveAll(dir))
	w.must(os.Mkdir(dir, 0o777))
	mount = func(s *specs.Spec) {
		s.Mounts = append(s.Mounts, specs.Mount{Destination: "/log", Type: "bind", Source: dir, Options: []string{"bind", "rw"}})
	}
	return mount, func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "hooks"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			w.Error(err)
		}
		return strings.Split(strings.TrimSpace(string(text)), "\n")
	}
}

// TestHooks: all six, in their order, with the state on stdin, where the specification wants them.
func TestHooks(t *testing.T) {
	both(t, func(w *world) {
		mount, log := w.logged()
		t := hooks(`echo "NAME $(readlink /proc/self/ns/uts) $(cat)" >> LOG`)
		t.Prestart = append(t.Prestart, hook(hostShell, `echo "second" >> `+filepath.Join(work, "log/hooks")))
		c := w.create("a", mount, func(s *specs.Spec) {
			s.Hooks, s.Annotations = t, map[string]string{"colour": "blue"}
			shell("echo command >> /log/hooks; sleep 1000")(s)
		})
		w.must(c.Start())
		if !eventually(func() bool { return strings.Contains(strings.Join(log(), "\n"), "command") }) {
			w.Error("the command did not run")
		}
		inside, outside := w.namespace(c.Pid, "uts"), w.namespace(os.Getpid(), "uts")
		w.must(w.Delete("a", true))

		order := ""
		for _, line := range log() {
			name, rest, _ := strings.Cut(line, " ")
			order += name + " "
			if rest == "" {
				continue
			}
			namespace, text, _ := strings.Cut(rest, " ")
			w.checkHook(c, name, namespace, text, inside, outside)
		}
		want := "prestart second createRuntime createContainer startContainer command poststart poststop "
		if swapped := strings.Replace(want, "command poststart", "poststart command", 1); order != want && order != swapped {
			w.Errorf("order: %s, want %s", order, want)
		}
	})
}

func (w *world) checkHook(c *container, name, namespace, text, inside, outside string) {
	w.Helper()
	state := specs.State{}
	if err := json.Unmarshal([]byte(text), &state); err != nil {
		w.Fatalf("%s: %q: %v", name, text, err)
	}
	want := map[string]struct {
		status    specs.ContainerState
		pid       int
		namespace string
	}{
		"prestart": {"created", c.Pid, outside}, "createRuntime": {"created", c.Pid, outside},
		"createContainer": {"created", 1, inside}, "startContainer": {"created", 1, inside},
		"poststart": {"running", c.Pid, outside}, "poststop": {"stopped", 0, outside},
	}[name]
	if state.ID != "a" || state.Bundle != c.Bundle || state.Annotations["colour"] != "blue" || state.Version != specs.Version ||
		state.Status != want.status || state.Pid != want.pid || namespace != want.namespace {
		w.Errorf("%s, in %s: %+v\nwant: %+v", name, namespace, state, want)
	}
}

// quiet keeps warnings away that a test asks for.
func (w *world) quiet() {
	stderr := os.Stderr
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	w.must(err)
	os.Stderr = null
	w.before = w.belongings()
	w.Cleanup(func() { os.Stderr = stderr; null.Close() })
}

// TestHookFails: a hook that fails ends the container, and nothing further runs but poststop.
func TestHookFails(t *testing.T) {
	both(t, func(w *world) {
		w.quiet()
		names := []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
		for i, name := range names {
			mount, log := w.logged()
			script := `echo NAME >> LOG; case NAME in ` + name + `) echo on stdout; echo on stderr >&2; exit 3; esac`
			c, err := w.tryCreate("a", CreateOptions{}, mount, func(s *specs.Spec) {
				s.Hooks = hooks(script)
				shell("echo command > /log/command; sleep 1000")(s)
			})
			if i >= 3 {
				w.must(err)
				err = c.Start()
			}
			if i < 5 { // poststop is said, and no error
				w.refused(err, "error running "+name+" hook #0: ", "exit status 3", "on stdout", "on stderr")
			} else {
				w.check(err)
			}
			if i == 5 {
				w.must(w.Delete("a", true))
			}
			w.checkNothingLeft("a failed " + name)
			if exists(filepath.Join(work, "log/command")) && i < 4 {
				w.Errorf("%s failed, and the command ran", name)
			}
			want := strings.Join(slices.Concat(names[:min(i+1, 5)], []string{"poststop"}), " ")
			if got := strings.Join(log(), " "); got != want {
				w.Errorf("%s failed: these ran: %s, want %s", name, got, want)
			}
		}
		for _, test := range []struct {
			hook specs.Hook
			want string
		}{
			{specs.Hook{Path: "/no/such"}, "no such file or directory"},
			{hook(hostShell, "kill -9 $$; sleep 10"), "killed"},
			{specs.Hook{Path: hostShell, Args: []string{"sh", "-c", "sleep 1000"}, Env: []string{"PATH=" + filepath.Dir(hostShell)}, Timeout: ptr(1)},
				"longer than its timeout, 1 s"},
		} {
			if test.hook.Timeout != nil && w.Reexec {
				continue // a second is long
			}
			_, err := w.tryCreate("a", CreateOptions{}, func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{test.hook}} })
			w.refused(err, "error running createRuntime hook #0: "+test.hook.Path, test.want)
			w.checkNothingLeft("a hook that ends with " + test.want)
			_, err = w.tryCreate("a", CreateOptions{}, func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{test.hook}} })
			if test.want = strings.Replace(test.want, "killed", "SIGKILL", 1); err == nil {
				w.Errorf("createContainer: want %s", test.want)
			}
			w.refused(err, "error running createContainer hook #0: "+test.hook.Path, test.want)
			w.checkNothingLeft("a hook inside that ends with " + test.want)
		}
	})
}

// TestPoststop: each of them runs, whatever the others do, and the container is gone by then.
func TestPoststop(t *testing.T) {
	both(t, func(w *world) {
		_, log := w.logged()
		file := filepath.Join(work, "log/hooks")
		w.create("a", func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{Poststop: []specs.Hook{
				hook(hostShell, "echo one >> "+file+"; exit 1"), {Path: "/no/such"},
				hook(hostShell, "ls "+filepath.Join(w.Root, "a")+" || echo two >> "+file),
			}}
		})
		w.quiet()
		w.must(w.Delete("a", false))
		if got := strings.Join(log(), " "); got != "one two" {
			w.Errorf("%q, want one two", got)
		}

		_, err := w.tryCreate("a", CreateOptions{}, func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{
				Prestart: []specs.Hook{hook(hostShell, "exit 1")},
				Poststop: []specs.Hook{hook(hostShell, "ls "+filepath.Join(w.Root, "a")+" || echo three >> "+file)},
			}
		})
		w.refused(err, "prestart")
		if got := strings.Join(log(), " "); got != "one two three" {
			w.Errorf("after a create that failed: %q, want one two three", got)
		}
	})
}

// TestHookLeavesDaemon: a hook may leave a process behind that has its output still; it has ended all the same.
func TestHookLeavesDaemon(t *testing.T) {
	both(t, func(w *world) {
		w.create("a", func(s *specs.Spec) {
			daemon := hook("/bin/sh", "sleep 1 & exit 0") // the host's: the lab's shell takes its jobs along
			s.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{daemon}, CreateContainer: []specs.Hook{daemon}}
		})
		w.must(w.Delete("a", true))
	})
}

// TestHookEnvironment: a hook has the environment of its own, and no descriptor of ours.
func TestHookEnvironment(t *testing.T) {
	both(t, func(w *world) {
		w.Setenv("SECRET", "of the runtime")
		mount, log := w.logged()
		w.create("a", mount, func(s *specs.Spec) {
			s.Hooks = hooks(`echo "NAME [$(env | grep -v PWD | grep -v SHLVL | tr '\n' ' ')] $(ls /proc/self/fd | tr '\n' ' ')" >> LOG`)
			args("true")(s)
		}).run()
		w.must(w.Delete("a", false))
		for _, line := range log() {
			if strings.Contains(line, "SECRET") || !strings.Contains(line, "[PATH=/bin ]") {
				w.Errorf("environment: %s", line)
			}
			_, fds, _ := strings.Cut(line, "] ")
			if n := len(strings.Fields(fds)); n > 4+1 { // 0, 1, 2, the directory that ls reads, what Go waits with
				w.Errorf("descriptors: %s", line)
			}
		}
	})
}

// TestCreateContainerHookMounts: what a createContainer hook mounts in the container's root is there, and
// nowhere else.
func TestCreateContainerHookMounts(t *testing.T) {
	both(t, func(w *world) {
		target := filepath.Join(w.dir, "rootfs/mnt")
		w.says("a", "put there", shell("cat /mnt/file"), func(s *specs.Spec) {
			script := fmt.Sprintf("mount -t tmpfs tmpfs %s && echo put there > %s/file", target, target)
			h := hook(hostShell, script)
			h.Env = []string{"PATH=" + filepath.Dir(hostShell)}
			s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{h}}
		})
		w.says("a", "put there", shell("cat /mnt/file"), func(s *specs.Spec) {
			h := hook(hostShell, "mount -t tmpfs tmpfs ./mnt && echo put there > ./mnt/file") // it begins in the root
			h.Env = []string{"PATH=" + filepath.Dir(hostShell)}
			s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{h}}
		})
	})
}

// TestHookInherits: hooks on the host without an environment of their own have the runtime's, hooks in the
// container's namespaces have nothing of it.
func TestHookInherits(t *testing.T) {
	both(t, func(w *world) {
		w.Setenv("OURS", "inherited")
		mount, log := w.logged()
		w.create("a", mount, args("true"), func(s *specs.Spec) {
			s.Hooks = hooks("echo NAME $OURS >> LOG")
			for _, list := range [][]specs.Hook{s.Hooks.Prestart, s.Hooks.CreateRuntime, s.Hooks.CreateContainer,
				s.Hooks.StartContainer, s.Hooks.Poststart, s.Hooks.Poststop} {
				list[0].Env = nil
			}
		}).run()
		w.must(w.Delete("a", false))
		lines := log()
		if len(lines) != 6 {
			w.Errorf("%q", lines)
		}
		for _, line := range lines {
			name, value, _ := strings.Cut(line, " ")
			inside := name == "createContainer" || name == "startContainer"
			if (value == "inherited") == inside {
				w.Errorf("%s has %q", name, value)
			}
		}
	})
}

// TestStartHookInherits: a startContainer hook without an environment has the command's, HOME included.
func TestStartHookInherits(t *testing.T) {
	both(t, func(w *world) {
		mount, log := w.logged()
		w.create("a", mount, args("true"), func(s *specs.Spec) {
			s.Process.Env = []string{"PATH=/bin", "ONE=two", "HOME="}
			s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $ONE $HOME >> /log/hooks"}}}}
		}).run()
		w.must(w.Delete("a", false))
		if got := log(); len(got) != 1 || got[0] != "two /root" {
			w.Errorf("the hook has %q, want two /root", got)
		}
	})
}

// TestStartIsKilled: whoever starts a container may be ended at any time: then somebody else can, or it runs.
func TestStartIsKilled(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		connection, err := c.connect() // as start does, and then it is ended
		w.must(err)
		time.Sleep(10 * time.Millisecond)
		connection.Close()
		w.wantStatus("a", Created)
		w.must(c.Start())
		w.wantStatus("a", Running)
		// As if the one before had been ended between the command's begin and the removal of the socket.
		listener, err := listen(c.dir)
		w.must(err)
		w.must(listener.Close())
		w.wantStatus("a", Running)
		w.refused(c.Start(), "cannot start a container")
	})
}
