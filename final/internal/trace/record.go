//go:build linux

package trace

import (
	"encoding/binary"
	"time"

	"golang.org/x/sys/unix"
)

// event reads a record as the programs have written it.
func (b *bpfTracer) event(record []byte) Event {
	word := func(at int) uint64 { return binary.NativeEndian.Uint64(record[at:]) }
	half := func(at int) uint32 { return binary.NativeEndian.Uint32(record[at:]) }
	e := Event{
		Time:     b.boot.Add(time.Duration(word(recordStart))),
		Duration: time.Duration(word(recordDuration)),
		Result:   int64(word(recordResult)),
		Endless:  half(recordEndless) != 0,
		In:       int(uint32(word(recordIn))),
	}
	slot := int(half(recordWhich)) - 1
	e.Call = callIn(slot)
	if slot == otherOne {
		e.Call.Number = half(recordNumber)
	}
	e.Pid, e.Tid = b.numbers.of(word(recordPids), word(recordIn))
	for i, at := range argumentsOf(e.Call) {
		e.Args[i] = word(recordRegs + at)
		if e.Call.Audit == compat.audit {
			e.Args[i] = uint64(uint32(e.Args[i]))
		}
	}
	for i, l := range looks(e.Call.Name()) {
		at := recordTexts + i*pathRoom
		if size := int(int32(half(recordSizes + 4*i))); size >= 0 && at+size <= len(record) {
			e.Texts[i] = l.text(record[at:at+size], e.Args)
		}
	}
	return e
}

// text makes a text of bytes that a program has read.
func (l look) text(b []byte, args [6]uint64) Text {
	t := Text{Arg: l.arg, Bytes: append([]byte{}, b...)}
	if l.form == written || l.form == socket {
		t.Cut = uint64(len(b)) < args[l.arg+1]
		return t
	}
	if t.Cut = len(b) == pathRoom; len(b) > 0 { // the 0 at its end
		t.Bytes = t.Bytes[:len(b)-1]
	}
	return t
}

// bootTime is when the kernel's monotonic clock was 0.
func bootTime() time.Time {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // it cannot fail
	return time.Now().Add(-time.Duration(now.Nano())).Round(0)
}

// numbers knows the threads' numbers in our PID namespace. Programs know those in the first one and in the
// container's. If we are in the first one, that is all; else the container's are looked up in /proc.
type numbers struct {
	target Target
	same   bool
	known  map[int][2]int // number in the container → process and thread here
}

func newNumbers(t Target) (n numbers, err error) {
	ours, err := pidNamespace("self")
	return numbers{t, ours.inode == initPids, map[int][2]int{}}, err
}

func (n *numbers) of(first, inside uint64) (pid, tid int) {
	if n.same {
		return int(first >> 32), int(uint32(first))
	}
	in := int(uint32(inside))
	if have, ok := n.known[in]; ok {
		return have[0], have[1]
	}
	pids, err := n.target.processes()
	if err != nil {
		return 0, 0
	}
	for _, pid := range pids {
		for _, tid := range threads(pid) {
			n.known[inContainer(pid, tid)] = [2]int{pid, tid}
		}
	}
	have := n.known[in] // of one that is gone already: who it was, or nobody
	return have[0], have[1]
}
