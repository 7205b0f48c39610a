//go:build linux

package engines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// look prints facts in sections.
const look = `echo "== id"; id; umask; pwd; hostname; env
echo "== dev"; stat -c '%n %F %a %u:%g %t:%T' $(find /dev)
readlink /dev/fd /dev/stdin /dev/stdout /dev/stderr /dev/ptmx /dev/core
echo "== files"
stat -c '%n %F %a %u:%g %s' / /mnt /mnt/* /mnt/made/deep /etc /etc/* /opt /proc/kcore /sys/firmware 2>&1
echo "== written"
for f in / /dev /proc/sys/kernel/domainname /usr /etc /mnt /mnt/etc; do
	[ -d $f ] && f=$f/x
	(echo x > $f) 2>&1
done
mkdir /dev/new 2>&1
echo "== sysctl"; cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward
echo "== links"; ls /sys/class/net
echo "== end"; `

// inside waits for a line, and ends with a code that cannot be an accident.
const inside = look + "read line; exit 17"

// statusLines are the lines of /proc/PID/status that say who a process is and what it may do.
var statusLines = regexp.MustCompile(
	`(?m)^(Umask|Uid|Gid|Groups|NoNewPrivs|Seccomp|Cap...|Cpus_allowed_list|Speculation\S*|THP\S*):.*$`)

// facts are the lines of a container, by section.
type facts map[string][]string

// observe runs a bundle and returns what is seen of it.
func observe(t *testing.T, runtime string, change func(*specs.Spec)) facts {
	t.Helper()
	dir, err := os.MkdirTemp(os.Getenv(work), "b")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // for users that are others outside
		t.Fatal(err)
	}
	id := filepath.Base(dir)
	run(t, "cp", "--archive", "--link", os.Getenv(work)+"/rootfs", dir+"/rootfs")
	spec := plain(inside, "/default/"+id)
	change(spec)
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir+"/config.json", string(text))

	command := exec.CommandContext(t.Context(), runtime, "--root", dir+"/state",
		"run", "--bundle", dir, "--pid-file", dir+"/pid", id)
	var stderr strings.Builder
	command.Stderr = &stderr
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	f, section := facts{}, ""
	timer := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	names := strings.NewReplacer(filepath.Dir(dir), "BUNDLES", id, "ID")
	for lines := bufio.NewScanner(out); section != "end" && lines.Scan(); {
		section = f.tell(section, names.Replace(lines.Text()))
	}
	if section == "end" {
		f.host(t, awaitPid(dir+"/pid"), "default/"+id, names)
	}
	in.Close()
	_ = command.Wait() // how it ended is a fact
	f["exit code"] = []string{fmt.Sprint(command.ProcessState.ExitCode())}
	if section != "end" {
		t.Fatalf("%s: %v: %s", runtime, command.ProcessState, stderr.String())
	}
	return f
}

// tell adds a line of what look prints, and returns the section of the next one.
func (f facts) tell(section, line string) string {
	if s, ok := strings.CutPrefix(line, "== "); ok {
		return s
	}
	f[section] = append(f[section], line)
	return section
}

// awaitPid reads a pid file, which runc writes while the process is at work.
func awaitPid(file string) string {
	for range 3000 {
		text, _ := os.ReadFile(file)
		if pid := strings.TrimSpace(string(text)); pid != "" {
			return pid
		}
		time.Sleep(10 * time.Millisecond)
	}
	return ""
}

// host adds what the host sees of a container.
func (f facts) host(t *testing.T, pid, group string, names *strings.Replacer) {
	t.Helper()
	read := func(path string) string { // "" is what a file says that a runtime has not, or a machine
		text, _ := os.ReadFile(path)
		return names.Replace(strings.TrimSpace(string(text)))
	}
	proc := "/proc/" + pid
	f["status"] = statusLines.FindAllString(read(proc+"/status"), -1)
	f["status"] = append(f["status"], fmt.Sprintf("ignores %x, beside what we ignore", ignored(read(proc+"/status"))&^ignored(read("/proc/self/status"))))
	for _, file := range strings.Fields("limits oom_score_adj uid_map gid_map setgroups timens_offsets cgroup") {
		f[file] = strings.Split(read(proc+"/"+file), "\n")
	}
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"} {
		theirs, _ := os.Readlink(proc + "/ns/" + kind)
		ours, _ := os.Readlink("/proc/self/ns/" + kind)
		f["namespaces"] = append(f["namespaces"], fmt.Sprintf("%s: the host's: %v", kind, theirs == ours))
	}
	for line := range strings.Lines(read(proc + "/mountinfo")) {
		f["mounts"] = append(f["mounts"], mountLine(line))
	}
	descriptors, _ := filepath.Glob(proc + "/fd/*") // a bad pattern is the only error
	for _, descriptor := range descriptors {
		to, _ := os.Readlink(descriptor)
		if strings.HasPrefix(to, "anon_inode:") || strings.HasPrefix(to, "/sys/fs/cgroup/") || strings.HasSuffix(to, "/mountinfo") {
			continue // the Go program's own
		}
		f["descriptors"] = append(f["descriptors"], filepath.Base(descriptor)+" "+inode.ReplaceAllString(to, "[N]"))
	}
	for _, name := range limitFiles {
		for _, tree := range []string{"/sys/fs/cgroup/", "/sys/fs/cgroup/*/"} { // v2, and v1
			files, _ := filepath.Glob(tree + group + "/" + name)
			for _, file := range files {
				for line := range strings.Lines(read(file)) {
					f["limits of the cgroup"] = append(f["limits of the cgroup"], filepath.Base(file)+": "+strings.TrimSpace(line))
				}
			}
		}
	}
}

// ignored is the set of signals that a process ignores: runc and crun hand on what their caller ignores.
func ignored(status string) (set uint64) {
	_, rest, _ := strings.Cut(status, "SigIgn:\t")
	_, _ = fmt.Sscanf(rest, "%x", &set) // none, if the process is gone
	return set
}

// limitFiles are the files of a cgroup that hold what it was given, of v1 and of v2.
var limitFiles = []string{
	"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.swappiness",
	"memory.oom_control", "pids.max", "cpu.shares", "cpu.cfs_*", "cpuset.cpus", "devices.list",
	"memory.min", "hugetlb.2MB.max", "hugetlb.2MB.limit_in_bytes",
	"memory.max", "memory.swap.max", "memory.low", "memory.high", "memory.oom.group", "cpu.max", "cpu.weight",
}

var inode = regexp.MustCompile(`\[\d+\]`)

// mountLine is a line of mountinfo without the numbers of one boot: ids, devices, peer groups.
//
//	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
func mountLine(line string) string {
	fields := strings.Fields(line)
	for i, field := range fields {
		if kind, _, ok := strings.Cut(field, ":"); ok && slices.Contains(propagation, kind) {
			fields[i] = kind
		}
	}
	return strings.Join(fields[3:], " ")
}

var propagation = []string{"shared", "master", "propagate_from"}
