//go:build linux

package lab

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// probeReport is what `probe --json` prints. A part that cannot be read is empty: a container may hide it.
type probeReport struct {
	Hostname     string              `json:"hostname"`
	Pid          int                 `json:"pid"`
	Ppid         int                 `json:"ppid"`
	UID          int                 `json:"uid"`
	GID          int                 `json:"gid"`
	Namespaces   map[string]string   `json:"namespaces"` // "uts": "uts:[4026531838]"
	Cgroup       []string            `json:"cgroup"`
	Root         string              `json:"root"`
	UIDMap       []string            `json:"uidMap"`
	GIDMap       []string            `json:"gidMap"`
	Capabilities map[string][]string `json:"capabilities"` // by set: effective, permitted, ...
	Seccomp      string              `json:"seccomp"`
	NoNewPrivs   bool                `json:"noNewPrivs"`
	Limits       map[string]string   `json:"limits"` // cgroup files, by name
	Interfaces   map[string][]string `json:"interfaces"`
}

var namespaceKinds = []string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}

// limitFiles are looked for in the cgroup mount, v2 first; the second part is where v1 has the same.
var limitFiles = [][2]string{
	{"memory.max", "memory/memory.limit_in_bytes"},
	{"memory.swap.max", "memory/memory.memsw.limit_in_bytes"},
	{"memory.oom.group", ""},
	{"memory.current", "memory/memory.usage_in_bytes"},
	{"cpu.max", "cpu/cpu.cfs_quota_us"},
	{"cpu.weight", "cpu/cpu.shares"},
	{"pids.max", "pids/pids.max"},
	{"pids.current", "pids/pids.current"},
}

func runProbe(c *call) error {
	o, err := c.options("j", "json=j")
	if err != nil {
		return err
	}
	report := probe()
	if o.has('j') {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		c.println(string(text))
		return nil
	}
	report.print(c)
	return nil
}

func probe() probeReport {
	host, _ := os.Hostname() // like everything here: empty if it is hidden
	status := statusFields()
	r := probeReport{
		Hostname: host, Pid: os.Getpid(), Ppid: os.Getppid(), UID: os.Geteuid(), GID: os.Getegid(),
		Namespaces: map[string]string{}, Cgroup: linesOf("/proc/self/cgroup"), Root: rootMount(),
		UIDMap: linesOf("/proc/self/uid_map"), GIDMap: linesOf("/proc/self/gid_map"),
		Capabilities: map[string][]string{}, NoNewPrivs: status["NoNewPrivs"] == "1",
		Limits: map[string]string{}, Interfaces: interfaces(),
	}
	for _, kind := range namespaceKinds {
		if target, err := os.Readlink("/proc/self/ns/" + kind); err == nil {
			r.Namespaces[kind] = target
		}
	}
	for set, field := range map[string]string{"inheritable": "CapInh", "permitted": "CapPrm", "effective": "CapEff",
		"bounding": "CapBnd", "ambient": "CapAmb"} {
		r.Capabilities[set] = capabilityNames(status[field])
	}
	modes := [...]string{unix.SECCOMP_MODE_DISABLED: "off", unix.SECCOMP_MODE_STRICT: "strict", unix.SECCOMP_MODE_FILTER: "filter"}
	if n, err := strconv.Atoi(status["Seccomp"]); err == nil && n < len(modes) {
		r.Seccomp = modes[n]
	}
	for _, file := range limitFiles {
		for _, path := range file {
			if text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", path)); err == nil && path != "" {
				r.Limits[path] = strings.TrimSpace(string(text))
				break
			}
		}
	}
	return r
}

// statusFields reads proc_pid_status(5): lines of "Name:\tvalue".
func statusFields() map[string]string {
	fields := map[string]string{}
	for _, line := range linesOf("/proc/self/status") {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

func linesOf(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}

func rootMount() string {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter("/"))
	if err != nil || len(mounts) == 0 {
		return ""
	}
	return mounts[0].Source + " " + mounts[0].FSType + " " + mounts[0].Options
}

func interfaces() map[string][]string {
	all := map[string][]string{}
	links, err := net.Interfaces()
	if err != nil {
		return all
	}
	for _, link := range links {
		addresses := []string{}
		found, err := link.Addrs()
		if err != nil {
			continue
		}
		for _, a := range found {
			addresses = append(addresses, a.String())
		}
		all[link.Name] = addresses
	}
	return all
}

// capabilityTable has the names by number (capabilities(7)).
var capabilityTable = [...]string{
	unix.CAP_CHOWN: "chown", unix.CAP_DAC_OVERRIDE: "dac_override", unix.CAP_DAC_READ_SEARCH: "dac_read_search",
	unix.CAP_FOWNER: "fowner", unix.CAP_FSETID: "fsetid", unix.CAP_KILL: "kill", unix.CAP_SETGID: "setgid",
	unix.CAP_SETUID: "setuid", unix.CAP_SETPCAP: "setpcap", unix.CAP_LINUX_IMMUTABLE: "linux_immutable",
	unix.CAP_NET_BIND_SERVICE: "net_bind_service", unix.CAP_NET_BROADCAST: "net_broadcast", unix.CAP_NET_ADMIN: "net_admin",
	unix.CAP_NET_RAW: "net_raw", unix.CAP_IPC_LOCK: "ipc_lock", unix.CAP_IPC_OWNER: "ipc_owner",
	unix.CAP_SYS_MODULE: "sys_module", unix.CAP_SYS_RAWIO: "sys_rawio", unix.CAP_SYS_CHROOT: "sys_chroot",
	unix.CAP_SYS_PTRACE: "sys_ptrace", unix.CAP_SYS_PACCT: "sys_pacct", unix.CAP_SYS_ADMIN: "sys_admin",
	unix.CAP_SYS_BOOT: "sys_boot", unix.CAP_SYS_NICE: "sys_nice", unix.CAP_SYS_RESOURCE: "sys_resource",
	unix.CAP_SYS_TIME: "sys_time", unix.CAP_SYS_TTY_CONFIG: "sys_tty_config", unix.CAP_MKNOD: "mknod",
	unix.CAP_LEASE: "lease", unix.CAP_AUDIT_WRITE: "audit_write", unix.CAP_AUDIT_CONTROL: "audit_control",
	unix.CAP_SETFCAP: "setfcap", unix.CAP_MAC_OVERRIDE: "mac_override", unix.CAP_MAC_ADMIN: "mac_admin",
	unix.CAP_SYSLOG: "syslog", unix.CAP_WAKE_ALARM: "wake_alarm", unix.CAP_BLOCK_SUSPEND: "block_suspend",
	unix.CAP_AUDIT_READ: "audit_read", unix.CAP_PERFMON: "perfmon", unix.CAP_BPF: "bpf",
	unix.CAP_CHECKPOINT_RESTORE: "checkpoint_restore",
}

// capabilityNames turns a mask such as 000001ffffffffff into names.
func capabilityNames(mask string) []string {
	names := []string{}
	bits, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return names
	}
	for n := range 64 {
		if bits&(1<<n) == 0 {
			continue
		}
		if n < len(capabilityTable) {
			names = append(names, capabilityTable[n])
		} else {
			names = append(names, strconv.Itoa(n))
		}
	}
	return names
}

func (r probeReport) print(c *call) {
	row := func(name string, values ...string) {
		for i, value := range values {
			if i > 0 {
				name = ""
			}
			c.printf("%-22s %s\n", name, value)
		}
		if len(values) == 0 {
			c.printf("%-22s %s\n", name, "-")
		}
	}
	row("hostname", r.Hostname)
	row("process", fmt.Sprintf("%d, child of %d", r.Pid, r.Ppid))
	row("user", fmt.Sprintf("uid %d gid %d", r.UID, r.GID))
	for _, kind := range namespaceKinds {
		row("namespace "+kind, r.Namespaces[kind])
	}
	row("cgroup", r.Cgroup...)
	row("root mount", r.Root)
	row("uid map", r.UIDMap...)
	row("gid map", r.GIDMap...)
	for _, set := range []string{"effective", "permitted", "bounding", "inheritable", "ambient"} {
		names := r.Capabilities[set]
		text := strings.Join(names, " ")
		if len(names) == len(capabilityTable) {
			text = "all"
		}
		row("capabilities "+set, text)
	}
	row("seccomp", r.Seccomp)
	row("no_new_privs", strconv.FormatBool(r.NoNewPrivs))
	for _, file := range limitFiles {
		for _, path := range file {
			if value, ok := r.Limits[path]; ok {
				row(filepath.Base(path), value)
			}
		}
	}
	for _, name := range sortedKeys(r.Interfaces) {
		row("interface "+name, strings.Join(r.Interfaces[name], " "))
	}
}
