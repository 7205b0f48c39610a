//go:build linux

package trace

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// bpfTracer has programs in the kernel count the container's calls, and pass them on through a ring in memory that
// both sides share (BPF_MAP_TYPE_RINGBUF, since Linux 5.8). The container never waits: it writes, and goes on.
type bpfTracer struct {
	o       Options
	maps    map[string]*ebpf.Map
	links   []link.Link
	reader  *ringbuf.Reader // nil if nobody wants events
	numbers numbers
	boot    time.Time // when the kernel's clock was 0

	ended chan struct{} // the first process has
	read  chan struct{} // the reader has

	over     atomic.Bool // as ended, but what it has written may not be read yet
	detached atomic.Bool
	stop     struct{ r, w *os.File } // a pipe: closed at the end

	mutex sync.Mutex // of what is left at the end, when the maps are closed:
	final *tally
}

// A tally is what there is to count.
type tally struct {
	counts        []Count
	dropped, lost uint64
}

const (
	mostThreads = 8192 // that are followed at once, if their events are wanted
	ringSize    = 8 << 20
)

func startEBPF(t Target, o Options) (engine, error) {
	b, err := loadEBPF(t, o)
	if errors.Is(err, unix.EPERM) {
		// Before Linux 5.11 maps count as locked memory, of which there is little by default.
		if restore, limitErr := raiseMemlock(); limitErr == nil {
			b, err = loadEBPF(t, o)
			restore()
		}
	}
	if errors.Is(err, unix.EPERM) {
		err = fmt.Errorf("%w: it wants root with CAP_SYS_ADMIN, or CAP_BPF and CAP_PERFMON", err)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

func raiseMemlock() (restore func(), err error) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
		return nil, err
	}
	most := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return func() { _ = unix.Setrlimit(unix.RLIMIT_MEMLOCK, &before) }, unix.Setrlimit(unix.RLIMIT_MEMLOCK, &most)
}

func loadEBPF(t Target, o Options) (_ *bpfTracer, err error) {
	b := &bpfTracer{
		o: o, maps: map[string]*ebpf.Map{}, boot: bootTime(),
		ended: make(chan struct{}), read: make(chan struct{}),
	}
	if b.numbers, err = newNumbers(t); err != nil {
		return nil, err
	}
	s, err := newScope(t)
	if err != nil {
		return nil, err
	}
	defer s.close()
	end, err := unix.PidfdOpen(t.Pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open %d: %w", t.Pid, err)
	}
	if err := b.load(s, t.Pid); err != nil {
		unix.Close(end)
		return nil, errors.Join(err, b.unload())
	}
	if b.reader == nil {
		close(b.read)
	} else {
		go b.readEvents()
	}
	go b.awaitEnd(end)
	return b, nil
}

func (b *bpfTracer) load(s scope, first int) (err error) {
	if b.stop.r, b.stop.w, err = os.Pipe(); err != nil {
		return err
	}
	if err := b.makeMaps(s); err != nil {
		return err
	}
	if !b.numbers.same {
		first = 0 // programs know another number for it
	}
	return b.attach(s, first)
}

// unload takes away what load has made so far.
func (b *bpfTracer) unload() error {
	err := b.detach()
	if b.reader != nil {
		err = errors.Join(err, b.reader.Close())
	}
	b.closeMaps()
	b.stop.r.Close() // no error: it may be nil
	b.stop.w.Close()
	return err
}

// makeMaps makes the maps that the programs work with, and fills those that they only read.
func (b *bpfTracer) makeMaps(s scope) error {
	record, most, buffer := uint32(recordCounting), uint32(4*mostThreads), b.o.Buffer
	if b.o.Event != nil {
		record, most = recordSize, mostThreads
	}
	if buffer == 0 {
		buffer = ringSize
	}
	specs := []ebpf.MapSpec{
		{Name: mapGroup, Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Name: mapThreads, Type: ebpf.Hash, KeySize: 8, ValueSize: record, MaxEntries: most},
		{Name: mapBlank, Type: ebpf.Array, KeySize: 4, ValueSize: record, MaxEntries: 1},
		{Name: mapWanted, Type: ebpf.Array, KeySize: 4, ValueSize: wantedSize, MaxEntries: otherOne + 1},
		{Name: mapTotals, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: uint32(totalSize), MaxEntries: otherOne + 1},
		{Name: mapMissed, Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: 1},
		{Name: mapBegun, Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1},
		{Name: mapEvents, Type: ebpf.RingBuf, MaxEntries: uint32(buffer)},
	}
	for _, spec := range specs {
		if spec.Name == mapEvents && b.o.Event == nil || spec.Name == mapGroup && s.group == nil {
			continue
		}
		m, err := ebpf.NewMap(&spec)
		if err != nil {
			return fmt.Errorf("map %s: %w", spec.Name, err)
		}
		b.maps[spec.Name] = m
	}
	if s.group != nil {
		if err := b.maps[mapGroup].Put(uint32(0), uint32(s.group.Fd())); err != nil {
			return fmt.Errorf("map %s: %s: %w", mapGroup, s.group.Name(), err)
		}
	}
	for slot := range otherOne + 1 {
		value := wantedOf(slot, b.o.Filter)
		if err := b.maps[mapWanted].Put(uint32(slot), value[:]); err != nil {
			return fmt.Errorf("map %s: %w", mapWanted, err)
		}
	}
	return nil
}

// attach loads the programs and hangs them on their tracepoints: the one of the way in last, so that there is no way
// in without a way out.
func (b *bpfTracer) attach(s scope, first int) error {
	if events := b.maps[mapEvents]; events != nil {
		var err error
		if b.reader, err = ringbuf.NewReader(events); err != nil {
			return err
		}
	}
	writer := func() *program {
		return &program{scope: s, events: b.o.Event != nil, errors: b.o.Errors, waits: b.o.AfterExec, first: first}
	}
	for _, hook := range []struct {
		tracepoint string
		needed     bool
		spec       ebpf.ProgramSpec
	}{
		{"sched_process_exec", b.o.AfterExec, ebpf.ProgramSpec{Name: "trace_exec", Instructions: writer().exec()}},
		{"sched_process_exit", true, ebpf.ProgramSpec{Name: "trace_die", Instructions: writer().die()}},
		{"sys_exit", true, ebpf.ProgramSpec{Name: "trace_leave", Instructions: writer().leave()}},
		{"sys_enter", true, ebpf.ProgramSpec{Name: "trace_enter", Instructions: writer().enter()}},
	} {
		if !hook.needed {
			continue
		}
		call := kernel.Call{
			Op: "bpf", Object: hook.tracepoint, Value: "BPF_PROG_LOAD, BPF_RAW_TRACEPOINT_OPEN",
			Shell: "bpftrace -e 'rawtracepoint:" + hook.tracepoint + " { ... }'",
		}
		if err := b.o.Door.Do(call, func() error { return b.hang(hook.tracepoint, &hook.spec) }); err != nil {
			return err
		}
	}
	return nil
}

func (b *bpfTracer) hang(tracepoint string, spec *ebpf.ProgramSpec) error {
	spec.Type, spec.License = ebpf.RawTracepoint, "Dual MIT/GPL" // to read memory is for programs under the GPL only
	for name, m := range b.maps {
		if err := spec.Instructions.AssociateMap(name, m); err != nil && !errors.Is(err, asm.ErrUnreferencedSymbol) {
			return err
		}
	}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		return err
	}
	defer program.Close() // the link keeps it
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: tracepoint, Program: program})
	if err != nil {
		return err
	}
	b.links = append(b.links, l)
	return nil
}

// awaitEnd waits for the end of the container's first process, or of the trace.
func (b *bpfTracer) awaitEnd(pidfd int) {
	defer unix.Close(pidfd)
	defer b.stop.r.Close()
	files := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, {Fd: int32(b.stop.r.Fd()), Events: unix.POLLIN}}
	for {
		_, err := unix.Poll(files, -1)
		if err == nil && files[0].Revents != 0 {
			break
		}
		if err == nil || !errors.Is(err, unix.EINTR) {
			return
		}
	}
	if b.reader == nil {
		close(b.ended)
		return
	}
	b.over.Store(true)
	_ = b.reader.Flush() // what it has written is in the ring; it fails if that is closed
}

// readEvents passes the events on, until the trace is over and the ring is empty.
func (b *bpfTracer) readEvents() {
	defer close(b.read)
	var record ringbuf.Record
	told := false
	for {
		err := b.reader.ReadInto(&record)
		switch {
		case err == nil:
			b.o.Event(b.event(record.RawSample))
		case !errors.Is(err, ringbuf.ErrFlushed):
			return
		case b.over.Load() && !told:
			close(b.ended)
			told = true
		}
		if err != nil && b.detached.Load() {
			return
		}
	}
}

func (b *bpfTracer) done() <-chan struct{} { return b.ended }

// status is not for the tracer to tell: the parent waits for its child as ever.
func (b *bpfTracer) status() (unix.WaitStatus, bool) { return 0, false }

// counts adds up what the processors have counted.
func (b *bpfTracer) counts() ([]Count, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.final != nil {
		return slices.Clone(b.final.counts), nil
	}
	t, err := b.tally()
	return t.counts, err
}

// missed is what did not fit.
func (b *bpfTracer) missed() (dropped, lost uint64, err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.final != nil {
		return b.final.dropped, b.final.lost, nil
	}
	var t tally
	err = b.addMissed(&t)
	return t.dropped, t.lost, err
}

func (b *bpfTracer) tally() (t tally, err error) {
	var totals []totalsOf
	for slot := range otherOne + 1 {
		if err := b.maps[mapTotals].Lookup(uint32(slot), &totals); err != nil {
			return t, fmt.Errorf("map %s: %w", mapTotals, err)
		}
		if c := sum(callIn(slot), totals); c.Calls > 0 {
			t.counts = append(t.counts, c)
		}
	}
	return t, b.addMissed(&t)
}

func (b *bpfTracer) addMissed(t *tally) error {
	var missed []struct{ Dropped, Lost uint64 }
	if err := b.maps[mapMissed].Lookup(uint32(0), &missed); err != nil {
		return fmt.Errorf("map %s: %w", mapMissed, err)
	}
	for _, m := range missed {
		t.dropped, t.lost = t.dropped+m.Dropped, t.lost+m.Lost
	}
	return nil
}

// totalsOf is a value of the map of totals, as the programs write it.
type totalsOf struct {
	Calls, Errors, Endless, Time uint64
	Latency                      Histogram
}

func sum(call Call, totals []totalsOf) Count {
	c := Count{Call: call}
	for _, t := range totals {
		c.Calls, c.Errors, c.Endless = c.Calls+t.Calls, c.Errors+t.Errors, c.Endless+t.Endless
		c.Time += time.Duration(t.Time)
		for i, n := range t.Latency {
			c.Latency[i] += n
		}
	}
	return c
}

// close takes the programs away and reads what they have left.
func (b *bpfTracer) close() error {
	err := b.detach()
	b.detached.Store(true)
	b.stop.w.Close()
	if b.reader != nil {
		err = errors.Join(err, b.reader.Flush())
		<-b.read
		err = errors.Join(err, b.reader.Close())
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	t, tallyErr := b.tally()
	err = errors.Join(err, tallyErr, b.tellUnfinished(&t))
	b.final = &t
	b.closeMaps()
	return err
}

// tellUnfinished tells of the calls that threads are in now.
func (b *bpfTracer) tellUnfinished(t *tally) error {
	var begun uint64
	if err := b.maps[mapBegun].Lookup(uint32(0), &begun); err != nil {
		return err
	}
	if b.o.AfterExec && begun == 0 {
		return nil
	}
	var task uint64
	var record []byte
	for entries := b.maps[mapThreads].Iterate(); entries.Next(&task, &record); {
		slot := int(binary.NativeEndian.Uint32(record[recordSlot:])) - 1
		if slot < 0 {
			continue
		}
		t.endless(callIn(slot))
		if b.o.Event != nil && !b.o.Errors {
			binary.NativeEndian.PutUint32(record[recordEndless:], 1)
			b.o.Event(b.event(record))
		}
	}
	return nil
}

// endless counts a call that has not come back.
func (t *tally) endless(call Call) {
	i := slices.IndexFunc(t.counts, func(c Count) bool { return c.Call == call })
	if i < 0 {
		i, t.counts = len(t.counts), append(t.counts, Count{Call: call})
	}
	t.counts[i].Calls++
	t.counts[i].Endless++
}

func (b *bpfTracer) detach() (err error) {
	for _, l := range slices.Backward(b.links) { // the way in first
		err = errors.Join(err, l.Close())
	}
	return err
}

func (b *bpfTracer) closeMaps() {
	for _, m := range b.maps {
		m.Close()
	}
}
