//go:build linux

package runtime

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestHome(t *testing.T) {
	const passwd = "root:x:0:0:root:/root:/bin/sh\n\n+\nshort:x:1000\nno number:x:x:0::/x:\nminus:x:-1:0::/x:\n" +
		"user:x:1000:1000::/home/user:/bin/sh\nsecond:x:1000:1000::/second:/bin/sh\nnone:x:7:7:::\nzero:x:9:9::/a\x00b:\n" +
		"all:x:4294967295:0::/most:"
	for uid, want := range map[uint32]string{
		0: "/root", 1000: "/home/user", 7: "", 8: "", 9: "", 1<<32 - 1: "/most",
	} {
		if got := homeOf(strings.NewReader(passwd), uid); got != want {
			t.Errorf("user %d: %q, want %q", uid, got, want)
		}
	}
	root, secret := t.TempDir(), filepath.Join(t.TempDir(), "passwd")
	file := root + "/etc/passwd"
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, want string
		make       func() error
		env        []string
	}{
		{"no file", "HOME=/", func() error { return nil }, nil},
		{"a file", "HOME=/root", func() error { return os.WriteFile(file, []byte(passwd), 0o644) }, nil},
		{"a home", "HOME=/mine", func() error { return os.WriteFile(file, []byte(passwd), 0o644) }, []string{"HOME=/mine"}},
		{"an empty one", "HOME=/root", func() error { return os.WriteFile(file, []byte(passwd), 0o644) }, []string{"HOME="}},
		{"two, the last empty", "HOME=/root", func() error { return os.WriteFile(file, []byte(passwd), 0o644) },
			[]string{"HOME=/mine", "HOME="}},
		{"a pipe", "HOME=/", func() error { return unix.Mkfifo(file, 0o644) }, nil},
		{"a directory", "HOME=/", func() error { return os.Mkdir(file, 0o755) }, nil},
		{"a link to the host", "HOME=/", func() error {
			return errors.Join(os.WriteFile(secret, []byte(passwd), 0o644), os.Symlink(secret, file))
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := errors.Join(os.RemoveAll(file), test.make()); err != nil {
				t.Fatal(err)
			}
			p := &specs.Process{Env: test.env}
			settleEnv(p, root)
			if !slices.Equal(p.Env, []string{test.want}) {
				t.Errorf("%q, want %q", p.Env, test.want)
			}
		})
	}
}

// TestVariablesTwice: the last one holds, as shells have it, and the process sees no other (environ(7) leaves it open).
func TestVariablesTwice(t *testing.T) {
	p := &specs.Process{Env: []string{"A=1", "B", "HOME=/x", "A=", "C==2", "A=3=", "B"}}
	settleEnv(p, t.TempDir())
	if want := []string{"A=3=", "B", "HOME=/x", "C==2"}; !slices.Equal(p.Env, want) {
		t.Errorf("%q, want %q", p.Env, want)
	}
}

// Somebody renames something all the time, anywhere: the kernel cannot tell then whether a path with .. in it was safe, and
// wants to be asked again.
func TestPasswdWhileOthersRename(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	for _, dir := range []string{root + "/etc", root + "/real", elsewhere + "/a", elsewhere + "/b"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(root+"/real/passwd", nil, 0o644), os.Symlink("../real/../real/passwd", root+"/etc/passwd")); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, elsewhere+"/a", unix.AT_FDCWD, elsewhere+"/b", unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	for range 3000 {
		file, err := openInside(root, "etc/passwd")
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
}
