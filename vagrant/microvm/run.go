//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// A runner boots a machine for each package: so no test meets what another one
// has left, and several run at a time.
type runner struct {
	*options
	Tree  string // the unpacked packages
	Work  string // a directory for what the machines need
	Made  *programs
	Accel string // kvm or tcg
}

// machine makes the machine that runs these programs. name is for its files.
func (r *runner) machine(name string, made *programs) (*vm, error) {
	dir := filepath.Join(r.Work, name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	v := &vm{machine: machines[r.Arch], Initrd: filepath.Join(dir, "initrd"), Memory: r.Memory, Append: r.Append, Dir: dir}
	var err error
	v.Kernel, err = writeInitramfs(v.Initrd, r.Tree, r.Arch, made, r.manifest(made))
	return v, err
}

// runTests runs the packages' tests, as many at a time as -p says, and prints
// what they print: as it comes if there is one package, at its end otherwise.
// The last package is started first: a workshop's steps grow.
func (r *runner) runTests(ctx context.Context, out io.Writer) error {
	results := make([]summary, len(r.Made.Tests))
	slots := make(chan struct{}, r.Parallel)
	var wg sync.WaitGroup
	var printing sync.Mutex
	for i, test := range slices.Backward(r.Made.Tests) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var held bytes.Buffer
			s := &results[i]
			if s.Out = &held; len(results) == 1 {
				s.Out = out
			}
			s.err = r.runTest(ctx, fmt.Sprint(i), test, s)
			printing.Lock()
			defer printing.Unlock()
			_, _ = held.WriteTo(out) // as go test: what cannot be printed is lost
		})
	}
	wg.Wait()
	return conclude(results, out)
}

// runTest runs one package's tests in a machine of their own.
func (r *runner) runTest(ctx context.Context, name string, test testProgram, s *summary) error {
	made := *r.Made
	made.Tests = []testProgram{test}
	v, err := r.machine(name, &made)
	if err != nil {
		return err
	}
	defer os.RemoveAll(v.Dir)
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout+bootTime["tcg"], fmt.Errorf("timeout after %v", r.Timeout))
	defer cancel()
	if err := v.run(ctx, r.Accel, s.handle); err != nil {
		return fmt.Errorf("%s: %w", test.Name, err)
	}
	return nil
}

// chooseAccel turns auto into kvm or tcg. That /dev/kvm can be opened proves
// nothing: a guest with no tests has to start on it, once for each boot of the
// host.
func (r *runner) chooseAccel(ctx context.Context, memory kvmMemory) error {
	r.Accel = r.options.Accel
	if r.Accel != "auto" {
		return nil
	}
	r.Accel = "tcg"
	if !kvmThere(r.Arch) {
		return nil
	}
	works, known := memory.recall()
	if !known {
		v, err := r.machine("kvm", &programs{Init: r.Made.Init})
		if err != nil {
			return err
		}
		works = v.run(ctx, "kvm", func(wire.Record) error { return nil }) == nil
		if err := memory.remember(works); err != nil {
			return err
		}
		if !works {
			progress("kvm: no guest starts on it: emulating")
		}
	}
	if works {
		r.Accel = "kvm"
	}
	return nil
}

// A summary follows the report of one machine and prints it.
type summary struct {
	Out    io.Writer
	err    error    // the machine did not get to the end
	ended  []string // a line for each program that did
	failed []string
}

func (s *summary) handle(record wire.Record) error {
	switch {
	case record.Output != nil:
		_, err := s.Out.Write(record.Output)
		return err
	case record.Ended != "" && record.Result != nil:
		s.end(record.Ended, record.Result)
	case record.Failure != "":
		return errors.New(record.Failure)
	}
	return nil
}

// end notes a line like go test's own, to be printed when all is over.
func (s *summary) end(name string, result *wire.Result) {
	took := time.Duration(result.Seconds * float64(time.Second))
	line := fmt.Sprintf("ok  \t%s\t%.2fs", name, took.Seconds())
	if result.ExitCode != 0 {
		line = fmt.Sprintf("FAIL\t%s\t%.2fs\texit code %d", name, took.Seconds(), result.ExitCode)
		s.failed = append(s.failed, name)
	}
	s.ended = append(s.ended, line)
}

// conclude prints a line for each package, and makes one error of all that failed.
func conclude(results []summary, out io.Writer) error {
	var errs []error
	var failed []string
	for _, s := range results {
		for _, line := range s.ended {
			fmt.Fprintln(out, line)
		}
		errs = append(errs, s.err)
		failed = append(failed, s.failed...)
	}
	if len(failed) > 0 {
		errs = append(errs, fmt.Errorf("failed: %s", strings.Join(slices.Compact(failed), ", ")))
	}
	return errors.Join(errs...)
}
