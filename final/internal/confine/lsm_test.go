//go:build linux

package confine

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
)

// TestLabelUnderMount: a file that somebody has mounted over the one of the label does not get it, and the process does
// not become the command without (CVE-2019-16884, CVE-2025-52881). That it does get it with nothing in the way, the
// tests of package runtime show where there are security modules.
func TestLabelUnderMount(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("mounting takes root")
	}
	for name, target := range map[string]string{"file": "/proc/self/attr/exec", "directory": "/proc/self/attr"} {
		for _, reexec := range []bool{false, true} {
			source := t.TempDir()
			if name == "file" {
				source = os.DevNull
			} else if err := os.WriteFile(source+"/exec", nil, 0o666); err != nil {
				t.Fatal(err)
			}
			list, proc := &op.List{}, op.NewVar("proc")
			unshare := op.Op{Name: "unshare", Nr: unix.SYS_UNSHARE, Args: []op.Arg{op.Int(unix.CLONE_NEWNS)}}
			list.Add(unshare, op.Mount(op.Null(), op.Str("/"), "", unix.MS_REC|unix.MS_PRIVATE, ""),
				op.Mount(op.Str(source), op.Str(target), "", unix.MS_BIND, ""),
				op.Open("/proc", unix.O_PATH|unix.O_DIRECTORY, proc))
			p := &specs.Process{SelinuxLabel: "a:b:c"}
			if err := Labels(list, proc, p, Host{LSMs: []string{"selinux"}}); err != nil {
				t.Fatal(err)
			}
			index, errno := failure(t, list, reexec)
			if call := list.Ops[index]; errno != unix.EXDEV || !strings.Contains(call.String(), `"self/attr/exec"`) {
				t.Errorf("%s, re-exec %v: %v: %v; want %v of what opens the file", name, reexec, call, errno, unix.EXDEV)
			}
		}
	}
}

// failure carries out a list that fails, and returns where.
func failure(t *testing.T, list *op.List, reexec bool) (index int, errno unix.Errno) {
	t.Helper()
	list.Fail(op.Int(3), 125)
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	read, write := pipe(t)
	command := &executor.Command{List: list, Name: "fails", Files: []*os.File{null, null, null, write}, Reexec: reexec}
	process, err := command.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer process.Pidfd.Close()
	write.Close()
	report, err := io.ReadAll(read)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := syscall.Wait4(process.Pid, nil, 0, nil); err != nil {
		t.Fatal(err)
	}
	index, errno, err = op.ParseReport(report, len(list.Ops))
	if err != nil {
		t.Fatal(err)
	}
	return index, errno
}
