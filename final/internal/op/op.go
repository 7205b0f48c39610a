//go:build linux

// Package op describes system calls as data: what a plan is a list of, and what its executors carry out.
//
// An [Op] is a system call whose arguments are known before it is made, or are the results of earlier ones.
// A [List] of them is laid out by [List.Encode] as the bytes that both executors walk: the stub of package
// executor, in a process that holds nothing else, and package boot, in Go. The container side has no other
// instructions: it takes no decisions but a jump on zero, on not zero, and on an error that was expected.
package op

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Let is the number of an op that calls nothing: its result is its first argument.
const Let = -1

// An Op is one system call.
type Op struct {
	Name   string       // of the call, as in man section 2
	Nr     int          // its number, unix.SYS_MOUNT and so on, or Let
	Args   []Arg        // at most six
	Accept []unix.Errno // errors that are no failure; after EAGAIN, the op is made again
	Result *Var         // where the result goes; nil if nobody wants it

	Label string // the name that the jumps of other ops use; empty for most

	// Where to go on: the label of another op, or empty for the op that follows.
	Zero     string // after result 0
	Positive string // after any other result
	Accepted string // after an error in Accept, of which there are at most seven

	Message string // that the parent gets by it; empty for most

	Shell string // the command that would do the same; empty if there is none
	Why   string // the reason, in a few words
	Means string // what a failure means: it stands before the error, in place of the call; empty is the call

	Instead map[unix.Errno]string // what stands in place of an error's own words, where those mislead
}

// String returns the call as strace(1) prints it, and where its result goes.
func (o Op) String() string {
	args := make([]string, len(o.Args))
	for i, arg := range o.Args {
		args[i] = arg.String()
	}
	text := o.Name + "(" + strings.Join(args, ", ") + ")"
	if o.Nr == Let {
		text = args[0]
	}
	if o.Result != nil && o.Result.Name != "" {
		text = o.Result.Name + " = " + text
	}
	return text
}

// Words are what stands before the error when the op fails.
func (o Op) Words() string {
	if o.Means != "" {
		return o.Means
	}
	return o.String()
}

// Failed words the failure of an op.
func (o Op) Failed(errno unix.Errno) error {
	if words, ok := o.Instead[errno]; ok {
		return fmt.Errorf("%s: %s", o.Words(), words)
	}
	return fmt.Errorf("%s: %w", o.Words(), errno)
}

// An Arg is an argument of a system call: a number, an address, or what is stored there. The words for it are
// put together when somebody asks: most lists are carried out, and never read.
type Arg struct {
	value    uint64 // a number, or the offset into data
	data     *Data
	indirect bool   // the argument is the 8 bytes that are stored at the address
	text     string // in place of all other words
	flags    []Flag // the names of the number's bits
	name     string // of the variable
}

// As returns the argument with other words for people.
func (a Arg) As(text string) Arg {
	a.text = text
	return a
}

// String returns the argument as people read it.
func (a Arg) String() string {
	switch {
	case a.text != "":
		return a.text
	case a.indirect:
		return a.name
	case a.name != "":
		return "&" + a.name
	case a.data != nil:
		return a.data.String()
	case a.flags != nil:
		return flagString(a.value, a.flags)
	}
	return strconv.FormatInt(int64(a.value), 10)
}

type integer interface {
	~int | ~int32 | ~int64 | ~uint | ~uint32 | ~uint64 | ~uintptr
}

// Int is a number as an argument, such as a size or a descriptor. A negative one is passed as C would.
func Int[T integer](n T) Arg { return Arg{value: uint64(n)} }

// Ref is the address of data as an argument.
func Ref(d *Data) Arg { return Arg{data: d} }

// Str is the address of a string as an argument.
func Str(s string) Arg { return Ref(String(s)) }

// Null is the null pointer.
func Null() Arg { return Arg{text: "NULL"} }

// Addr is the address of a variable as an argument.
func Addr(v *Var) Arg { return Arg{data: v.Data, value: uint64(v.Offset), name: v.Name} }

// Val is the value of a variable as an argument, at the time of the call.
func Val(v *Var) Arg {
	return Arg{data: v.Data, value: uint64(v.Offset), indirect: true, name: v.Name}
}

// Data is memory that ops pass to the kernel, or the kernel writes to. The addresses in it become known when
// a list is encoded.
type Data struct {
	Bytes    []byte
	Pointers []Pointer
	Text     string // for people, as strace(1) prints it; empty gives the strings, the names or the size
	kind     kind
	place    place
}

// A kind of data has words of its own.
type kind byte

const (
	plain   kind = iota
	text         // Text itself, with a 0 at the end
	vector       // the addresses of texts
	openHow      // struct open_how, openat2(2)
)

// String returns the data as people read it.
func (d *Data) String() string {
	switch {
	case d.kind == text:
		return strconv.Quote(d.Text)
	case d.Text != "":
		return d.Text
	case d.kind == vector:
		words := make([]string, len(d.Pointers))
		for i, pointer := range d.Pointers {
			words[i] = pointer.To.String()
		}
		return "[" + strings.Join(words, " ") + "]"
	case d.kind == openHow:
		flags, resolve := binary.NativeEndian.Uint64(d.Bytes), binary.NativeEndian.Uint64(d.Bytes[16:])
		return "{" + flagString(flags, openFlags) + ", " + flagString(resolve, resolveFlags) + "}"
	}
	return fmt.Sprintf("[%d bytes]", len(d.Bytes))
}

// A Pointer is an address to be stored in data.
type Pointer struct {
	Offset int // where
	To     *Data
}

// A Var holds the result of an op: 8 bytes, in the machine's byte order, somewhere in data. A system call
// that wants the result of an earlier one inside a structure has the variable there.
type Var struct {
	Name   string // for people
	Data   *Data
	Offset int
}

// NewVar returns a variable with a place of its own, which is 0 at the beginning.
func NewVar(name string) *Var {
	v := &struct {
		Var
		data  Data
		bytes [8]byte
	}{} // in one piece: a plan has a hundred
	v.data.Bytes = v.bytes[:]
	v.Var = Var{Name: name, Data: &v.data}
	return &v.Var
}

// Zeros returns data of n bytes, all 0, such as a buffer.
func Zeros(n int) *Data { return &Data{Bytes: make([]byte, n)} }

// String returns s as C wants it, with a 0 at the end. The string must have none itself.
func String(s string) *Data { return &Data{Text: s, kind: text} }

// Strings returns the array of addresses that execve(2) wants, with a null pointer at the end.
func Strings(list []string) *Data {
	d := Zeros(8 * (len(list) + 1))
	d.kind = vector
	for i, s := range list {
		d.Pointers = append(d.Pointers, Pointer{8 * i, String(s)})
	}
	return d
}

// Append adds one more to what [Strings] has returned.
func (d *Data) Append(s *Data) {
	d.Pointers = append(d.Pointers, Pointer{len(d.Bytes) - 8, s})
	d.Bytes = append(d.Bytes, make([]byte, 8)...)
}

// A Flag names one bit, or several, of a flag word.
type Flag struct {
	Value uint64
	Name  string
}

// Flags is a flag word as an argument, in the names of the bits that are set. A name for several bits goes
// before the names of each.
func Flags[T integer](value T, names []Flag) Arg { return Arg{value: uint64(value), flags: names} }

func flagString(value uint64, names []Flag) string {
	var set []string
	for _, flag := range names {
		if flag.Value != 0 && value&flag.Value == flag.Value {
			set = append(set, flag.Name)
			value &^= flag.Value
		}
	}
	if value != 0 || set == nil {
		set = append(set, fmt.Sprintf("%#x", value))
	}
	return strings.Join(set, "|")
}

// ErrnoName is the constant's name.
func ErrnoName(errno unix.Errno) string {
	if name := unix.ErrnoName(errno); name != "" {
		return name
	}
	return strconv.Itoa(int(errno))
}

// ErrnoNames names errors in a row.
func ErrnoNames(list []unix.Errno) string {
	names := make([]string, len(list))
	for i, errno := range list {
		names[i] = ErrnoName(errno)
	}
	return strings.Join(names, " ")
}
