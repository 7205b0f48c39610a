//go:build linux

package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// TestVerbsKilled: kill -9 of every verb at each of its calls. The container goes on as if nobody had been there, or
// as if the verb had come to its end, and can be deleted.
func TestVerbsKilled(t *testing.T) {
	for _, verb := range []string{"exec", "update", "pause", "resume", "kill", "delete"} {
		t.Run(verb, func(t *testing.T) { both(t, func(w *world) { w.killVerb(verb) }) })
	}
}

func (w *world) killVerb(verb string) {
	for n := 1; n < 100; n++ {
		c := w.create("a")
		w.must(c.Start())
		if verb == "resume" {
			w.must(c.Pause())
		}
		ended := w.helper("verb", order{ID: "a"}, "VERB="+verb, fmt.Sprintf("AT=%d", n)).Run()
		if ended != nil && ended.Error() != "signal: killed" {
			w.Fatalf("%s, at call %d: %v", verb, n, ended)
		}
		when := fmt.Sprintf("%s ended at call %d", verb, n)
		// Their first call is the signal.
		w.afterKill(c, when, ended == nil || (verb == "kill" || verb == "delete") && n > 1)
		reapWhile(func() {
			if err := w.Delete("a", true); err != nil && !errors.Is(err, ErrNotExist) {
				w.Errorf("%s: delete --force: %v", when, err)
			}
		})
		w.checkNothingLeft(when)
		if ended == nil || w.Failed() {
			return
		}
	}
}

// TestKilledBeforeWord: a container that is killed before it has read the word to go has not been started.
func TestKilledBeforeWord(t *testing.T) {
	both(t, func(w *world) {
		c := w.create("a")
		w.must(unix.Kill(c.Pid, unix.SIGSTOP)) // it cannot read
		started := make(chan error)
		go func() { started <- c.Start() }()
		select {
		case err := <-started:
			w.Errorf("start: %v, of a container that is stopped", err)
		case <-time.After(100 * time.Millisecond): // for the word; too early or too late, it is the same
			w.must(unix.Kill(c.Pid, unix.SIGKILL))
			w.refused(<-started, ErrNotRunning.Error())
		}
	})
}

// afterKill looks whether a container that has to run still does its work, paused or not.
func (w *world) afterKill(c *container, when string, mayBeGone bool) {
	switch status := w.status("a"); {
	case mayBeGone:
	case status == string(Paused):
		w.check(c.Resume())
		fallthrough
	case status == string(Running):
		if text, code, err := c.exec(execArgs("echo", "here")); text != "here" || code != 0 || err != nil {
			w.Errorf("%s: exec: %q, code %d, %v", when, text, code, err)
		}
	default:
		w.Errorf("%s: the container is %s", when, status)
	}
}

func init() {
	helpers["verb"] = func() int {
		var o order
		var n int
		if json.Unmarshal([]byte(os.Getenv("ORDER")), &o) != nil {
			return 2
		}
		if _, err := fmt.Sscan(os.Getenv("AT"), &n); err != nil {
			return 2
		}
		r := &Runtime{Root: o.Root, Reexec: o.Reexec, Door: &kernel.Door{Trap: func(i int, _ kernel.Call) error {
			if i == n {
				_ = unix.Kill(os.Getpid(), unix.SIGKILL)
			}
			return nil
		}}}
		if err := doVerb(r, o.ID, os.Getenv("VERB")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
}

func doVerb(r *Runtime, id, verb string) error {
	c, err := r.Load(id)
	if err != nil {
		return err
	}
	switch verb {
	case "exec":
		p, err := c.Process()
		if err != nil {
			return err
		}
		p.Args = []string{"true"}
		_, err = c.Exec(ExecOptions{Process: p})
		return err
	case "update":
		limit, shares := int64(50), uint64(512)
		return c.Update(&specs.LinuxResources{
			Pids: &specs.LinuxPids{Limit: &limit}, CPU: &specs.LinuxCPU{Shares: &shares}, Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
		})
	case "pause":
		return c.Pause()
	case "resume":
		return c.Resume()
	case "kill":
		return c.Kill(unix.SIGKILL, false)
	}
	return r.Delete(id, true)
}
