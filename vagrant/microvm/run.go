package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// A summary follows the report and prints it.
type summary struct {
	Out     io.Writer
	current string   // the test that runs
	ended   []string // a line each
	failed  []string
}

// runTests boots the machine and prints what its tests print.
func (o *options) runTests(ctx context.Context, v *vm, memory kvmMemory, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout+bootTime["tcg"], fmt.Errorf("timeout after %v", o.Timeout))
	defer cancel()
	s := &summary{Out: out}
	err := o.boot(ctx, v, memory, s)
	if err != nil && s.current != "" {
		err = fmt.Errorf("%s: %w", s.current, err)
	}
	for _, line := range s.ended {
		fmt.Fprintln(s.Out, line)
	}
	if err == nil && len(s.failed) > 0 {
		err = fmt.Errorf("failed: %s", strings.Join(s.failed, ", "))
	}
	return err
}

// boot runs the machine with the accelerator that was asked for. For auto it
// tries KVM first and falls back when no guest comes up on it: that /dev/kvm
// can be opened does not prove anything.
func (o *options) boot(ctx context.Context, v *vm, memory kvmMemory, s *summary) error {
	works, known := memory.recall()
	if o.Accel != "auto" || known || !kvmThere(o.Arch) {
		return v.run(ctx, o.accel(works && known), s.handle)
	}
	err := v.run(ctx, "kvm", s.handle)
	works = !errors.Is(err, errNotReady)
	if err := memory.remember(works); err != nil {
		return err
	}
	if works {
		return err
	}
	progress("kvm: no guest starts on it: emulating")
	return v.run(ctx, "tcg", s.handle)
}

// accel turns auto into what it means.
func (o *options) accel(kvmWorks bool) string {
	switch {
	case o.Accel != "auto":
		return o.Accel
	case kvmWorks && kvmThere(o.Arch):
		return "kvm"
	}
	return "tcg"
}

func (s *summary) handle(record wire.Record) error {
	switch {
	case record.Ready != "":
		progress("Linux %s is up", record.Ready)
	case record.Started != "":
		s.current = record.Started
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
	s.current = ""
	took := time.Duration(result.Seconds * float64(time.Second)).Round(10 * time.Millisecond)
	verdict, reason := "ok  ", ""
	if result.ExitCode != 0 {
		verdict, reason = "FAIL", fmt.Sprintf("\texit code %d", result.ExitCode)
		s.failed = append(s.failed, name)
	}
	s.ended = append(s.ended, fmt.Sprintf("%s\t%s\t%.2fs%s", verdict, name, took.Seconds(), reason))
}
