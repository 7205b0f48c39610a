//go:build linux && amd64

package trace

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// program32 is a program of x86, by hand: the header (elf(5)), a segment with all of it, and the code.
func program32(code []byte) []byte {
	const base, header = 0x10000, 52 + 32
	b := []byte("\x7fELF\x01\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	half := func(values ...uint16) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint16(b, v)
		}
	}
	word := func(values ...uint32) {
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
	}
	half(2, 3) // ET_EXEC, EM_386
	word(1, base+header, 52, 0, 0)
	half(52, 32, 1, 0, 0, 0)
	size := uint32(header + len(code))
	word(1, 0, base, base, size, size, 5, 0x1000) // PT_LOAD, readable and executable
	return append(b, code...)
}

// TestOtherNumbers: a program of 32 bits has other numbers for its calls. (39 is mkdir to it, and getpid to others.)
func TestOtherNumbers(t *testing.T) {
	code := []byte{
		0xb8, 3, 0, 0, 0, 0x31, 0xdb, 0x31, 0xc9, 0x31, 0xd2, 0xcd, 0x80, // mov $3,%eax; xor ebx,ecx,edx; int $0x80: read(0, 0, 0)
		0xb8, 64, 0, 0, 0, 0xcd, 0x80, // getppid
		0xb8, 39, 0, 0, 0, 0xcd, 0x80, // mkdir(0, 0): EFAULT
		0xb8, 1, 0, 0, 0, 0xbb, 7, 0, 0, 0, 0xcd, 0x80, // exit(7)
	}
	// The gate: a read of one byte into the stack, below its pointer.
	code = append([]byte{0xb8, 3, 0, 0, 0, 0x31, 0xdb, 0x8d, 0x4c, 0x24, 0xf0, 0xba, 1, 0, 0, 0, 0xcd, 0x80}, code...)
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, program32(code), 0o755); err != nil {
		t.Fatal(err)
	}
	engines(t, func(t *testing.T, engine Engine) {
		s := &seen{}
		p, err := tryBegin(t, path)
		if errors.Is(err, unix.ENOEXEC) {
			t.Skip("this kernel runs no programs of 32 bits")
		}
		if err != nil {
			t.Fatal(err)
		}
		tracer := start(t, p.Target, Options{Engine: engine, Event: s.add})
		p.open()
		if code := p.ended(tracer); code != 7 {
			t.Errorf("exit code %d, want 7", code)
		}
		if err := tracer.Close(); err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, line := range s.lines(0) {
			if len(line) > 10 && line[:10] != "[x86] read" {
				lines = append(lines, line)
			}
		}
		want := []string{"[x86] getppid() = 0", "[x86] mkdir(NULL, 0) = -1 EFAULT (bad address)", "[x86] exit(7) = ?"}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Error(diff)
		}
		summary, err := tracer.Summary()
		if err != nil {
			t.Fatal(err)
		}
		profile, nameless, err := summary.Profile("final")
		if err != nil || len(profile.Architectures) != 2 || len(nameless) != 0 {
			t.Errorf("%v: the profile is for %v, want both processors; without a name: %v", err, profile, nameless)
		}
	})
}
