//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

// A machine is how QEMU makes a computer of an architecture.
type machine struct {
	QEMU    string   // the program
	Package string   // that has it
	Model   []string // the emulated machine
	CPU     string   // when emulated
	Console string   // what the guest's kernel calls the first serial port
}

// machines by architecture. The emulated processors are old on purpose. A new
// amd64 one makes the C library choose wide vector instructions, which cost an
// emulator a fifth more time; -cpu max on arm64 computes a cipher for every
// pointer authentication code and takes three times as long.
var machines = map[string]machine{
	"amd64": {"qemu-system-x86_64", "qemu-system-x86", []string{"-machine", "q35"}, "Nehalem,+rdrand", "ttyS0"},
	"arm64": {"qemu-system-aarch64", "qemu-system-arm", []string{"-machine", "virt"}, "cortex-a72", "ttyAMA0"},
}

// vm is one computer: no disk, no network, a console, and a port for the
// report. It has one processor: the tests start one short program after the
// other, which on two emulated processors that have to agree on every change
// of a page table takes half as long again.
type vm struct {
	machine
	Kernel  string
	Initrd  string
	Memory  string
	Append  string // to the kernel's parameters
	Dir     string // for the report's socket
	console console
}

// bootTime is how long a guest may take until it reports Ready. Where KVM
// works it is there in two seconds; emulation took ten on a slow host.
var bootTime = map[string]time.Duration{"kvm": 10 * time.Second, "tcg": 2 * time.Minute}

// errNotReady says that no guest came up.
var errNotReady = errors.New("guest did not start")

// arguments is QEMU's command line but for the console and the report.
//
// The kernel's parameters: on a panic reboot at once, which -no-reboot turns
// into the end of QEMU; no work against the side channels of a processor that
// is emulated; entropy from the processor, for there is no other source; and no
// look whether the timer ticks, which fails where the host lets QEMU wait.
func (v *vm) arguments(accel string) []string {
	args := append([]string{"-accel", "tcg,thread=multi", "-cpu", v.CPU}, v.Model...)
	if accel == "kvm" {
		args = append([]string{"-accel", "kvm", "-cpu", "host"}, v.Model...)
	}
	return append(args, "-m", v.Memory, "-nodefaults", "-no-reboot", "-display", "none",
		"-kernel", v.Kernel, "-initrd", v.Initrd,
		"-append", strings.TrimSpace("console="+v.Console+" panic=-1 quiet mitigations=off random.trust_cpu=on no_timer_check "+v.Append))
}

// run boots the machine, gives every record of its report to handle and
// returns when it said Done or ended.
func (v *vm) run(ctx context.Context, accel string, handle func(wire.Record) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	socket := filepath.Join(v.Dir, "report-"+accel)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer listener.Close()
	qemu := exec.CommandContext(ctx, v.QEMU, append(v.arguments(accel),
		"-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
		"-device", "virtio-serial-pci", "-chardev", "socket,id=report,path="+socket,
		"-device", "virtserialport,chardev=report,name="+wire.PortName)...)
	v.console = console{}
	qemu.Stdout, qemu.Stderr = &v.console, &v.console
	if err := qemu.Start(); err != nil {
		return v.startError(err)
	}
	late := time.AfterFunc(bootTime[accel], func() { cancel(errNotReady) })
	defer late.Stop()
	report := make(chan error, 1)
	go func() { report <- v.readReport(listener, late, handle) }()
	exit := qemu.Wait()
	listener.Close() // QEMU may have ended before it connected
	return v.verdict(ctx, <-report, exit)
}

// readReport reads the report until the guest is done, then lets it go: the
// answer tells init that nothing is left on the way.
func (v *vm) readReport(listener net.Listener, late *time.Timer, handle func(wire.Record) error) error {
	conn, err := listener.Accept()
	if err != nil {
		return errNotReady
	}
	defer conn.Close()
	err = wire.ReadRecords(conn, func(record wire.Record) error {
		if record.Ready != "" {
			late.Stop()
		}
		return handle(record)
	})
	if err == nil {
		_, err = io.WriteString(conn, "\n")
	}
	_, _ = io.Copy(io.Discard, conn) // until QEMU ends; a closed socket would stop its guest's writes
	return err
}

// verdict makes one error of how the report ended, how QEMU ended and what
// the console has to say about it.
func (v *vm) verdict(ctx context.Context, report, exit error) error {
	switch cause := context.Cause(ctx); {
	case report == nil:
		return nil
	case cause != nil:
		return fmt.Errorf("%s: %w%s", v.QEMU, cause, v.console.quote())
	case v.console.panicked() != "":
		return fmt.Errorf("guest: %s%s", v.console.panicked(), v.console.quote())
	case exit != nil:
		return fmt.Errorf("%s: %w: %w%s", v.QEMU, errNotReady, exit, v.console.quote())
	case errors.Is(report, io.ErrUnexpectedEOF):
		return fmt.Errorf("guest: stopped before its tests were done%s", v.console.quote())
	}
	return fmt.Errorf("guest: %w%s", report, v.console.quote())
}

func (v *vm) startError(err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%s: not found: run make setup, or apt-get install %s", v.QEMU, v.Package)
	}
	return err
}

// shell gives the terminal to a guest that runs a shell on its console.
func (v *vm) shell(ctx context.Context, accel string) error {
	qemu := exec.CommandContext(ctx, v.QEMU, append(v.arguments(accel),
		"-chardev", "stdio,id=console,mux=on,signal=off", "-serial", "chardev:console", "-mon", "chardev=console")...)
	qemu.Stdin, qemu.Stdout, qemu.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := qemu.Start()
	if err != nil {
		return v.startError(err)
	}
	return qemu.Wait()
}

// kvmMemory remembers in a file whether a guest starts on KVM here, so that
// only one run after each boot of the host waits to find out.
type kvmMemory struct{ File string }

// recall gives what an earlier run found out, if one did.
func (k kvmMemory) recall() (works, known bool) {
	said, err := os.ReadFile(k.File)
	if err != nil {
		return false, false
	}
	id, verdict, _ := strings.Cut(strings.TrimSpace(string(said)), " ")
	return verdict == "works", id == bootID()
}

func (k kvmMemory) remember(works bool) error {
	verdict := map[bool]string{true: "works", false: "refused"}[works]
	return os.WriteFile(k.File, []byte(bootID()+" "+verdict+"\n"), 0o644)
}

// bootID is another one after each boot of the host.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(id))
}

// kvmThere says whether KVM could work: it has to be tried to know whether it does.
func kvmThere(arch string) bool {
	f, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return arch == runtime.GOARCH
}
