//go:build linux

package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// run carries out ops through one executor and returns what they wrote to descriptor 1, the report they sent
// to descriptor 2, and how the process ended.
func run(t *testing.T, reexec bool, ops ...op.Op) (out, report string, status syscall.WaitStatus) {
	t.Helper()
	list := &op.List{}
	list.Add(ops...)
	list.Fail(op.Int(2), 125)
	outR, outW := pipe(t)
	reportR, reportW := pipe(t)
	command := &Command{List: list, Name: "test", Files: []*os.File{nil, outW, reportW}, Reexec: reexec}
	process, err := command.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer process.Pidfd.Close()
	outW.Close()
	reportW.Close()
	text, err := io.ReadAll(outR)
	reported, err2 := io.ReadAll(reportR)
	_, err3 := syscall.Wait4(process.Pid, &status, 0, nil)
	if err := errors.Join(err, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(reported) > 0 {
		index, errno, err := op.ParseReport(reported, len(list.Ops))
		if err != nil {
			t.Fatal(err)
		}
		report = fmt.Sprintf("op %d: %v", index, errno)
	}
	return string(text), report, status
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func write(text string) op.Op { return op.Write(op.Int(1), text) }

func labelled(label string, o op.Op) op.Op {
	o.Label = label
	return o
}

// TestExecutorsAgree runs each list through both executors: they must be one machine.
func TestExecutorsAgree(t *testing.T) {
	closed := op.Close(op.Int(77))
	expected := closed
	expected.Accept, expected.Accepted = []unix.Errno{unix.EPERM, unix.EBADF}, "on"
	pid := op.NewVar("pid")
	six := op.NewVar("area")
	buffer, pair := op.Zeros(8), op.NewVar("pair")
	target := &op.Var{Name: "target", Data: &op.Data{Bytes: []byte{1, 0, 0, 0, 0, 0, 0, 0}}} // dup3(1, 1) is EINVAL

	for _, test := range []struct {
		name        string
		ops         []op.Op
		out, report string
		code        int
	}{
		{"a call", []op.Op{write("hello\n"), op.Exit(7)}, "hello\n", "", 7},
		{"an error", []op.Op{write("a"), closed, write("no")}, "a", "op 1: bad file descriptor", 125},
		{"an error that is expected", []op.Op{expected, write("no"), labelled("on", write("yes")), op.Exit(0)}, "yes", "", 0},
		{"exec", []op.Op{{Nr: unix.SYS_EXECVE, Args: []op.Arg{
			op.Str("/bin/sh"), op.Ref(op.Strings([]string{"sh", "-c", `printf %s "$1" "$X"`, "sh", "one\n two"})),
			op.Ref(op.Strings([]string{"X=3", "Y=4"})),
		}}}, "one\n two3", "", 0},
		{"exec of nothing", []op.Op{{Nr: unix.SYS_EXECVE, Args: []op.Arg{op.Str("/no/such"), op.Null(), op.Null()}}},
			"", "op 0: no such file or directory", 125},
		{"the child of a clone", []op.Op{
			{Nr: unix.SYS_CLONE, Args: []op.Arg{op.Int(unix.SIGCHLD)}, Result: pid, Zero: "child"},
			{Nr: unix.SYS_WAIT4, Args: []op.Arg{op.Val(pid), op.Null(), op.Int(0), op.Null()}},
			write("parent"), op.Exit(3),
			labelled("child", write("child ")), op.Exit(4),
		}, "child parent", "", 3},
		{"a value by its address, in every place", []op.Op{
			{Nr: op.Let, Args: []op.Arg{op.Int(0)}, Result: pid},
			{Nr: op.Let, Args: []op.Arg{op.Int(4096)}, Result: six},
			{Nr: unix.SYS_MMAP, Args: []op.Arg{op.Val(pid), op.Val(six), op.Int(3), op.Int(unix.MAP_PRIVATE | unix.MAP_ANONYMOUS), op.Int(-1), op.Val(pid)},
				Result: six},
			{Nr: unix.SYS_GETCWD, Args: []op.Arg{op.Val(six), op.Int(4096)}}, op.Exit(5),
		}, "", "", 5},
		{"let decides as a call does", []op.Op{
			{Nr: op.Let, Args: []op.Arg{op.Int(0)}, Zero: "zero"}, write("no"),
			labelled("zero", op.Op{Nr: op.Let, Args: []op.Arg{op.Int(1)}, Zero: "no", Positive: "one"}), write("no"),
			labelled("one", op.Exit(6)),
			labelled("no", op.Exit(1)),
		}, "", "", 6},
		{"a result inside data", []op.Op{
			{Nr: unix.SYS_DUP, Args: []op.Arg{op.Int(1)}, Result: &op.Var{Data: buffer}},
			{Nr: unix.SYS_WRITE, Args: []op.Arg{op.Val(&op.Var{Data: buffer}), op.Str("dup"), op.Int(3)}}, op.Exit(0),
		}, "dup", "", 0},
		{"try again", []op.Op{ // there is nothing to receive, until the child has sent something
			op.CloseRange(3, 0), op.Dup(op.Int(1), 0, 0), // so that the pair is 3 and 4
			{Nr: unix.SYS_SOCKETPAIR, Args: []op.Arg{op.Int(unix.AF_UNIX), op.Int(unix.SOCK_DGRAM), op.Int(0), op.Addr(pair)}},
			{Nr: unix.SYS_CLONE, Args: []op.Arg{op.Int(unix.SIGCHLD)}, Zero: "child"},
			{Nr: unix.SYS_RECVFROM, Args: []op.Arg{op.Int(4), op.Ref(buffer), op.Int(8), op.Int(unix.MSG_DONTWAIT), op.Null(), op.Null()},
				Accept: []unix.Errno{unix.EINTR, unix.EAGAIN}, Accepted: "no"}, op.Exit(0),
			labelled("child", op.Op{Nr: unix.SYS_PPOLL, Args: []op.Arg{op.Null(), op.Int(0), op.Ref(op.Words(0, 20_000_000)), op.Null()}}),
			{Nr: unix.SYS_SENDTO, Args: []op.Arg{op.Int(3), op.Str("x"), op.Int(1), op.Int(0), op.Null(), op.Int(0)}}, op.Exit(0),
			labelled("no", op.Exit(1)),
		}, "", "", 0},
		{"a loop", []op.Op{
			labelled("again", op.Op{Nr: unix.SYS_DUP3, Args: []op.Arg{op.Int(1), op.Val(target), op.Int(0)}, Accept: []unix.Errno{unix.EINVAL, unix.EBADF}, Accepted: "next"}),
			op.Exit(8),
			labelled("next", op.Op{Nr: op.Let, Args: []op.Arg{op.Int(9)}, Result: target, Positive: "again"}),
		}, "", "", 8},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, reexec := range []bool{false, true} {
				if !hasStub && !reexec {
					continue
				}
				out, report, status := run(t, reexec, test.ops...)
				if out != test.out || report != test.report || status.ExitStatus() != test.code {
					t.Errorf("reexec %v: wrote %q, reported %q, exit code %d; want %q, %q, %d",
						reexec, out, report, status.ExitStatus(), test.out, test.report, test.code)
				}
			}
		})
	}
}

// TestFailureOfFailure: where a report cannot be sent, the last op must still be reached.
func TestFailureOfFailure(t *testing.T) {
	for _, reexec := range []bool{!hasStub, true} {
		_, report, status := run(t, reexec,
			op.Close(op.Int(2)), op.Close(op.Int(2)))
		if report != "" || status.ExitStatus() != 125 {
			t.Errorf("reexec %v: reported %q, exit code %d; want nothing and 125", reexec, report, status.ExitStatus())
		}
	}
}
