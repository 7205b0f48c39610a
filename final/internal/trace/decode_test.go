//go:build linux

package trace

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/confine"
)

// event makes one of a native call.
func event(t *testing.T, name string, args ...uint64) *Event {
	t.Helper()
	number, ok := confine.CallNumber(native.arch, name)
	if !ok {
		t.Skipf("no %s on this processor", name)
	}
	e := &Event{Call: Call{native.audit, number}}
	copy(e.Args[:], args)
	return e
}

func TestDecode(t *testing.T) {
	minus := func(n int64) uint64 { return uint64(-n) }
	for _, test := range []struct {
		want  string
		name  string
		args  []uint64
		texts []Text
		ret   int64
	}{
		{`openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3`, "openat",
			[]uint64{minus(100), 1, unix.O_CLOEXEC}, []Text{{1, []byte("/etc/passwd"), false}}, 3},
		{`openat(5, "a\n\x1b", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (permission denied)`, "openat",
			[]uint64{5, 1, unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC, 0o644}, []Text{{1, []byte("a\n\x1b"), false}}, -13},
		{`write(1, "0123"..., 4096) = 4096`, "write", []uint64{1, 2, 4096}, []Text{{1, []byte("0123"), true}}, 4096},
		{`write(1, 0x7, 4096) = -1 EFAULT (bad address)`, "write", []uint64{1, 7, 4096}, nil, -14},
		{`connect(3, {AF_INET, 10.0.0.1:80}, 16) = 0`, "connect", []uint64{3, 1, 16},
			[]Text{{1, []byte{2, 0, 0, 80, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0}, false}}, 0},
		{`connect(3, {AF_UNIX, "/run/x"}, 110) = 0`, "connect", []uint64{3, 1, 110},
			[]Text{{1, []byte("\x01\x00/run/x\x00"), false}}, 0},
		{`mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0) = 0x7f0000000000`, "mmap",
			[]uint64{0, 4096, 3, 0x22, minus(1), 0}, nil, 0x7f0000000000},
		{`kill(-1, SIGKILL) = 0`, "kill", []uint64{minus(1) & 0xffffffff, 9}, nil, 0},
		{`socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, 6) = 3`, "socket", []uint64{10, 1 | unix.SOCK_CLOEXEC, 6}, nil, 3},
		{`futex(0x10, FUTEX_WAIT|FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0x0) = ? ERESTARTSYS`, "futex", []uint64{16, 128}, nil, -512},
		{`faccessat(AT_FDCWD, "/", F_OK) = 0`, "faccessat", []uint64{minus(100), 1, 0}, []Text{{1, []byte("/"), false}}, 0},
		{`getpid() = 1`, "getpid", nil, nil, 1},
	} {
		e := event(t, test.name, test.args...)
		e.Result = test.ret
		copy(e.Texts[:], test.texts)
		if got := e.String(); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
	}
}

func TestSignaturesAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(signatures[:], func(a, b signature) int { return strings.Compare(a.name, b.name) }) {
		t.Error("they are not, and looked up by halving")
	}
	for _, s := range signatures {
		if !isCall(s.name) {
			t.Errorf("%s: no system call has this name", s.name)
		}
	}
	for _, g := range groups {
		for name := range strings.FieldsSeq(g.calls) {
			if !isCall(name) {
				t.Errorf("%s: %s: no system call has this name", g.name, name)
			}
		}
	}
}

// isCall tells whether it is a call of any processor's.
func isCall(name string) bool {
	return slices.ContainsFunc([]specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchAARCH64, specs.ArchARM}, func(a specs.Arch) bool {
		_, ok := confine.CallNumber(a, name)
		return ok
	})
}

func TestParseFilter(t *testing.T) {
	for _, test := range []struct{ list, yes, no, err string }{
		{"openat,close", "openat", "read", ""},
		{"!openat", "read", "openat", ""},
		{"%file", "openat", "read", ""},
		{"%network,%process", "connect", "openat", ""},
		{"%nothing", "", "", "want %file"},
		{"opena", "", "", "perhaps openat"},
		{"", "", "", "no system call has this name"},
	} {
		f, err := ParseFilter(test.list)
		if test.err != "" {
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%q: %v, want %q in it", test.list, err, test.err)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		} else if !f.wants(event(t, test.yes).Call) || f.wants(event(t, test.no).Call) {
			t.Errorf("%q: want %s and not %s", test.list, test.yes, test.no)
		}
	}
}

func TestTable(t *testing.T) {
	count := func(name string, calls ...time.Duration) Count {
		c := Count{Call: event(t, name).Call}
		for _, d := range calls {
			c.add(0, d)
		}
		return c
	}
	read := count("read", 300, 300, 300, 300, 5000)
	read.Errors = 2
	exit := Count{Call: event(t, "exit_group").Call, Calls: 1, Endless: 1}
	var b strings.Builder
	if err := (Summary{Counts: []Count{read, count("close", 800), exit}, Dropped: 3}).WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	want := `     calls   errors      time   share      mean  call               latency
         5        2   6.20 µs  88.6 %   1.24 µs  read               256 ns █   ▂ 8.19 µs
         1             800 ns  11.4 %    800 ns  close              512 ns █ 1.02 µs
         1               0 ns   0.0 %            exit_group
         7        2   7.00 µs 100.0 %   1.17 µs  total
3 events were dropped, as they came faster than they were read (they are counted)
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestFeedForgets(t *testing.T) {
	f := &Feed{ring: make([]Event, 3)}
	for i := range 5 {
		f.put(Event{Result: int64(i)})
	}
	events, next, missed := f.Since(1)
	if len(events) != 3 || events[0].Result != 2 || next != 5 || missed != 1 {
		t.Errorf("%d events from %v, next %d, missed %d: want 3 from 2, 5, 1", len(events), events, next, missed)
	}
	if events, _, missed := f.Since(5); len(events) != 0 || missed != 0 {
		t.Errorf("nothing new: %d events, %d missed", len(events), missed)
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ns", 999: "999 ns", 1000: "1.00 µs", 12345: "12.3 µs", 9999 * time.Microsecond: "10.0 ms", 2 * time.Minute: "120 s",
	} {
		if got := Span(d); got != want {
			t.Errorf("%d ns: %s, want %s", d, got, want)
		}
	}
}
