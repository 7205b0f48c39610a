//go:build linux

package op

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Base is the address at which an encoded list must be mapped, readable and writable: all addresses in it
// are final. It is far from where Linux, on any processor with 39 bits of address space or more, puts
// programs, libraries and stacks, and from where Go puts its heap.
const Base = 0x20_1000_0000

// A List is the container side of a plan: system calls in the order they are made.
type List struct {
	Ops []Op

	// Failure are the ops to go on with after an op that failed. The last of them must not fail; it is where
	// a failure among the others leads. Report says what they have to tell.
	Failure []Op

	// Warnings are what was asked for and is not in the list, each with its reason.
	Warnings []string

	report *Data
}

// Add appends ops.
func (l *List) Add(ops ...Op) { l.Ops = append(l.Ops, ops...) }

// Report returns the [ReportSize] bytes that an executor fills in when an op has failed, for the ops of
// Failure to pass on. [ParseReport] reads them.
func (l *List) Report() *Data {
	if l.report == nil {
		l.report = &Data{}
	}
	return l.report
}

// ReportSize is the size of a report in bytes.
const ReportSize = 16

// ParseReport reads which op failed, as an index into [List.Ops], and why. The report comes from a process
// in the container's hands: it is checked against the number of ops.
func ParseReport(report []byte, ops int) (index int, errno unix.Errno, err error) {
	if len(report) != ReportSize {
		return 0, 0, fmt.Errorf("report of the container side: %d bytes, want %d", len(report), ReportSize)
	}
	i, e := binary.NativeEndian.Uint64(report), binary.NativeEndian.Uint64(report[8:])
	if i >= uint64(ops) || e == 0 || e > 4095 {
		return 0, 0, fmt.Errorf("report of the container side: op %d of %d, error %d: out of range", i, ops, e)
	}
	return int(i), unix.Errno(e), nil
}

// The layout of an encoded list, which the executors know by heart:
//
//	header   0  address of the next op to carry out, at the beginning the first
//	         8  address of the op to go on with after a failure
//	        16  address of the op to go on with after a failure among those
//	        24  the report: index of the op that failed
//	        32              its error
//	ops     40  one after the other
//	data        behind the ops
//
//	op       0  number of the system call, or Let
//	         8  arguments, six of 8 bytes
//	        56  a byte whose bits say which arguments are the address of a value
//	        57  seven bytes: the errors that are accepted, 0 where there are fewer
//	        64  address for the result, or 0
//	        72  address of the op to go on with after result 0
//	        80                                 after any other result
//	        88                                 after an error that is accepted; after EAGAIN it is the same one
//	        96  its index
const (
	headerSize = 40
	opSize     = 104
	mostArgs   = 6
	mostErrnos = 7
)

// Encode lays the list out for an executor.
func (l *List) Encode() ([]byte, error) {
	if len(l.Ops) == 0 || len(l.Failure) == 0 {
		return nil, fmt.Errorf("encode plan: %d ops, %d for a failure: want one at least", len(l.Ops), len(l.Failure))
	}
	n := len(l.Ops) + len(l.Failure)
	const data = 100 // bytes that an op needs besides, more or less
	e := &encoder{
		last:   n - 1,
		image:  make([]byte, headerSize+opSize*n, headerSize+(opSize+data)*n),
		labels: map[string]int{},
	}
	l.Report().place = place{e, Base + 24}

	for i := range n {
		label := l.at(i).Label
		if label == "" {
			continue
		}
		if other, ok := e.labels[label]; ok {
			return nil, fmt.Errorf("encode plan: label %q is at op %d and at op %d", label, other, i)
		}
		e.labels[label] = i
	}
	e.put(0, addressOf(0))
	e.put(8, addressOf(len(l.Ops)))
	e.put(16, addressOf(e.last))
	for i := range n {
		if err := e.encode(i, l.at(i)); err != nil {
			return nil, fmt.Errorf("encode plan: op %d, %s: %w", i, l.at(i), err)
		}
	}
	return e.image, nil
}

// at is an op of the list, or behind them of those for a failure.
func (l *List) at(i int) *Op {
	if i < len(l.Ops) {
		return &l.Ops[i]
	}
	return &l.Failure[i-len(l.Ops)]
}

// addressOf is where an op is.
func addressOf(index int) uint64 { return Base + headerSize + opSize*uint64(index) }

type encoder struct {
	last   int // the index of the last op
	image  []byte
	labels map[string]int // the index of the op
	err    error          // of the data
}

// A place is where an encoder has laid data out.
type place struct {
	by      *encoder
	address uint64
}

// put stores 8 bytes.
func (e *encoder) put(offset int, value uint64) {
	binary.NativeEndian.PutUint64(e.image[offset:], value)
}

func (e *encoder) encode(index int, op *Op) error {
	accepted := op.accepted()
	if len(op.Args) > mostArgs || len(accepted) > mostErrnos {
		return fmt.Errorf("%d arguments, %d accepted errors: want at most %d and %d", len(op.Args), len(op.Accept), mostArgs, mostErrnos)
	}
	at := headerSize + opSize*index
	e.put(at, uint64(op.Nr))
	indirect := byte(0)
	for i, arg := range op.Args {
		value := arg.value
		if arg.data != nil {
			value += e.address(arg.data)
		}
		if arg.indirect {
			indirect |= 1 << i
		}
		e.put(at+8+8*i, value)
	}
	e.image[at+56] = indirect
	for i, errno := range accepted {
		if errno == 0 || errno > math.MaxUint8 {
			return fmt.Errorf("accepted error %d: want 1 to %d", errno, math.MaxUint8)
		}
		e.image[at+57+i] = byte(errno)
	}
	if op.Result != nil {
		e.put(at+64, e.address(op.Result.Data)+uint64(op.Result.Offset))
	}
	for i, label := range []string{op.Zero, op.Positive, op.Accepted} {
		next := index + 1
		if label != "" {
			var ok bool
			if next, ok = e.labels[label]; !ok {
				return fmt.Errorf("jump to %q: no op has this label", label)
			}
		}
		// Behind the last op there is none. It never returns, or the label of another says where to go on; if
		// it does after all, it is made again.
		next = min(next, e.last)
		e.put(at+72+8*i, addressOf(next))
	}
	e.put(at+96, uint64(index))
	return e.err
}

// accepted are the errors that are no failure. openat2(2) says EAGAIN for a path with .. in it whenever somebody
// renames or mounts something meanwhile, anywhere: a container could keep all others from being made.
func (o *Op) accepted() []unix.Errno {
	if o.Nr == unix.SYS_OPENAT2 {
		return append(slices.Clip(o.Accept), unix.EAGAIN)
	}
	return o.Accept
}

// address lays data out, with all it points to, unless it is there already. A string with a zero byte would
// be a shorter one for the kernel than for whoever checked it.
func (e *encoder) address(d *Data) uint64 {
	if d.place.by == e {
		return d.place.address
	}
	for len(e.image)%8 != 0 {
		e.image = append(e.image, 0)
	}
	offset := len(e.image)
	d.place = place{e, Base + uint64(offset)}
	if d.kind == text {
		if strings.IndexByte(d.Text, 0) >= 0 {
			e.err = fmt.Errorf("%q: it has a zero byte", d.Text)
		}
		e.image = append(append(e.image, d.Text...), 0)
	}
	e.image = append(e.image, d.Bytes...)
	for _, pointer := range d.Pointers {
		to := e.address(pointer.To)
		e.put(offset+pointer.Offset, to)
	}
	return d.place.address
}
