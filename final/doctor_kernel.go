//go:build linux && !engine

package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/simple-container/simple-container/final/internal/cgroup"
	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// inContainer starts a container that the workshop can be done in: Docker's usual one may neither mount nor
// see the machine's cgroups.
const inContainer = `docker run -it --privileged --cgroupns=host -v "$PWD":/work -w /work golang`

func (d *doctor) privileges() result {
	if !d.root {
		return result{fail, fmt.Sprintf("user id %d: mounts, networks and limits are root's", os.Geteuid()),
			"go run -exec sudo ./final doctor"}
	}
	return good("we are root")
}

// needed are the capabilities that the steps use (capabilities(7)).
var needed = []struct {
	number int
	name   string
	why    string
}{
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "namespaces and mounts"},
	{unix.CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "the chroot lesson of step 02"},
	{unix.CAP_MKNOD, "CAP_MKNOD", "the devices of step 02"},
	{unix.CAP_KILL, "CAP_KILL", "ending containers"},
	{unix.CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", "files of other users"},
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "the network of step 04"},
	{unix.CAP_NET_RAW, "CAP_NET_RAW", "ping and iptables in step 04"},
	{unix.CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "--trace of step 05"},
}

func (d *doctor) capabilities() result {
	if !d.root {
		return needsRoot
	}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeCapabilities(field(string(text), "CapEff"))
}

// judgeCapabilities reads a mask as in /proc/PID/status: 000001ffffffffff.
func judgeCapabilities(effective string) result {
	mask, err := strconv.ParseUint(effective, 16, 64)
	if err != nil {
		return result{note, "CapEff in /proc/self/status: " + err.Error(), ""}
	}
	has := func(number int) bool { return mask&(1<<number) != 0 }
	var missing []string
	for _, c := range needed {
		if !has(c.number) {
			missing = append(missing, c.name+" ("+c.why+")")
		}
	}
	switch {
	case missing != nil:
		return result{fail, "without " + strings.Join(missing, ", "), inContainer}
	case !has(unix.CAP_SYS_RESOURCE):
		return result{note, "without CAP_SYS_RESOURCE: hard limits (ulimit -H) cannot be raised", inContainer}
	}
	return good("all that the steps use")
}

func (d *doctor) architecture() result {
	if !slices.Contains([]string{"amd64", "arm64"}, runtime.GOARCH) {
		return result{note, runtime.GOARCH + ": the workshop is tried out on amd64 and arm64", ""}
	}
	return good("%s, %d processors", runtime.GOARCH, runtime.NumCPU())
}

// oldest is the oldest kernel that the steps are tested on, Debian 11's.
var oldest = kernel.Version{Major: 5, Minor: 10}

func (d *doctor) kernelVersion() result {
	release, err := kernel.Release()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeKernel(release)
}

func judgeKernel(release string) result {
	version, err := kernel.ParseVersion(release)
	switch {
	case err != nil:
		return result{note, err.Error(), ""}
	case version.Compare(oldest) < 0:
		return result{fail, fmt.Sprintf("%s: the workshop needs %s", release, oldest),
			"sudo apt-get update && sudo apt-get dist-upgrade -y && sudo reboot"}
	}
	return good("%s, at least %s", release, oldest)
}

// indispensable are the features that a step cannot do without, with the step.
var indispensable = map[string]string{
	"CLONE_INTO_CGROUP":       "step 03",
	"PTRACE_GET_SYSCALL_INFO": "step 05",
}

// features tries what the kernel can do. A new kernel may refuse it too: a container's seccomp filter hides
// clone3.
func (d *doctor) features() result {
	if !d.root {
		return needsRoot
	}
	var works, lacks, breaks []string
	for _, f := range kernel.Features() {
		err := f.Probe()
		switch step, must := indispensable[f.Name]; {
		case err == nil:
			works = append(works, f.Name)
		case must:
			breaks = append(breaks, fmt.Sprintf("%s needs %s (%v)", step, f.Name, err))
		default:
			lacks = append(lacks, fmt.Sprintf("%s: %s, since Linux %s (%v)", f.Name, f.Use, f.Since, err))
		}
	}
	switch {
	case breaks != nil:
		return result{fail, strings.Join(breaks, ", "), inContainer}
	case lacks != nil:
		return result{note, "without " + strings.Join(lacks, ", "), ""}
	}
	return good("%s", strings.Join(works, ", "))
}

func (d *doctor) wsl() result {
	release, err := kernel.Release()
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeWSL(release)
}

// judgeWSL knows Windows' Linux by its kernel: 4.4.0-19041-Microsoft is WSL 1, which has no kernel of its
// own, and 5.15.153.1-microsoft-standard-WSL2 is WSL 2, which is a virtual machine.
func judgeWSL(release string) result {
	switch lower := strings.ToLower(release); {
	case !strings.Contains(lower, "microsoft"):
		return good("no")
	case strings.HasPrefix(release, "4.4.0-"):
		return result{fail, "WSL 1 has no Linux kernel, so no containers", `wsl.exe --set-version "$WSL_DISTRO_NAME" 2`}
	}
	return result{note, "WSL 2: if controllers are missing below, they are on cgroup v1",
		`printf '[wsl2]\nkernelCommandLine=cgroup_no_v1=all\n' >> "$(wslpath "$(wslvar USERPROFILE)")/.wslconfig" && wsl.exe --shutdown`}
}

// nested looks for signs that this machine is a container itself.
func (d *doctor) nested() result {
	var signs []string
	for _, file := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(file); err == nil {
			signs = append(signs, file)
		}
	}
	text, _ := os.ReadFile("/proc/1/cgroup") // missing or hidden is no sign
	if manager := containerManager(string(text)); manager != "" {
		signs = append(signs, "/proc/1/cgroup names "+manager)
	}
	// The inode numbers of the first namespaces are fixed (the kernel's include/uapi/linux/nsfs.h).
	for name, first := range map[string]string{"cgroup": "cgroup:[4026531835]", "pid": "pid:[4026531836]"} {
		if ns, err := os.Readlink("/proc/self/ns/" + name); err == nil && ns != first {
			signs = append(signs, "a "+name+" namespace of its own")
		}
	}
	if signs == nil {
		return good("no")
	}
	slices.Sort(signs)
	return result{note, "this is one itself (" + strings.Join(signs, ", ") + "): it needs much freedom", inContainer}
}

// containerManager returns whose container a process is in, by its /proc/PID/cgroup, "" for nobody's.
func containerManager(text string) string {
	for _, path := range cgroup.ParseMembership(text) {
		for _, manager := range []string{"docker", "kubepods", "libpod", "lxc", "containerd"} {
			if strings.Contains(path, "/"+manager) {
				return manager
			}
		}
	}
	return ""
}

func (d *doctor) namespaces() result {
	if !d.root {
		return needsRoot
	}
	var made, failed []string
	for _, n := range kernel.Namespaces {
		err := n.Create()
		switch {
		case err == nil:
			made = append(made, n.Name)
		case n.Name != "user": // that one has a row of its own
			failed = append(failed, err.Error())
		}
	}
	if failed != nil {
		return result{fail, strings.Join(failed, ", "), inContainer}
	}
	return good("%s can be made", strings.Join(made, ", "))
}

// userNamespaces are what containers without root are made of. The steps do without.
func (d *doctor) userNamespaces() result {
	if s, off := kernel.UsersBarred(); off {
		return result{note, fmt.Sprintf("%s is %s: no containers without root", s.Name, s.Value), "sudo sysctl -w " + s.Remedy}
	}
	if err := kernel.UserNamespace(); err != nil {
		return result{note, fmt.Sprintf("%v: no containers without root", err), ""}
	}
	return good("can be made")
}

func (d *doctor) overlay() result {
	if !d.root {
		return needsRoot
	}
	if err := kernel.Overlay(); err != nil {
		return result{fail, fmt.Sprintf("step 02 stacks layers with it: %v", err), "sudo modprobe overlay"}
	}
	return good("can be mounted, upper layer on tmpfs")
}

func (d *doctor) ptrace() result {
	return judgePtrace(firstLine("/proc/sys/kernel/yama/ptrace_scope"))
}

// judgePtrace knows the values of Yama's ptrace_scope (the kernel's admin-guide/LSM/Yama.rst); "" is a kernel
// without it.
func judgePtrace(scope string) result {
	if scope == "3" { // and this value cannot be changed back while the system runs
		return result{fail, "kernel.yama.ptrace_scope is 3: nobody can trace, so not step 05's --trace",
			"echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-ptrace.conf && sudo reboot"}
	}
	if scope == "" {
		return good("not restricted")
	}
	return good("kernel.yama.ptrace_scope is %s: root can trace", scope)
}

func (d *doctor) seccomp() result {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return result{note, err.Error(), ""}
	}
	return judgeSeccomp(field(string(text), "Seccomp"), firstLine("/proc/sys/kernel/seccomp/actions_avail"))
}

// judgeSeccomp takes our own mode (0 none, 1 strict, 2 filter) and what the kernel can do in a filter.
func judgeSeccomp(mode, actions string) result {
	switch {
	case actions == "":
		return result{note, "this kernel has no seccomp filters", ""}
	case mode == "2":
		return result{note, "a filter is on us, which containers inherit: it may forbid what a step does", ""}
	}
	return good("%s", actions)
}

// securityModules are those that can hold a container back beside capabilities and seccomp.
func (d *doctor) securityModules() result {
	modules := kernel.SecurityModules()
	if slices.Contains(modules, "apparmor") && !d.root {
		return needsRoot
	}
	return judgeModules(modules, kernel.LoadsProfiles(), firstLine("/sys/fs/selinux/enforce"))
}

// judgeModules takes the modules that are on, why AppArmor could be given no profile, and SELinux's enforce.
func judgeModules(modules []string, unloadable error, enforce string) result {
	switch {
	case slices.Contains(modules, "apparmor") && unloadable == nil:
		return good("apparmor: containers have the profile %s, if they are told no other", engine.DefaultProfile)
	case slices.Contains(modules, "apparmor"):
		fix := "sudo mount -t securityfs securityfs /sys/kernel/security"
		if errors.Is(unloadable, exec.ErrNotFound) {
			fix = "sudo apt-get install -y apparmor"
		}
		return result{note, fmt.Sprintf("apparmor, and containers have no profile: %v", unloadable), fix}
	case slices.Contains(modules, "selinux"):
		mode := map[string]string{"1": "enforcing", "0": "permissive"}[enforce]
		return result{note, fmt.Sprintf("selinux, %s: containers have no label", cmp.Or(mode, "without policy")),
			"final run --security-opt label=type:container_t ..."}
	}
	return good("none: containers are held by capabilities and seccomp")
}
