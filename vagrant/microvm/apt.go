//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// apt is an apt of our own: its lists, its idea of what is installed (nothing)
// and its archives are below Dir, its architecture is the guest's. So it needs
// no root, installs nothing and leaves the host's apt as it was; the mirror,
// proxies and keyring are the host's.
type apt struct {
	Source   *source
	Dir      string
	Packages []string // what they depend on comes along
}

// guestPackages is every guest's userland. The last four are for packages that
// want more, see supplies.
var guestPackages = []string{"busybox-static", "iptables", "iproute2", "nftables",
	"systemd", "util-linux", "apparmor", "secilc"}

// newApt makes the apt of a source. What is wanted beside the userland makes it
// another one, with a directory of its own in cache: a machine that is being
// made keeps its files when the next wants more.
func newApt(s *source, cache string, wants []string) *apt {
	a := &apt{Source: s, Dir: filepath.Join(cache, s.Release+"-"+s.Arch), Packages: guestPackages}
	for _, name := range wants {
		if more := supplies[name].Packages; len(more) > 0 {
			a.Dir += "-" + name
			a.Packages = slices.Concat(a.Packages, more)
		}
	}
	return a
}

// fetch makes sure that the packages are unpacked in Dir/tree and gives that
// directory. Nothing is asked of the network when they are there already,
// unless update is wanted, or other packages than then.
func (a *apt) fetch(ctx context.Context, update bool) (tree string, err error) {
	unlock, err := a.lock()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	tree = filepath.Join(a.Dir, "tree")
	done, packages := filepath.Join(a.Dir, "complete"), strings.Join(a.Packages, "\n")+"\n"
	if has, err := os.ReadFile(done); err == nil && string(has) == packages && !update {
		return tree, nil
	}
	progress("fetch %s %s packages for %s", a.Source.ID, a.Source.Release, a.Source.Arch)
	for _, step := range []func(context.Context) error{a.configure, a.update, a.download} {
		if err := step(ctx); err != nil {
			return "", err
		}
	}
	if err := errors.Join(os.RemoveAll(done), os.RemoveAll(tree)); err != nil {
		return "", err
	}
	if err := a.unpack(ctx, tree); err != nil {
		return "", err
	}
	return tree, errors.Join(a.emptyArchives(), os.WriteFile(done, []byte(packages), 0o644))
}

// lock makes a second run wait until the first one has fetched. The lock ends
// with the process that has it.
func (a *apt) lock() (unlock func() error, err error) {
	if err := os.MkdirAll(a.Dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(a.Dir, "fetch.lock"))
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f.Close, nil
}

// configure writes the configuration and the one source line.
func (a *apt) configure(ctx context.Context) error {
	if _, err := os.Stat(a.Source.Keyring); err != nil {
		return fmt.Errorf("%w: apt-get install %s", err, a.Source.Package)
	}
	mirror, err := hostMirror(ctx)
	if err != nil {
		return err
	}
	acquire, err := hostAcquire(ctx)
	if err != nil {
		return err
	}
	for _, dir := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("deb [arch=%s signed-by=%s] %s %s main\n", a.Source.Arch, a.Source.Keyring, mirror, a.Source.Release)
	return errors.Join(
		os.WriteFile(filepath.Join(a.Dir, "sources.list"), []byte(line), 0o644),
		os.WriteFile(filepath.Join(a.Dir, "status"), nil, 0o644),
		os.WriteFile(a.config(), []byte(a.configuration()+acquire), 0o644))
}

func (a *apt) config() string { return filepath.Join(a.Dir, "apt.conf") }

// configuration is the content of apt.conf(5). The parts and the main file of
// the host are not read: their hooks are meant for the host.
func (a *apt) configuration() string {
	return fmt.Sprintf(`Dir::Etc::parts "-";
Dir::Etc::main "-";
Dir::Etc::preferences "-";
Dir::Etc::preferencesparts "-";
Dir::Etc::sourceparts "-";
Dir::Etc::sourcelist "%[1]s/sources.list";
Dir::State "%[1]s";
Dir::State::lists "%[1]s/lists";
Dir::State::status "%[1]s/status";
Dir::Cache "%[1]s";
Dir::Cache::archives "%[1]s/archives";
Dir::Log "%[1]s";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
`, a.Dir, a.Source.Arch)
}

// hostAcquire is how the host fetches: proxies, timeouts, date checks. Not
// which indexes, and nothing that would weaken the signatures.
func hostAcquire(ctx context.Context) (string, error) {
	out, err := run(ctx, nil, "apt-config", "dump", "--no-empty", "--format", `%F "%v";%n`, "Acquire")
	if err != nil {
		return "", err
	}
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(out, "\n"), func(line string) bool {
		lower := strings.ToLower(line)
		return strings.HasPrefix(lower, "acquire::indextargets") || strings.HasPrefix(lower, "acquire::languages") ||
			strings.HasPrefix(lower, "acquire::retries") || strings.Contains(lower, "allow")
	}), ""), nil
}

// hostMirror gives the address the host fetches its own release from.
func hostMirror(ctx context.Context) (string, error) {
	release, err := readOSRelease("/etc/os-release")
	if err != nil {
		return "", err
	}
	out, err := run(ctx, nil, "apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages")
	if err != nil {
		return "", err
	}
	return mirrorOf(out, release["VERSION_CODENAME"])
}

// mirrorOf picks the mirror out of lines of suite, component and address. A
// suite may be called by its codename or, in Debian, "stable".
func mirrorOf(targets, codename string) (string, error) {
	for _, suite := range []string{codename, "stable", "oldstable", "testing"} {
		for line := range strings.Lines(targets) {
			if fields := strings.Fields(line); len(fields) == 3 && fields[0] == suite && fields[1] == "main" {
				return fields[2], nil
			}
		}
	}
	return "", fmt.Errorf("find mirror: apt's sources have no main component of %q", codename)
}

func (a *apt) update(ctx context.Context) error {
	_, err := a.get(ctx, "update", "--error-on=any")
	if err != nil {
		return fmt.Errorf("%w: has %s left this mirror, or is %s on another one?", err, a.Source.Release, a.Source.Arch)
	}
	return nil
}

// download fetches the userland with everything it depends on, and the kernel
// with nothing: its dependencies are there to install it, not to run it.
func (a *apt) download(ctx context.Context) error {
	if err := a.emptyArchives(); err != nil {
		return err
	}
	install := append([]string{"install", "--download-only", "--yes"}, a.Packages...)
	if _, err := a.get(ctx, install...); err != nil {
		return err
	}
	meta := a.Source.Kernels[a.Source.Arch]
	out, err := run(ctx, a.env(), "apt-cache", "depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts",
		"--no-breaks", "--no-replaces", "--no-enhances", meta)
	if err != nil {
		return err
	}
	kernel := kernelPackages(out, meta)
	if len(kernel) == 0 {
		return fmt.Errorf("find kernel package: %s depends on no linux-image of a version", meta)
	}
	cmd := command(ctx, a.env(), "apt-get", append([]string{"download"}, kernel...)...)
	cmd.Dir = filepath.Join(a.Dir, "archives")
	_, err = output(cmd)
	return err
}

// kernelPackages picks the image and modules out of the list that apt-cache
// depends prints, packages at the start of a line: Debian has both in
// linux-image-6.1.0-9-cloud-amd64, Ubuntu in linux-image-5.15.0-9-generic and
// linux-modules-5.15.0-9-generic. An unsigned image is the alternative to it.
func kernelPackages(depends, meta string) []string {
	var packages []string
	for line := range strings.Lines(depends) {
		name := strings.TrimSuffix(line, "\n")
		image, isImage := strings.CutPrefix(name, "linux-image-")
		modules, isModules := strings.CutPrefix(name, "linux-modules-")
		version := image
		if isModules {
			version = modules
		}
		numbered := version != "" && version[0] >= '0' && version[0] <= '9'
		if name != meta && (isImage || isModules) && numbered && !strings.HasSuffix(name, "-unsigned") {
			packages = append(packages, name)
		}
	}
	return packages
}

func (a *apt) emptyArchives() error {
	old, err := filepath.Glob(filepath.Join(a.Dir, "archives", "*.deb"))
	for _, file := range old {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// unpack unpacks the archives over one another. It happens beside tree, so
// that tree is complete or not there.
func (a *apt) unpack(ctx context.Context, tree string) error {
	archives, err := filepath.Glob(filepath.Join(a.Dir, "archives", "*.deb"))
	if err != nil {
		return err
	}
	partial := tree + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	for _, archive := range archives {
		if _, err := run(ctx, nil, "dpkg-deb", "--extract", archive, partial); err != nil {
			return err
		}
	}
	return os.Rename(partial, tree)
}

func (a *apt) env() []string { return []string{"APT_CONFIG=" + a.config()} }

func (a *apt) get(ctx context.Context, args ...string) (string, error) {
	return run(ctx, a.env(), "apt-get", append([]string{"--quiet"}, args...)...)
}

// kernelImage finds the kernel in the unpacked tree, and its modules.
func kernelImage(tree string) (image, modules string, err error) {
	images, err := filepath.Glob(filepath.Join(tree, "boot/vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return "", "", fmt.Errorf("find kernel %s/boot: %d found, want 1", tree, len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	for _, lib := range []string{"lib", "usr/lib"} { // below usr since trixie
		modules = filepath.Join(tree, lib, "modules", release)
		if _, err := os.Stat(modules); err == nil {
			return images[0], modules, nil
		}
	}
	return "", "", fmt.Errorf("find modules of %s: %w", release, fs.ErrNotExist)
}

// command is exec.CommandContext with the C locale and env in addition.
func command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = slices.Concat(os.Environ(), []string{"LC_ALL=C"}, env)
	return cmd
}

// run runs a command and gives what it wrote to its standard output.
func run(ctx context.Context, env []string, name string, args ...string) (string, error) {
	return output(command(ctx, env, name, args...))
}

// output runs cmd. The error has the end of what the command said.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return stdout.String(), nil
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%s: not found: run make setup", cmd.Args[0])
	}
	said := strings.TrimSpace(stderr.String())
	return "", fmt.Errorf("%s %s: %w\n%s", cmd.Args[0], strings.Join(cmd.Args[1:], " "), err, said)
}
