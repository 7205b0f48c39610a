//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/simple-container/simple-container/vagrant/microvm/internal/wire"
)

const initPackage = "./vagrant/microvm/init"

// programs is what go made for the guest.
type programs struct {
	Init  string // host path
	Final string // host path, "" for none; beside it is final-engine, if a test wants engines
	Tests []testProgram
}

// A testProgram is one package's share.
type testProgram struct {
	Name    string   // as on the command line
	Dir     string   // the package's directory on the host
	Binary  string   // host path
	Program string   // host path, "" if it is not package main
	Run     string   // which tests, as go test -run; "" for all
	Wants   []string // of supplies
}

// describeAll says what there is to make, and where it will be.
func (o *options) describeAll(ctx context.Context, work string) (*programs, error) {
	made := &programs{Init: filepath.Join(work, "bin", "init")}
	if o.Rootfs {
		made.Final = filepath.Join(work, "bin", "final")
	}
	for _, name := range o.Packages {
		test, err := o.describe(ctx, work, name)
		if err != nil {
			return nil, err
		}
		made.Tests = append(made.Tests, *test)
	}
	if !o.Once {
		return made, nil
	}
	return made, runOnce(made.Tests)
}

// build compiles for the guest: the test binaries, the packages' own programs,
// final and init. Two calls of go do it all, so that go spreads the work over
// the processors. Without cgo nothing needs a C library in the guest.
func (o *options) build(ctx context.Context, root string, made *programs) error {
	mains := []string{initPackage}
	if made.Final != "" {
		mains = append(mains, "./final")
	}
	var tested []string
	for _, test := range made.Tests {
		tested = append(tested, test.Dir)
		if test.Program != "" {
			mains = append(mains, test.Dir)
		}
	}
	bin := filepath.Dir(made.Init)
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	if err := o.compile(ctx, root, append([]string{"build", "-o", bin + "/"}, mains...)); err != nil {
		return err
	}
	if engine := made.engine(); engine != "" {
		if err := o.compile(ctx, root, []string{"build", "-tags", "engine", "-o", engine, "./final"}); err != nil {
			return err
		}
	}
	if len(tested) == 0 {
		return nil
	}
	if err := o.compile(ctx, root, append([]string{"test", "-c", "-o", bin + "/"}, tested...)); err != nil {
		return err
	}
	return made.check()
}

// describe asks go what the package is called, and where go will put what it makes.
func (o *options) describe(ctx context.Context, work, name string) (*testProgram, error) {
	list := command(ctx, o.env(), "go", "list", "-f", "{{.Name}}\t{{.Dir}}\t{{.ImportPath}}", name)
	out, err := output(list)
	if err != nil {
		return nil, err
	}
	fields := strings.Split(strings.TrimSpace(out), "\t")
	if len(fields) != 3 {
		return nil, fmt.Errorf("package %s: want one package, go list gives %q", name, out)
	}
	base := filepath.Join(work, "bin", path.Base(fields[2]))
	test := &testProgram{Name: name, Dir: fields[1], Binary: base + ".test", Run: o.Run}
	if fields[0] == "main" {
		test.Program = base
	}
	if test.Wants, err = readWants(filepath.Join(test.Dir, "testdata", "microvm")); err != nil {
		return nil, fmt.Errorf("package %s: %w", name, err)
	}
	return test, nil
}

// readWants reads what a package's tests want in the guest: a name of supplies in each line.
func readWants(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	wants := strings.Fields(string(text))
	for _, name := range wants {
		if _, ok := supplies[name]; !ok {
			return nil, fmt.Errorf("%s: %q: not known, want %s", file, name,
				strings.Join(slices.Sorted(maps.Keys(supplies)), ", "))
		}
	}
	return wants, nil
}

// wanted is what any of the packages wants.
func (p *programs) wanted() []string {
	var all []string
	for _, test := range p.Tests {
		all = append(all, test.Wants...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// engine is the host path of final as it is built for engines, if any of the packages wants those.
func (p *programs) engine() string {
	if p.Final == "" || !slices.Contains(p.wanted(), "engines") {
		return ""
	}
	return p.Final + "-engine"
}

func (o *options) compile(ctx context.Context, root string, args []string) error {
	verb := args[0]
	// Without symbol tables the initramfs is a third smaller; stack traces
	// keep their line numbers.
	cmd := command(ctx, o.env(), "go", append([]string{verb, "-ldflags=-s -w"}, args[1:]...)...)
	cmd.Dir = root
	_, err := output(cmd)
	return err
}

func (o *options) env() []string {
	return []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + o.Arch}
}

// check finds packages without tests: go test -c is silent about them.
func (p *programs) check() error {
	for _, test := range p.Tests {
		if _, err := os.Stat(test.Binary); err != nil {
			return fmt.Errorf("package %s: has no test files", test.Name)
		}
	}
	return nil
}

// manifest says the same from the guest's side.
func (o *options) manifest(made *programs) wire.Manifest {
	m := wire.Manifest{
		Console: machines[o.Arch].Console,
		// What the steps ask for, now: several programs that ask for it at once find it half loaded.
		Modules: []string{"virtio_pci", "virtio_console",
			"overlay", "veth", "nf_tables", "nft_compat", "nft_chain_nat", "xt_comment", "xt_MASQUERADE", "xt_conntrack"},
		NoCgroup2: o.NoCgroup2,
		Shell:     o.Shell,
		Seconds:   int(o.Timeout.Seconds()),
	}
	if made.Final != "" {
		m.Final = guestBin(made.Final)
	}
	for _, test := range made.Tests {
		var args []string
		if test.Run != "" {
			args = append(args, "-test.run="+test.Run)
		}
		if o.Verbose {
			args = append(args, "-test.v")
		}
		m.Tests = append(m.Tests, wire.Test{Name: test.Name, Dir: test.guestDir(),
			Binary: guestBin(test.Binary), Args: args, Program: guestBin(test.Program)})
	}
	return m
}

// guestDir is the test's working directory in the guest.
func (t *testProgram) guestDir() string {
	return "/microvm/" + strings.TrimSuffix(filepath.Base(t.Binary), ".test")
}

// guestBin is where the guest has a program of the host.
func guestBin(file string) string {
	if file == "" {
		return ""
	}
	return "/microvm/bin/" + filepath.Base(file)
}

// repository gives the directory of go.mod.
func repository(ctx context.Context) (string, error) {
	out, err := run(ctx, nil, "go", "env", "GOMOD")
	if err != nil {
		return "", err
	}
	file := strings.TrimSpace(out)
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("find go.mod: none above this directory: run it in the repository")
	}
	return filepath.Dir(file), nil
}
