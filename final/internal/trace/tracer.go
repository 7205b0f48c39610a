//go:build linux

package trace

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A kind is one of programs: how the profiles and how the kernel call it.
type kind struct {
	arch  specs.Arch
	audit uint32
}

// An Engine is a way to see system calls.
type Engine string

const (
	Auto   Engine = "auto" // eBPF, or where that cannot be had, ptrace
	EBPF   Engine = "ebpf"
	Ptrace Engine = "ptrace"
)

// Options are what is wanted of a trace. The zero Options count everything, by whichever engine can be had.
type Options struct {
	Engine Engine
	Filter *Filter // calls that are traced; nil for all
	Errors bool    // events only for calls that fail; they are counted all the same

	// Event, if not nil, is given each event, by one goroutine, in the order in which the calls came back. Under
	// ptrace the thread waits for it; under eBPF nobody does, and what does not fit in the buffer is dropped and
	// counted.
	Event func(Event)

	// Door, if not nil, is told what is asked of the kernel.
	Door *kernel.Door

	// AfterExec leaves out what a container side does before it becomes the command: the trace begins with the
	// next execve in the container that succeeds.
	AfterExec bool

	Buffer int // bytes of the buffer between the kernel and Event, a power of two of pages; 0 is 8 MiB. eBPF only
}

// A Tracer follows a container.
type Tracer struct {
	Engine Engine // which it is
	Why    string // why it is not eBPF, if it was to be the best there is

	engine engine
	once   sync.Once
	err    error // of Close
}

// engine is what the two have in common.
type engine interface {
	counts() ([]Count, error)
	missed() (dropped, lost uint64, err error)
	done() <-chan struct{}                // closed when the container's first process has ended, and all is told
	status() (_ unix.WaitStatus, ok bool) // how it ended, if it was a child of ours that only the engine could wait for
	close() error                         // lets go; all that is known is told by then
}

// Start begins to trace.
func Start(t Target, o Options) (*Tracer, error) {
	if o.Door == nil {
		o.Door = &kernel.Door{}
	}
	var because error
	switch o.Engine {
	case EBPF, Auto, "":
		e, err := startEBPF(t, o)
		if err == nil {
			return &Tracer{Engine: EBPF, engine: e}, nil
		}
		because = fmt.Errorf("eBPF: %w", err)
		if o.Engine == EBPF {
			return nil, because
		}
	case Ptrace:
	default:
		return nil, fmt.Errorf("engine %q: want %s, %s or %s", o.Engine, Auto, EBPF, Ptrace)
	}
	e, err := startPtrace(t, o)
	if err != nil {
		return nil, errors.Join(because, fmt.Errorf("ptrace: %w", err))
	}
	tracer := &Tracer{Engine: Ptrace, engine: e}
	if because != nil {
		tracer.Why = because.Error()
	}
	return tracer, nil
}

// Summary is what has been counted so far. It may be asked for at any time, also after Close.
func (t *Tracer) Summary() (Summary, error) {
	now := time.Now()
	counts, err := t.engine.counts()
	dropped, lost, missedErr := t.engine.missed()
	sortCounts(counts)
	return Summary{At: now, Counts: counts, Dropped: dropped, Lost: lost}, errors.Join(err, missedErr)
}

// Missed is how many events were dropped, and how many calls are missing everywhere, so far.
func (t *Tracer) Missed() (dropped, lost uint64, err error) { return t.engine.missed() }

// Done is closed when the container's first process has ended and its last event was delivered.
func (t *Tracer) Done() <-chan struct{} { return t.engine.done() }

// Status is how the container's first process ended, if it was a child of this process and the trace has taken
// the word of its end; else it is there for wait4(2).
func (t *Tracer) Status() (unix.WaitStatus, bool) { return t.engine.status() }

// Close ends the trace: the container goes on without. Calls that are under way are told as such.
func (t *Tracer) Close() error {
	t.once.Do(func() { t.err = t.engine.close() })
	return t.err
}
