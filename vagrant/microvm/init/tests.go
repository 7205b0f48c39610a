//go:build linux

package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

const rootfsDir = "/var/rootfs"

// reporter writes records to the port.
type reporter struct{ port io.ReadWriter }

// Write makes a record of what a test wrote.
func (r reporter) Write(p []byte) (int, error) {
	return len(p), wire.WriteRecord(r.port, wire.Record{Output: p})
}

// runTests runs the manifest's tests one after the other and reports.
func runTests(manifest *wire.Manifest) error {
	port, err := openPort(manifest.Modules)
	if err != nil {
		return err
	}
	report := reporter{port}
	if err := report.tests(manifest); err != nil {
		_ = wire.WriteRecord(port, wire.Record{Failure: err.Error()}) // the console has it too
		return err
	}
	if err := wire.WriteRecord(port, wire.Record{Done: true}); err != nil {
		return err
	}
	// The answer says that the host has read everything. Only then may the
	// power go off.
	_, err = port.Read(make([]byte, 1))
	return err
}

func (r reporter) tests(manifest *wire.Manifest) error {
	deadline := time.Now().Add(time.Duration(manifest.Seconds) * time.Second)
	if err := wire.WriteRecord(r.port, wire.Record{Ready: kernelRelease()}); err != nil {
		return err
	}
	env, err := r.rootfs(manifest.Final)
	if err != nil {
		return err
	}
	for _, test := range manifest.Tests {
		// A little less than what is left: a test that hangs is to say where,
		// which it cannot when the machine goes off under it.
		left := max(time.Until(deadline)-5*time.Second, time.Second).Round(time.Second)
		c := &command{Args: append([]string{test.Binary, "-test.timeout=" + left.String()}, test.Args...), Dir: test.Dir, Env: env}
		if test.Program != "" {
			c.Env = append(env[:len(env):len(env)], "CONTAINER="+test.Program)
		}
		if _, err := r.run(test.Name, c); err != nil {
			return fmt.Errorf("%s: %w", test.Name, err)
		}
	}
	return nil
}

// rootfs fills ROOTFS by the final program. When that fails it counts as a
// failed test, and the tests go on: not all of them want it.
func (r reporter) rootfs(final string) (env []string, err error) {
	if final == "" {
		return nil, nil
	}
	code, err := r.run("final rootfs", &command{Args: []string{final, "rootfs", rootfsDir}, Dir: "/"})
	env = []string{"FINAL=" + final}
	if code == 0 {
		env = append(env, "ROOTFS="+rootfsDir)
	}
	return env, err
}

// run runs the command as a test of that name, and reports.
func (r reporter) run(name string, c *command) (int, error) {
	if err := wire.WriteRecord(r.port, wire.Record{Started: name}); err != nil {
		return 0, err
	}
	start := time.Now()
	code, err := r.stream(c)
	if err != nil {
		return 0, err
	}
	took := time.Since(start).Seconds()
	if n := reapAll(); n > 0 {
		fmt.Fprintf(r, "%s: left %d processes behind\n", name, n)
	}
	return code, wire.WriteRecord(r.port, wire.Record{Ended: name, Result: &wire.Result{ExitCode: code, Seconds: took}})
}

// stream runs the command with its output going to the report as it comes.
func (r reporter) stream(c *command) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	read, write, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer read.Close()
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(struct{ io.Writer }{r}, read)
		copied <- err
	}()
	c.Input, c.Output = null, write
	code, err := c.run()
	write.Close()
	// A process that outlives the test has the pipe open: what is in it by
	// now is enough.
	_ = read.SetReadDeadline(time.Now().Add(5 * time.Second))
	if copyErr := <-copied; err == nil && copyErr != nil && !os.IsTimeout(copyErr) {
		err = copyErr
	}
	return code, err
}

// kernelRelease is what uname -r says.
func kernelRelease() string {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(release))
}
