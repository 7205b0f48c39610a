//go:build linux

package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/monitor"
	"github.com/simple-container/simple-container/final/internal/ocispec"
	"github.com/simple-container/simple-container/final/internal/runtime"
)

// Begin is what a monitor calls for to have its container made and started. It is the monitor's child, in the
// mount namespace of that, with the container's streams as its own; what it has to say goes through a pipe
// (package monitor). Whoever called for the start holds the container's lock.
func (e *Engine) Begin(id string) error {
	for fd := monitor.ReportFD; fd <= monitor.NarrateFD; fd++ {
		unix.CloseOnExec(fd)
	}
	report := os.NewFile(monitor.ReportFD, "report")
	defer report.Close()
	if narrate := os.NewFile(monitor.NarrateFD, "explain"); !isNull(narrate) {
		e.Door.Explain = narrate
	}
	c, err := e.load(id)
	if err == nil {
		err = c.begin(report)
	}
	if err == nil {
		_, err = fmt.Fprintln(report, "started")
		return err
	}
	code := FailureCode(err)
	why := strings.ReplaceAll(err.Error(), "\n", "; ")
	if c != nil {
		c.State.Status, c.State.ExitCode, c.State.Error, c.State.Pid = Created, code, why, 0
		_ = c.writeState() // who waits is told all the same
	}
	fmt.Fprintf(report, "failed %d %s\n", code, why)
	return err
}

// begin makes the container, in the order in which its parts need each other, and starts it. What it leaves when it
// fails, the monitor has cleared away.
func (c *Container) begin(report *os.File) error {
	host, err := hostFacts(c.Options.Privileged)
	if err != nil {
		return err
	}
	if err := c.mountRoot(host); err != nil {
		return err
	}
	if err := c.fillVolumes(); err != nil {
		return err
	}
	if err := c.writeHostFiles(host); err != nil {
		return err
	}
	if err := c.writeBundle(host); err != nil {
		return err
	}
	o := runtime.CreateOptions{Bundle: c.dir}
	if c.Options.Terminal {
		o.Console = os.NewFile(monitor.ConsoleFD, "console")
		defer o.Console.Close()
	}
	made, err := c.engine.OCI.Create(c.ID, o)
	if err != nil {
		return c.mismatch(err)
	}
	if _, err := fmt.Fprintf(report, "created %d %s\n", made.Pid, oomFile(made.Cgroups)); err != nil {
		return err
	}
	if err := c.connect(made.Pid, host); err != nil {
		return err
	}
	if err := c.pass(); err != nil {
		return err
	}
	if err := made.Start(); err != nil {
		return err
	}
	c.State = State{
		Connection: c.State.Connection, Status: Running, Pid: made.Pid, Monitor: os.Getppid(), StartedAt: time.Now().UTC(), AutoRemove: c.AutoRemove,
		Cgroups: made.Cgroups,
	}
	return c.writeState()
}

// isNull tells whether a file is /dev/null, where nobody listens.
func isNull(file *os.File) bool {
	info, err := file.Stat()
	null, nullErr := os.Stat(os.DevNull)
	return err == nil && nullErr == nil && os.SameFile(info, null)
}

// writeBundle writes config.json, and has the kernel know the profile in it, if that is ours.
func (c *Container) writeBundle(host ocispec.Host) error {
	s, err := c.spec(host)
	if err != nil {
		return err
	}
	if err := c.engine.loadProfile(s.Process.ApparmorProfile); err != nil {
		return err
	}
	text, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(c.path("config.json"), text, 0o600)
}

// oomFile is where the kernel counts the processes of a container that it killed for want of memory.
func oomFile(cgroups map[string]string) string {
	for _, file := range []struct{ controller, name string }{{"memory", "memory.oom_control"}, {"", "memory.events"}} {
		if dir, ok := cgroups[file.controller]; ok {
			return dir + "/" + file.name
		}
	}
	return ""
}
