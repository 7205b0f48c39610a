//go:build linux

package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

const noexec = "/proc/sys/vm/memfd_noexec" // each PID namespace has one, since Linux 6.3

// TestWithoutStub: where no file in memory may be executed, create and exec fall back to the executor in Go, with
// lists that are made for it. It asks for the stub: whoever asks for the other one has nothing to fall back to.
func TestWithoutStub(t *testing.T) {
	if _, err := os.Stat(noexec); errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	w := newWorld(t, false)
	cmd := w.helper("noStub", order{ID: "a", CreateOptions: CreateOptions{Bundle: w.bundle("a", w.basic())}})
	program, err := os.Executable()
	w.must(err)
	cmd.Path = program // /proc/self/exe would lead to a mount of the namespace that it leaves
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

func init() {
	helpers["noStub"] = func() int {
		if err := withoutStub(); err != nil {
			fmt.Println(err)
			return 1
		}
		return 0
	}
}

// withoutStub is a container's life in a PID namespace of its own.
func withoutStub() error {
	var o order
	err := errors.Join(
		json.Unmarshal([]byte(os.Getenv("ORDER")), &o),
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		os.WriteFile(noexec, []byte("2"), 0))
	if err != nil || executor.StubWorks() {
		return fmt.Errorf("the stub works all the same: %w", err)
	}
	forGo := 0
	r := &Runtime{Root: o.Root, Door: &kernel.Door{}, edit: func(l *op.List) {
		if slices.ContainsFunc(l.Ops, func(o op.Op) bool { return o.Name == "prlimit64" }) { // takes back what Go has raised
			forGo++
		}
	}}
	c, err := r.Create(o.ID, o.CreateOptions)
	if err != nil {
		return err
	}
	p, err := c.Exec(ExecOptions{Process: &specs.Process{Args: []string{"true"}, Cwd: "/", Env: []string{"PATH=/bin"}}})
	if err == nil {
		_, err = p.Wait()
	}
	if forGo != 2 {
		err = errors.Join(err, fmt.Errorf("%d of 2 lists are for the executor in Go", forGo))
	}
	return errors.Join(err, r.Delete(o.ID, true))
}
