//go:build linux

// Microvm boots a distribution's own kernel under QEMU and runs the tests of
// Go packages in it: as root, on cgroup v2, whatever the host's cgroups, user
// or processor are.
//
//	go run ./vagrant/microvm [flags] PACKAGE...
//
// The kernel and a small userland come from the mirror that the host's apt
// uses; they are downloaded once into .cache/microvm and not installed. The
// machine has no disk and no network: all it has is an initramfs.
//
// Each test binary runs in a directory of its own with the package's testdata
// and finds in its environment
//
//	CONTAINER  the package's own program, if it is package main
//	FINAL      the program of ./final
//	ROOTFS     a directory that `final rootfs` filled
//	MICROVM=1
//
// A line "systemd", "apparmor" or "selinux" in the package's testdata/microvm
// puts the programs of that in its machine, a line "engines" Podman, containerd,
// what they call, and FINAL-engine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	Arch      string        // amd64 or arm64
	Release   string        // of the distribution; "" for its default
	Accel     string        // auto, kvm or tcg
	Run       string        // as go test -run; "" for all
	Once      bool          // a test file that several packages have only in the first
	Timeout   time.Duration // for the tests of one package
	Parallel  int           // packages at a time
	Memory    string        // as qemu -m
	Append    string        // more parameters for the kernel
	Verbose   bool          // as go test -v
	Shell     bool          // a shell instead of the tests
	NoCgroup2 bool          // nothing mounted on /sys/fs/cgroup
	Rootfs    bool          // build ./final and make a root file system with it
	Update    bool          // ask the mirror again
	Fetch     bool          // only that
	Packages  []string
}

func main() {
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2) // flag has said it
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err = o.do(ctx, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "microvm:", err)
		os.Exit(1)
	}
}

func parse(args []string) (*options, error) {
	o := &options{}
	flags := flag.NewFlagSet("microvm", flag.ContinueOnError)
	flags.StringVar(&o.Arch, "arch", runtime.GOARCH, "`architecture` of the machine: amd64 or arm64")
	flags.StringVar(&o.Release, "release", "", "`release` whose kernel to boot: bullseye (5.10), bookworm (6.1, the default), trixie (6.12); on Ubuntu its own")
	flags.StringVar(&o.Accel, "accel", "auto", "auto, kvm or tcg (emulation); auto is kvm where a guest really starts on it")
	flags.StringVar(&o.Run, "run", "", "run only the tests that match `regexp`")
	flags.BoolVar(&o.Once, "once", false, "run the tests of a file that several packages have, byte for byte, only in the first of them")
	flags.DurationVar(&o.Timeout, "timeout", 10*time.Minute, "time for the tests of one package")
	flags.IntVar(&o.Parallel, "p", runtime.NumCPU(), "run `n` packages at a time, each in a machine of its own")
	flags.StringVar(&o.Memory, "memory", "2g", "the machine's memory, as for qemu -m")
	flags.StringVar(&o.Append, "append", "", "more `parameters` for the kernel, such as \"security=selinux selinux=1\"")
	flags.BoolVar(&o.Verbose, "v", false, "run the tests with -test.v")
	flags.BoolVar(&o.Shell, "shell", false, "open a shell in the machine instead of running the tests; leave it with exit, or ctrl-a x")
	flags.BoolVar(&o.NoCgroup2, "no-cgroup2", false, "mount nothing on /sys/fs/cgroup")
	flags.BoolVar(&o.Rootfs, "rootfs", true, "build ./final and make the root file system ROOTFS with it")
	flags.BoolVar(&o.Update, "update", false, "fetch the packages again")
	flags.BoolVar(&o.Fetch, "fetch", false, "fetch the packages and end: what is run later needs no network")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), "usage: go run ./vagrant/microvm [flags] PACKAGE...\n\n")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	o.Packages = flags.Args()
	if err := o.check(); err != nil {
		fmt.Fprintln(flags.Output(), "microvm:", err)
		return nil, err
	}
	return o, nil
}

func (o *options) check() error {
	if _, err := regexp.Compile(o.Run); err != nil {
		return fmt.Errorf("-run %q: %w", o.Run, err)
	}
	if o.Accel != "auto" && o.Accel != "kvm" && o.Accel != "tcg" {
		return fmt.Errorf("-accel %q: want auto, kvm or tcg", o.Accel)
	}
	if _, ok := machines[o.Arch]; !ok {
		return fmt.Errorf("-arch %q: want amd64 or arm64", o.Arch)
	}
	if o.Timeout < 10*time.Second {
		return fmt.Errorf("-timeout %v: want at least 10s", o.Timeout)
	}
	if o.Parallel < 1 {
		return fmt.Errorf("-p %d: want at least 1", o.Parallel)
	}
	if o.Once && o.Run != "" {
		return errors.New("-once and -run: want one of them")
	}
	if len(o.Packages) == 0 && !o.Shell && !o.Fetch {
		return errors.New("no package: name the directories, like ./step03-cgroups")
	}
	return nil
}

// do is the table of contents. What the tests write goes to out.
func (o *options) do(ctx context.Context, out io.Writer) error {
	root, err := repository(ctx)
	if err != nil {
		return err
	}
	host, err := readOSRelease("/etc/os-release")
	if err != nil {
		return err
	}
	source, err := findSource(host, o.Release, o.Arch)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "microvm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	made, err := o.describeAll(ctx, work)
	if err != nil {
		return err
	}
	cache := filepath.Join(root, ".cache/microvm")
	packages := newApt(source, cache, made.wanted())
	tree, err := packages.fetch(ctx, o.Update)
	if err != nil || o.Fetch {
		return err
	}
	if err := o.build(ctx, root, made); err != nil {
		return err
	}
	r := &runner{options: o, Tree: tree, Work: work, Made: made}
	if err := r.chooseAccel(ctx, kvmMemory{filepath.Join(cache, "kvm")}); err != nil {
		return err
	}
	kernel, _, err := kernelImage(tree)
	if err != nil {
		return err
	}
	progress("%s by %s", strings.TrimPrefix(filepath.Base(kernel), "vmlinuz-"), r.Accel)
	if !o.Shell {
		return r.runTests(ctx, out)
	}
	v, err := r.machine("shell", made)
	if err != nil {
		return err
	}
	return v.shell(ctx, r.Accel)
}

// progress says on the standard error what takes a while.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "microvm: "+format+"\n", args...) }
