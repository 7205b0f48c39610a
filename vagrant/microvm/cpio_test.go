//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// entries reads an archive back: "mode name rdev content" of each entry.
func entries(t *testing.T, data []byte) (list []string) {
	t.Helper()
	r := bytes.NewReader(data)
	read := func(n int) string {
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatalf("read entry %d: %v", len(list), err)
		}
		return string(b)
	}
	align := func() { read(int(-(int64(len(data)) - int64(r.Len())) & 3)) }
	for {
		header := read(110)
		if magic := header[:6]; magic != "070701" {
			t.Fatalf("magic of entry %d = %q, want 070701", len(list), magic)
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(header[6+8*i:14+8*i], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		name := strings.TrimSuffix(read(field(11)), "\x00")
		align()
		content := read(field(6))
		align()
		if name == "TRAILER!!!" {
			return list
		}
		list = append(list, fmt.Sprintf("%06o %s %d:%d %q", field(1), name, field(9), field(10), content))
	}
}

func sample(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	a := newArchive(&buf)
	for _, err := range []error{
		a.text("/etc/motd", "five!"),
		a.text("etc/issue", ""),
		a.symlink("bin", "usr/bin"),
		a.dir("usr/bin"),
		a.dir("/usr/bin/"),
		a.char("dev/console", 0o600, device{5, 1}),
		a.close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return buf.Bytes()
}

func TestArchive(t *testing.T) {
	want := []string{
		`040755 etc 0:0 ""`,
		`100644 etc/motd 0:0 "five!"`,
		`100644 etc/issue 0:0 ""`,
		`120777 bin 0:0 "usr/bin"`,
		`040755 usr 0:0 ""`,
		`040755 usr/bin 0:0 ""`,
		`040755 dev 0:0 ""`,
		`020600 dev/console 5:1 ""`,
	}
	if diff := cmp.Diff(want, entries(t, sample(t))); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
}

// The second opinion: cpio(1), where there is one.
func TestArchiveByCpio(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		cpio, err = exec.LookPath("busybox")
		if err != nil {
			t.Skip("neither cpio nor busybox is here")
		}
	}
	args := []string{"-t"}
	if filepath.Base(cpio) == "busybox" {
		args = []string{"cpio", "-t"}
	}
	cmd := exec.Command(cpio, args...)
	cmd.Stdin = bytes.NewReader(sample(t))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(out), "etc\netc/motd\netc/issue\nbin\nusr\nusr/bin\ndev\ndev/console\n"; got != want {
		t.Errorf("cpio -t = %q, want %q", got, want)
	}
}

func TestArchiveRefusesAFileThatChanges(t *testing.T) {
	a := newArchive(io.Discard)
	err := a.file("grows", 0o644, 3, strings.NewReader("four"))
	if want := "archive grows: 4 bytes, want 3"; err == nil || err.Error() != want {
		t.Errorf("file that is longer than announced: error %v, want %q", err, want)
	}
}

func TestArchiveKeepsModes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(file, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	a := newArchive(&buf)
	if err := a.copy("init", file); err != nil {
		t.Fatal(err)
	}
	if err := a.close(); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, buf.Bytes())[0]; !strings.HasPrefix(got, "104755 init ") {
		t.Errorf("entry = %s, want mode 104755", got)
	}
}
