//go:build linux

package confine

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A confined process is a shell that an executor has made from a plan. It waits for the end of its standard
// input, so that it can be looked at from the host.
type confined struct {
	pid    int
	pidfd  *os.File
	stdin  *os.File
	output *bufio.Reader
	report *os.File
	ops    int
}

// start carries out a plan and then a script. Nothing of the machine is changed by it.
func start(t *testing.T, c *planCase, reexec bool, script string) *confined {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("changing users takes root")
	}
	f, err := Compile(c.linux.Seccomp, kernel.SeccompFlags())
	if err != nil {
		t.Fatal(err)
	}
	l, _ := build(t, c, f)
	if f != nil && f.Listener != nil {
		l.Add(op.Op{Name: "write", Nr: unix.SYS_WRITE, Args: []op.Arg{op.Int(1), op.Addr(f.Listener), op.Int(8)}},
			op.Read(op.Int(0), op.Zeros(1))) // execve closes the listener
	}
	l.Add(op.Op{Name: "execve", Nr: unix.SYS_EXECVE, Args: []op.Arg{
		op.Str("/bin/sh"), op.Ref(op.Strings([]string{"sh", "-c", script})),
		op.Ref(op.Strings([]string{"PATH=/usr/bin:/bin", "LC_ALL=C"})),
	}})
	l.Fail(op.Int(3), 125)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	reportR, reportW := pipe(t)
	command := &executor.Command{List: l, Name: "confined", Files: []*os.File{inR, outW, outW, reportW}, Reexec: reexec}
	process, err := command.Start()
	if err != nil {
		t.Fatal(err)
	}
	inR.Close()
	outW.Close()
	reportW.Close()
	p := &confined{process.Pid, process.Pidfd, inW, bufio.NewReader(outR), reportR, len(l.Ops)}
	t.Cleanup(func() {
		inW.Close()
		_ = unix.Kill(p.pid, unix.SIGKILL) // our child, not waited for yet, or ESRCH
		_, _ = syscall.Wait4(p.pid, nil, 0, nil)
		p.pidfd.Close()
	})
	return p
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

// line reads a line of output, and explains if there is none.
func (p *confined) line(t *testing.T) string {
	t.Helper()
	line, err := p.output.ReadString('\n')
	if err != nil {
		report := make([]byte, op.ReportSize+1)
		if n, _ := io.ReadFull(p.report, report); n == op.ReportSize {
			index, errno, err := op.ParseReport(report[:n], p.ops)
			t.Fatalf("op %d: %v, %v", index, errno, err)
		}
		t.Fatalf("output ends: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

// end lets the shell go on and returns the rest of its output, and its exit code.
func (p *confined) end(t *testing.T) (rest string, code int) {
	t.Helper()
	p.stdin.Close()
	text, err := io.ReadAll(p.output)
	if err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(p.pid, &status, 0, nil); err != nil {
		t.Fatal(err)
	}
	return string(text), status.ExitStatus()
}

// status returns lines of /proc/PID/status: what the kernel holds a process for.
func status(t *testing.T, pid int, fields ...string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		all[name] = strings.TrimSpace(strings.ReplaceAll(value, "\t", " "))
	}
	wanted := map[string]string{}
	for _, field := range fields {
		wanted[field] = all[field]
	}
	return wanted
}

// thisHost is the machine that the test runs on.
func thisHost(t *testing.T) Host {
	t.Helper()
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		t.Fatal(err)
	}
	held, err := strconv.ParseUint(status(t, os.Getpid(), "CapPrm")["CapPrm"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return Host{LastCapability: number, Held: held}
}

// executors runs a test with each of them.
func executors(t *testing.T, test func(t *testing.T, reexec bool)) {
	for _, reexec := range []bool{false, true} {
		t.Run(fmt.Sprintf("reexec=%v", reexec), func(t *testing.T) { test(t, reexec) })
	}
}

func TestIdentity(t *testing.T) {
	host := thisHost(t)
	admin := []string{"CAP_SYS_ADMIN", "CAP_CHOWN"}
	bind := []string{"CAP_NET_BIND_SERVICE"}
	few := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
		Names:  []string{"capset", "prctl", "setresuid", "setgroups", "close_range", "mkdir", "mkdirat"},
		Action: specs.ActErrno,
	}}}
	all := &specs.LinuxCapabilities{Bounding: bind, Effective: bind, Permitted: bind, Inheritable: bind, Ambient: bind}
	possible := &specs.LinuxCapabilities{Bounding: admin}
	user := specs.User{UID: 1000, GID: 100, AdditionalGids: []uint32{10, 20}}
	const none, docker = "0000000000000000", "00000000a80425fb"
	for _, test := range []struct {
		name    string
		process specs.Process
		filter  *specs.LinuxSeccomp
		want    map[string]string
		inside  string // uid, gid, groups, umask
	}{
		{"docker", specs.Process{Capabilities: dockerSets()}, dockerProfile(t, dockerCapabilities...), map[string]string{
			"CapInh": none, "CapPrm": docker, "CapEff": docker, "CapBnd": docker, "CapAmb": none,
			"NoNewPrivs": "0", "Seccomp": "2", "Groups": "", "Uid": "0 0 0 0"}, "0 0 0 0022"},
		{"a user with one", specs.Process{User: user, NoNewPrivileges: true, Capabilities: all}, few,
			map[string]string{"CapInh": "0000000000000400", "CapPrm": "0000000000000400", "CapEff": "0000000000000400",
				"CapBnd": "0000000000000400", "CapAmb": "0000000000000400", "NoNewPrivs": "1", "Seccomp": "2",
				"Groups": "10 20", "Uid": "1000 1000 1000 1000"}, "1000 100 100 10 20 0022"},
		{"nothing listed", specs.Process{}, nil, map[string]string{
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
			"NoNewPrivs": "0", "Seccomp": "0", "Groups": "", "Uid": "0 0 0 0"}, "0 0 0 0022"},
		{"a user, and a filter without capset", specs.Process{User: specs.User{UID: 7, GID: 8}}, few, map[string]string{
			"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none,
			"NoNewPrivs": "0", "Seccomp": "2", "Groups": "", "Uid": "7 7 7 7"}, "7 8 8 0022"},
		{"a user who could get more", specs.Process{User: specs.User{UID: 7, GID: 8}, Capabilities: possible},
			mkdirFails(specs.ActErrno, nil), map[string]string{
				"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": "0000000000200001", "CapAmb": none,
				"NoNewPrivs": "0", "Seccomp": "2", "Groups": "", "Uid": "7 7 7 7"}, "7 8 8 0022"},
		{"no_new_privs: root cannot get more", specs.Process{Capabilities: possible, NoNewPrivileges: true},
			mkdirFails(specs.ActErrno, nil), map[string]string{
				"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": "0000000000200001", "CapAmb": none,
				"NoNewPrivs": "1", "Seccomp": "2", "Groups": "", "Uid": "0 0 0 0"}, "0 0 0 0022"},
	} {
		t.Run(test.name, func(t *testing.T) {
			executors(t, func(t *testing.T, reexec bool) {
				c := &planCase{process: test.process, linux: specs.Linux{Seccomp: test.filter}, host: host}
				p := start(t, c, reexec, `echo $(id -u) $(id -g) $(id -G) $(umask); read x; mkdir /no/such 2>&1`)
				if got := p.line(t); got != test.inside {
					t.Errorf("inside: user, group, groups and umask are %q, want %q", got, test.inside)
				}
				var fields []string
				for field := range test.want {
					fields = append(fields, field)
				}
				if diff := cmp.Diff(test.want, status(t, p.pid, fields...)); diff != "" {
					t.Errorf("/proc/PID/status (-want +got):\n%s", diff)
				}
				want := "No such file or directory"
				if test.filter != nil && test.name != "docker" {
					want = "Operation not permitted"
				}
				if rest, code := p.end(t); code != 1 || !strings.Contains(rest, want) {
					t.Errorf("mkdir: exit code %d, %q; want 1, %q", code, rest, want)
				}
			})
		})
	}
}

// TestActions: what each action is to a program.
func TestActions(t *testing.T) {
	full := uint(unix.ENOSPC)
	for _, test := range []struct {
		action specs.LinuxSeccompAction
		errno  *uint
		want   string
	}{
		{specs.ActErrno, nil, "1 Operation not permitted"},
		{specs.ActErrno, &full, "1 No space left on device"},
		{specs.ActTrace, nil, "1 Function not implemented"}, // nobody traces it
		{specs.ActAllow, nil, "1 No such file or directory"},
		{specs.ActLog, nil, "1 No such file or directory"},
		{specs.ActTrap, nil, "Bad system call\n159"}, // 128 + SIGSYS
		{specs.ActKill, nil, "Bad system call\n159"},
		{specs.ActKillThread, nil, "Bad system call\n159"},
		{specs.ActKillProcess, nil, "Bad system call\n159"},
	} {
		t.Run(string(test.action), func(t *testing.T) {
			c := &planCase{linux: specs.Linux{Seccomp: mkdirFails(test.action, test.errno)}, host: thisHost(t)}
			p := start(t, c, false, `ulimit -c 0; m=$(mkdir /no/such 2>&1); echo $? ${m##*: }`)
			if rest, _ := p.end(t); strings.TrimSpace(rest) != test.want {
				t.Errorf("mkdir: %q, want %q", rest, test.want)
			}
		})
	}
}

// TestNotify: the call waits for an agent, which gets the listener from the container's process and answers.
func TestNotify(t *testing.T) {
	executors(t, func(t *testing.T, reexec bool) {
		c := &planCase{linux: specs.Linux{Seccomp: mkdirFails(specs.ActNotify, nil)}, host: thisHost(t)}
		p := start(t, c, reexec, `mkdir /no/such 2>&1`)
		number := make([]byte, 8)
		if _, err := io.ReadFull(p.output, number); err != nil {
			t.Fatal(err)
		}
		listener, err := unix.PidfdGetfd(int(p.pidfd.Fd()), int(binary.NativeEndian.Uint64(number)), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(listener)
		if _, err := p.stdin.Write([]byte{0}); err != nil {
			t.Fatal(err)
		}
		var request struct { // struct seccomp_notif, seccomp_unotify(2)
			ID         uint64
			Pid, Flags uint32
			Data       data
		}
		answer := struct { // struct seccomp_notif_resp
			ID           uint64
			Value        int64
			Error, Flags int32
		}{Error: -int32(unix.EDQUOT)}
		ioctl(t, listener, 0, unsafe.Pointer(&request), unsafe.Sizeof(request))
		if number := request.Data.Number; number != uint32(lookup("mkdir").numbers[x86_64]) && number != unix.SYS_MKDIRAT {
			t.Errorf("request: got %+v, want mkdir", request)
		}
		answer.ID = request.ID
		ioctl(t, listener, 1, unsafe.Pointer(&answer), unsafe.Sizeof(answer))
		if rest, code := p.end(t); code != 1 || !strings.Contains(rest, "quota exceeded") {
			t.Errorf("mkdir: exit code %d, %q; want the agent's answer", code, rest)
		}
	})
}

// ioctl is SECCOMP_IOCTL_NOTIF_RECV or _SEND: _IOWR('!', number, size).
func ioctl(t *testing.T, fd int, number uintptr, value unsafe.Pointer, size uintptr) {
	t.Helper()
	request := 3<<30 | size<<16 | '!'<<8 | number
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(value)); errno != 0 {
		t.Fatalf("ioctl %d of the listener: %v", number, errno)
	}
}

// TestAttributes looks from the host at what a process passes on.
func TestAttributes(t *testing.T) {
	executors(t, func(t *testing.T, reexec bool) {
		c := &planCase{
			process: specs.Process{
				Scheduler:       &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5},
				IOPriority:      &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6},
				ExecCPUAffinity: &specs.CPUAffinity{Initial: "0-1", Final: "0"},
			},
			linux: specs.Linux{
				Personality:  &specs.LinuxPersonality{Domain: specs.PerLinux32},
				MemoryPolicy: &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"},
			},
			host: thisHost(t),
		}
		p := start(t, c, reexec, `grep -c "_ses.test: " /proc/keys; read x`)
		if got := p.line(t); got != "1" {
			t.Errorf("inside: %q keyrings of the container's name, want 1", got)
		}
		attr, err := unix.SchedGetAttr(p.pid, 0)
		if err != nil || attr.Policy != unix.SCHED_BATCH || attr.Nice != 5 {
			t.Errorf("scheduler: got %+v, %v; want SCHED_BATCH, nice 5", attr, err)
		}
		const whoProcess = 1
		if got, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, whoProcess, uintptr(p.pid), 0); got != 2<<13|6 {
			t.Errorf("ioprio_get: got %#x, %v; want best effort, 6", got, errno)
		}
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(p.pid, &cpus); err != nil || cpus.Count() != 1 || !cpus.IsSet(0) {
			t.Errorf("processors: got %v, %v; want 0", cpus.Count(), err)
		}
		for file, want := range map[string]string{"personality": "00000008", "numa_maps": " bind:0 "} {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.pid, file))
			if err != nil || !strings.Contains(string(text), want) {
				t.Errorf("%s: got %.60q, %v; want %q", file, text, err, want)
			}
		}
	})
}

// TestSeccompFlags: the flags that the kernel says it knows are loaded by it.
func TestSeccompFlags(t *testing.T) {
	known := kernel.SeccompFlags()
	if known&unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW == 0 || known&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER == 0 {
		t.Errorf("known flags: %#x, want those of Linux 5.0 at least", known)
	}
	profile := mkdirFails(specs.ActErrno, nil)
	for _, flag := range flagNames {
		if uint(flag.Value)&known != 0 && flag.Value != unix.SECCOMP_FILTER_FLAG_NEW_LISTENER {
			profile.Flags = append(profile.Flags, specs.LinuxSeccompFlag(flag.Name))
		}
	}
	if _, err := Compile(profile, known); err != nil {
		t.Fatal(err)
	}
	p := start(t, &planCase{linux: specs.Linux{Seccomp: profile}, host: thisHost(t)}, false, `mkdir /no/such 2>&1`)
	if rest, code := p.end(t); code != 1 || !strings.Contains(rest, "not permitted") {
		t.Errorf("mkdir: exit code %d, %q", code, rest)
	}
}
