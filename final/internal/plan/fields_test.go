//go:build linux

package plan

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Who honours a field of config.json, if it is not the plan.
const (
	byParent  = "package runtime" // it is not for the container side to do
	byCgroup  = "package cgroup"
	byFilter  = "package confine, which compiles the profile"
	bySource  = "package rootfs, in the parent: idmapped mounts"
	elsewhere = "the plan, as other golden files show"
)

// fields are all that a config.json can have. For each there is a value that changes the plan, or that is
// refused, with the words it begins with; or it is said who honours it. A path that ends with a dot is all
// below it.
var fields = []struct{ path, value, refused, by string }{
	{"ociVersion", `"3.0.0"`, `ociVersion: "3.0.0"`, ""},
	{"process.terminal", ``, "", elsewhere},
	{"process.consoleSize.", ``, "", elsewhere},
	{"process.user.uid", `7`, "", ""},
	{"process.user.gid", `7`, "", ""},
	{"process.user.umask", `7`, "", ""},
	{"process.user.additionalGids", `[7]`, "", ""},
	{"process.user.username", `"ann"`, `process.user.username`, ""},
	{"process.args", `["ls"]`, "", ""},
	{"process.commandLine", `"cmd"`, `process.commandLine`, ""},
	{"process.env", `["A=b"]`, "", ""},
	{"process.cwd", `"/tmp"`, "", ""},
	{"process.capabilities.bounding", `["CAP_CHOWN"]`, "", ""},
	{"process.capabilities.effective", `["CAP_CHOWN"]`, "", ""},
	{"process.capabilities.inheritable", `["CAP_KILL"]`, "", ""},
	{"process.capabilities.permitted", `["CAP_CHOWN"]`, "", ""},
	{"process.capabilities.ambient", `["CAP_CHOWN"]`, "", ""},
	{"process.rlimits.", ``, "", byParent}, // but for the last words about RLIMIT_NOFILE and RLIMIT_STACK
	{"process.noNewPrivileges", `true`, "", ""},
	{"process.apparmorProfile", `"strict"`, `process.apparmorProfile`, ""}, // the tests' machine has no LSM
	{"process.oomScoreAdj", ``, "", byParent},
	{"process.scheduler.policy", `"SCHED_BATCH"`, "", ""},
	{"process.scheduler.nice", `7`, "", ""},
	{"process.scheduler.priority", `7`, "process.scheduler.priority: 7: not with SCHED_OTHER", ""},
	{"process.scheduler.flags", `["SCHED_FLAG_RESET_ON_FORK"]`, "", ""},
	{"process.scheduler.runtime", `7`, "process.scheduler: runtime", ""},
	{"process.scheduler.deadline", `7`, "process.scheduler: runtime", ""},
	{"process.scheduler.period", `7`, "process.scheduler: runtime", ""},
	{"process.selinuxLabel", `"a:b:c"`, `process.selinuxLabel`, ""},
	{"process.ioPriority.class", `"IOPRIO_CLASS_IDLE"`, "", ""},
	{"process.ioPriority.priority", `7`, "", ""},
	{"process.execCPUAffinity.initial", ``, "", elsewhere}, // of exec
	{"process.execCPUAffinity.final", ``, "", elsewhere},
	{"root.path", ``, "", byParent}, // it is Options.Rootfs.Root
	{"root.readonly", `true`, "", ""},
	{"hostname", `"name"`, "", ""},
	{"domainname", `"name"`, "", ""},
	{"mounts.destination", `"/b"`, "", ""},
	{"mounts.type", `"ramfs"`, "", ""},
	{"mounts.source", `"other"`, "", ""},
	{"mounts.options", `["ro"]`, "", ""},
	{"mounts.uidMappings.", ``, "", bySource},
	{"mounts.gidMappings.", ``, "", bySource},
	{"hooks.", ``, "", byParent},
	{"annotations", ``, "", byParent}, // they are in the state
	{"linux.uidMappings.", ``, "", byParent},
	{"linux.gidMappings.", ``, "", byParent},
	{"linux.sysctl", `{"net.ipv4.ip_forward": "1"}`, "", ""},
	{"linux.resources.", ``, "", byCgroup},
	{"linux.cgroupsPath", ``, "", byCgroup},
	{"linux.namespaces.type", `"magic"`, "linux.namespaces[0].type", ""},
	{"linux.namespaces.path", `"proc"`, "linux.namespaces[0].path", ""},
	{"linux.devices.path", `"/dev/other"`, "", ""},
	{"linux.devices.type", `"b"`, "", ""},
	{"linux.devices.major", `7`, "", ""},
	{"linux.devices.minor", `7`, "", ""},
	{"linux.devices.fileMode", `7`, "", ""},
	{"linux.devices.uid", `7`, "", ""},
	{"linux.devices.gid", `7`, "", ""},
	{"linux.netDevices.", ``, "", byParent},
	{"linux.seccomp.", ``, "", byFilter},
	{"linux.rootfsPropagation", `"slave"`, "", ""},
	{"linux.maskedPaths", `["/a"]`, "", ""},
	{"linux.readonlyPaths", `["/a"]`, "", ""},
	{"linux.mountLabel", `"a:b:c"`, "", ""},
	{"linux.intelRdt.", `{}`, `linux.intelRdt`, ""},
	{"linux.memoryPolicy.mode", `"MPOL_PREFERRED"`, "", ""},
	{"linux.memoryPolicy.nodes", `"1"`, "", ""},
	{"linux.memoryPolicy.flags", `["MPOL_F_STATIC_NODES"]`, "", ""},
	{"linux.personality.domain", `"LINUX32"`, "", ""},
	{"linux.personality.flags", `["ADDR_NO_RANDOMIZE"]`, "linux.personality.flags", ""},
	{"linux.timeOffsets.secs", `7`, "", ""},
	{"linux.timeOffsets.nanosecs", `7`, "", ""},
	{"solaris.", `{}`, `solaris`, ""},
	{"windows.", `{}`, `windows`, ""},
	{"vm.", `{}`, `vm`, ""},
	{"zos.", `{}`, `zos`, ""},
	{"freebsd.", `{}`, `freebsd`, ""},
}

// whole has something of everything that the plan honours, so that one value can be changed.
const whole = `{
	"ociVersion": "1.3.0", "root": {"path": "rootfs"},
	"process": {
		"args": ["sh"], "cwd": "/", "user": {"uid": 1, "gid": 1},
		"capabilities": {"bounding": ["CAP_KILL", "CAP_CHOWN"], "permitted": ["CAP_KILL", "CAP_CHOWN"], "inheritable": ["CAP_CHOWN"]},
		"scheduler": {"policy": "SCHED_OTHER"}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 1}
	},
	"mounts": [{"destination": "/a", "type": "tmpfs", "source": "tmpfs"}],
	"linux": {
		"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "network"}, {"type": "time"}],
		"devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}],
		"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0"}, "personality": {"domain": "LINUX"},
		"timeOffsets": {"monotonic": {"secs": 1}}
	}
}`

// TestEveryField: no field is ever ignored in silence. A field that a newer specification adds fails the test
// until it has a row.
func TestEveryField(t *testing.T) {
	used := map[string]bool{}
	for _, path := range paths(reflect.TypeFor[specs.Spec](), "") {
		row := slices.IndexFunc(fields, func(f struct{ path, value, refused, by string }) bool {
			return f.path == path || strings.HasSuffix(f.path, ".") && strings.HasPrefix(path+".", f.path)
		})
		if row < 0 {
			t.Errorf("%s: no row in the table: is it honoured, or refused by name?", path)
			continue
		}
		used[fields[row].path] = true
	}
	for _, f := range fields {
		if !used[f.path] {
			t.Errorf("%s: the specification has no such field", f.path)
		}
	}
}

// TestFields tries the rows of the table.
func TestFields(t *testing.T) {
	for _, f := range fields {
		if f.by != "" {
			continue
		}
		base := map[string]any{}
		if err := json.Unmarshal([]byte(whole), &base); err != nil {
			t.Fatal(err)
		}
		before, err := build(spelled(t, base))
		if err != nil {
			t.Fatalf("%s: before: %v", f.path, err)
		}
		var value any
		if err := json.Unmarshal([]byte(f.value), &value); err != nil {
			t.Fatalf("%s: %v", f.path, err)
		}
		set(base, strings.Split(strings.TrimSuffix(f.path, "."), "."), value)
		after, err := build(spelled(t, base))
		switch {
		case f.refused != "" && (err == nil || !strings.HasPrefix(err.Error(), f.refused)):
			t.Errorf("%s: %s: want it refused as %q, got %v", f.path, f.value, f.refused, err)
		case f.refused == "" && err != nil:
			t.Errorf("%s: %s: %v", f.path, f.value, err)
		case f.refused == "" && after == before:
			t.Errorf("%s: %s: the plan is the same: it is ignored", f.path, f.value)
		}
	}
}

func spelled(t *testing.T, config map[string]any) *specs.Spec {
	t.Helper()
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(text))
}

// set changes one value: of a list the first element's, of timeOffsets the monotonic clock's.
func set(at any, path []string, value any) {
	switch at := at.(type) {
	case []any:
		set(at[0], path, value)
	case map[string]any:
		if at["monotonic"] != nil {
			set(at["monotonic"], path, value)
			return
		}
		if len(path) == 1 {
			at[path[0]] = value
			return
		}
		if at[path[0]] == nil {
			at[path[0]] = map[string]any{}
		}
		set(at[path[0]], path[1:], value)
	}
}

// paths are the fields of a type by their names in JSON; those of lists and maps are their elements'.
func paths(t reflect.Type, at string) (list []string) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{at}
	}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case field.Anonymous:
			list = append(list, paths(field.Type, at)...)
		case at == "":
			list = append(list, paths(field.Type, name)...)
		default:
			list = append(list, paths(field.Type, at+"."+name)...)
		}
	}
	return slices.Sorted(maps.Keys(unique(list)))
}

func unique(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}
