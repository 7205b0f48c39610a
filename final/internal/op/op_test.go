//go:build linux

package op

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWords(t *testing.T) {
	fd := NewVar("fd")
	for _, test := range []struct {
		op   Op
		want string
	}{
		{Open("/dev/null", unix.O_PATH, fd), `fd = openat(AT_FDCWD, "/dev/null", O_PATH|O_CLOEXEC, 0)`},
		{Openat2(Val(fd), "a", unix.O_PATH, unix.RESOLVE_IN_ROOT, nil), `openat2(fd, "a", {O_PATH|O_CLOEXEC, RESOLVE_IN_ROOT}, 24)`},
		{Mount(Str("proc"), Str("/proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV, ""), `mount("proc", "/proc", "proc", MS_NOSUID|MS_NODEV, NULL)`},
		{Mkdirat(AtFdcwd(), "a b", 0o755), `mkdirat(AT_FDCWD, "a b", 0755)`},
		{Dup(Val(fd), 7, 0), `dup3(fd, 7, 0x0)`},
		{Op{Name: "f", Args: []Arg{Int(-1), Int(uint32(3)), Null(), Addr(fd), Ref(Zeros(4)), Ref(Strings([]string{"a", "b c"}))}},
			`f(-1, 3, NULL, &fd, [4 bytes], ["a" "b c"])`},
		{Op{Nr: Let, Args: []Arg{Str("x")}, Result: fd}, `fd = "x"`},
		{Op{Name: "f", Args: []Arg{Flags(0x80000001, []Flag{{1, "ONE"}})}}, `f(ONE|0x80000000)`},
		{Op{Name: "f", Args: []Arg{Int(5).As("sync")}}, `f(sync)`},
	} {
		if got := test.op.String(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestFailed(t *testing.T) {
	o := Chdir("/x")
	if got := o.Failed(unix.ENOENT).Error(); got != `chdir("/x"): no such file or directory` {
		t.Error(got)
	}
	o.Means = "process.cwd: /x"
	if got := o.Failed(unix.ENOENT).Error(); got != `process.cwd: /x: no such file or directory` {
		t.Error(got)
	}
	o.Instead = map[unix.Errno]string{unix.ENOENT: "make it first"}
	if got := o.Failed(unix.ENOENT).Error(); got != `process.cwd: /x: make it first` {
		t.Error(got)
	}
	if got := o.Failed(unix.EACCES); !errors.Is(got, unix.EACCES) {
		t.Error(got)
	}
}

// list is a list of ops that can be encoded.
func list(ops ...Op) *List {
	l := &List{}
	l.Add(ops...)
	l.Fail(Int(2), 1)
	return l
}

func word(image []byte, address uint64) uint64 {
	return binary.NativeEndian.Uint64(image[address-Base:])
}

func TestEncode(t *testing.T) {
	argv := Strings([]string{"a"})
	argv.Append(String("bc"))
	image, err := list(
		Op{Nr: 9, Args: []Arg{Int(-1), Ref(argv), Ref(argv)}, Zero: "last"},
		Op{Nr: 10, Label: "last"},
	).Encode()
	if err != nil {
		t.Fatal(err)
	}
	first := word(image, Base)
	if first != Base+headerSize {
		t.Errorf("the first op is at %#x, want behind the header", first)
	}
	if got := word(image, first+8); got != ^uint64(0) {
		t.Errorf("-1 is %#x", got)
	}
	vector := word(image, first+16)
	if vector != word(image, first+24) {
		t.Errorf("one piece of data is at two addresses")
	}
	second := word(image, vector+8)
	if got := string(image[second-Base:][:3]); got != "bc\x00" {
		t.Errorf("the second string is %q", got)
	}
	if got := word(image, vector+16); got != 0 {
		t.Errorf("the vector ends with %#x, want a null pointer", got)
	}
	if zero, positive := word(image, first+72), word(image, first+80); zero != first+opSize || positive != zero {
		t.Errorf("jumps to %#x and %#x, want the second op, %#x", zero, positive, first+opSize)
	}
}

func TestEncodeRefuses(t *testing.T) {
	seven := []unix.Errno{1, 2, 3, 4, 5, 6, 7}
	for want, l := range map[string]*List{
		"0 ops":                {},
		`jump to "nowhere"`:    list(Op{Zero: "nowhere"}),
		`label "x" is at op 0`: list(Op{Label: "x"}, Op{Label: "x"}),
		"7 arguments":          list(Op{Args: make([]Arg, 7)}),
		"8 accepted errors":    list(Op{Accept: append(seven, 8)}),
		"accepted error 512":   list(Op{Accept: []unix.Errno{512}}),
	} {
		if _, err := l.Encode(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestParseReport(t *testing.T) {
	report := func(index, errno uint64) []byte {
		return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, index), errno)
	}
	if index, errno, err := ParseReport(report(3, 2), 4); index != 3 || errno != unix.ENOENT || err != nil {
		t.Errorf("got %d, %v, %v", index, errno, err)
	}
	for _, bad := range [][]byte{nil, report(4, 2), report(0, 0), report(0, 5000), report(1<<63, 1)} {
		if _, _, err := ParseReport(bad, 4); err == nil {
			t.Errorf("report %x: no error", bad)
		}
	}
}
