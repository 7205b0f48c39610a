//go:build linux

package decode

import "github.com/opencontainers/runtime-spec/specs-go"

// The fields of the process.

var processFields = Fields[specs.Process]{
	{"terminal", func(r *Reader, v *specs.Process) { Bool(r, &v.Terminal) }},
	{"consoleSize", func(r *Reader, v *specs.Process) { Pointer(r, &v.ConsoleSize, boxFields.Read) }},
	{"user", func(r *Reader, v *specs.Process) { userFields.Read(r, &v.User) }},
	{"args", func(r *Reader, v *specs.Process) { List(r, &v.Args, Text) }},
	{"commandLine", func(r *Reader, v *specs.Process) { Text(r, &v.CommandLine) }},
	{"env", func(r *Reader, v *specs.Process) { List(r, &v.Env, Text) }},
	{"cwd", func(r *Reader, v *specs.Process) { Text(r, &v.Cwd) }},
	{"capabilities", func(r *Reader, v *specs.Process) { Pointer(r, &v.Capabilities, capabilitiesFields.Read) }},
	{"rlimits", func(r *Reader, v *specs.Process) { List(r, &v.Rlimits, rlimitFields.Read) }},
	{"noNewPrivileges", func(r *Reader, v *specs.Process) { Bool(r, &v.NoNewPrivileges) }},
	{"apparmorProfile", func(r *Reader, v *specs.Process) { Text(r, &v.ApparmorProfile) }},
	{"oomScoreAdj", func(r *Reader, v *specs.Process) { Pointer(r, &v.OOMScoreAdj, Number) }},
	{"scheduler", func(r *Reader, v *specs.Process) { Pointer(r, &v.Scheduler, schedulerFields.Read) }},
	{"selinuxLabel", func(r *Reader, v *specs.Process) { Text(r, &v.SelinuxLabel) }},
	{"ioPriority", func(r *Reader, v *specs.Process) { Pointer(r, &v.IOPriority, ioPriorityFields.Read) }},
	{"execCPUAffinity", func(r *Reader, v *specs.Process) { Pointer(r, &v.ExecCPUAffinity, affinityFields.Read) }},
}

var boxFields = Fields[specs.Box]{
	{"height", func(r *Reader, v *specs.Box) { Number(r, &v.Height) }},
	{"width", func(r *Reader, v *specs.Box) { Number(r, &v.Width) }},
}

var userFields = Fields[specs.User]{
	{"uid", func(r *Reader, v *specs.User) { Number(r, &v.UID) }},
	{"gid", func(r *Reader, v *specs.User) { Number(r, &v.GID) }},
	{"umask", func(r *Reader, v *specs.User) { Pointer(r, &v.Umask, Number) }},
	{"additionalGids", func(r *Reader, v *specs.User) { List(r, &v.AdditionalGids, Number) }},
	{"username", func(r *Reader, v *specs.User) { Text(r, &v.Username) }},
}

var capabilitiesFields = Fields[specs.LinuxCapabilities]{
	{"bounding", func(r *Reader, v *specs.LinuxCapabilities) { List(r, &v.Bounding, Text) }},
	{"effective", func(r *Reader, v *specs.LinuxCapabilities) { List(r, &v.Effective, Text) }},
	{"inheritable", func(r *Reader, v *specs.LinuxCapabilities) { List(r, &v.Inheritable, Text) }},
	{"permitted", func(r *Reader, v *specs.LinuxCapabilities) { List(r, &v.Permitted, Text) }},
	{"ambient", func(r *Reader, v *specs.LinuxCapabilities) { List(r, &v.Ambient, Text) }},
}

var rlimitFields = Fields[specs.POSIXRlimit]{
	{"type", func(r *Reader, v *specs.POSIXRlimit) { Text(r, &v.Type) }},
	{"hard", func(r *Reader, v *specs.POSIXRlimit) { Number(r, &v.Hard) }},
	{"soft", func(r *Reader, v *specs.POSIXRlimit) { Number(r, &v.Soft) }},
}

var schedulerFields = Fields[specs.Scheduler]{
	{"policy", func(r *Reader, v *specs.Scheduler) { Text(r, &v.Policy) }},
	{"nice", func(r *Reader, v *specs.Scheduler) { Number(r, &v.Nice) }},
	{"priority", func(r *Reader, v *specs.Scheduler) { Number(r, &v.Priority) }},
	{"flags", func(r *Reader, v *specs.Scheduler) { List(r, &v.Flags, Text) }},
	{"runtime", func(r *Reader, v *specs.Scheduler) { Number(r, &v.Runtime) }},
	{"deadline", func(r *Reader, v *specs.Scheduler) { Number(r, &v.Deadline) }},
	{"period", func(r *Reader, v *specs.Scheduler) { Number(r, &v.Period) }},
}

var ioPriorityFields = Fields[specs.LinuxIOPriority]{
	{"class", func(r *Reader, v *specs.LinuxIOPriority) { Text(r, &v.Class) }},
	{"priority", func(r *Reader, v *specs.LinuxIOPriority) { Number(r, &v.Priority) }},
}

var affinityFields = Fields[specs.CPUAffinity]{
	{"initial", func(r *Reader, v *specs.CPUAffinity) { Text(r, &v.Initial) }},
	{"final", func(r *Reader, v *specs.CPUAffinity) { Text(r, &v.Final) }},
}
