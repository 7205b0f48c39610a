//go:build linux

package decode

import "github.com/opencontainers/runtime-spec/specs-go"

// The fields of linux, but for its resources.

var linuxFields = Fields[specs.Linux]{
	{"uidMappings", func(r *Reader, v *specs.Linux) { List(r, &v.UIDMappings, idMappingFields.Read) }},
	{"gidMappings", func(r *Reader, v *specs.Linux) { List(r, &v.GIDMappings, idMappingFields.Read) }},
	{"sysctl", func(r *Reader, v *specs.Linux) { Map(r, &v.Sysctl, Text) }},
	{"resources", func(r *Reader, v *specs.Linux) { Pointer(r, &v.Resources, resourcesFields.Read) }},
	{"cgroupsPath", func(r *Reader, v *specs.Linux) { Text(r, &v.CgroupsPath) }},
	{"namespaces", func(r *Reader, v *specs.Linux) { List(r, &v.Namespaces, namespaceFields.Read) }},
	{"devices", func(r *Reader, v *specs.Linux) { List(r, &v.Devices, deviceFields.Read) }},
	{"netDevices", func(r *Reader, v *specs.Linux) { Map(r, &v.NetDevices, netDeviceFields.Read) }},
	{"seccomp", func(r *Reader, v *specs.Linux) { Pointer(r, &v.Seccomp, seccompFields.Read) }},
	{"rootfsPropagation", func(r *Reader, v *specs.Linux) { Text(r, &v.RootfsPropagation) }},
	{"maskedPaths", func(r *Reader, v *specs.Linux) { List(r, &v.MaskedPaths, Text) }},
	{"readonlyPaths", func(r *Reader, v *specs.Linux) { List(r, &v.ReadonlyPaths, Text) }},
	{"mountLabel", func(r *Reader, v *specs.Linux) { Text(r, &v.MountLabel) }},
	{"memoryPolicy", func(r *Reader, v *specs.Linux) { Pointer(r, &v.MemoryPolicy, memoryPolicyFields.Read) }},
	{"personality", func(r *Reader, v *specs.Linux) { Pointer(r, &v.Personality, personalityFields.Read) }},
	{"timeOffsets", func(r *Reader, v *specs.Linux) { Map(r, &v.TimeOffsets, timeOffsetFields.Read) }},
}

var namespaceFields = Fields[specs.LinuxNamespace]{
	{"type", func(r *Reader, v *specs.LinuxNamespace) { Text(r, &v.Type) }},
	{"path", func(r *Reader, v *specs.LinuxNamespace) { Text(r, &v.Path) }},
}

var idMappingFields = Fields[specs.LinuxIDMapping]{
	{"containerID", func(r *Reader, v *specs.LinuxIDMapping) { Number(r, &v.ContainerID) }},
	{"hostID", func(r *Reader, v *specs.LinuxIDMapping) { Number(r, &v.HostID) }},
	{"size", func(r *Reader, v *specs.LinuxIDMapping) { Number(r, &v.Size) }},
}

var deviceFields = Fields[specs.LinuxDevice]{
	{"path", func(r *Reader, v *specs.LinuxDevice) { Text(r, &v.Path) }},
	{"type", func(r *Reader, v *specs.LinuxDevice) { Text(r, &v.Type) }},
	{"major", func(r *Reader, v *specs.LinuxDevice) { Number(r, &v.Major) }},
	{"minor", func(r *Reader, v *specs.LinuxDevice) { Number(r, &v.Minor) }},
	{"fileMode", func(r *Reader, v *specs.LinuxDevice) { Pointer(r, &v.FileMode, Number) }},
	{"uid", func(r *Reader, v *specs.LinuxDevice) { Pointer(r, &v.UID, Number) }},
	{"gid", func(r *Reader, v *specs.LinuxDevice) { Pointer(r, &v.GID, Number) }},
}

var netDeviceFields = Fields[specs.LinuxNetDevice]{
	{"name", func(r *Reader, v *specs.LinuxNetDevice) { Text(r, &v.Name) }},
}

var memoryPolicyFields = Fields[specs.LinuxMemoryPolicy]{
	{"mode", func(r *Reader, v *specs.LinuxMemoryPolicy) { Text(r, &v.Mode) }},
	{"nodes", func(r *Reader, v *specs.LinuxMemoryPolicy) { Text(r, &v.Nodes) }},
	{"flags", func(r *Reader, v *specs.LinuxMemoryPolicy) { List(r, &v.Flags, Text) }},
}

var personalityFields = Fields[specs.LinuxPersonality]{
	{"domain", func(r *Reader, v *specs.LinuxPersonality) { Text(r, &v.Domain) }},
	{"flags", func(r *Reader, v *specs.LinuxPersonality) { List(r, &v.Flags, Text) }},
}

var timeOffsetFields = Fields[specs.LinuxTimeOffset]{
	{"secs", func(r *Reader, v *specs.LinuxTimeOffset) { Number(r, &v.Secs) }},
	{"nanosecs", func(r *Reader, v *specs.LinuxTimeOffset) { Number(r, &v.Nanosecs) }},
}

var seccompFields = Fields[specs.LinuxSeccomp]{
	{"defaultAction", func(r *Reader, v *specs.LinuxSeccomp) { Text(r, &v.DefaultAction) }},
	{"defaultErrnoRet", func(r *Reader, v *specs.LinuxSeccomp) { Pointer(r, &v.DefaultErrnoRet, Number) }},
	{"architectures", func(r *Reader, v *specs.LinuxSeccomp) { List(r, &v.Architectures, Text) }},
	{"flags", func(r *Reader, v *specs.LinuxSeccomp) { List(r, &v.Flags, Text) }},
	{"listenerPath", func(r *Reader, v *specs.LinuxSeccomp) { Text(r, &v.ListenerPath) }},
	{"listenerMetadata", func(r *Reader, v *specs.LinuxSeccomp) { Text(r, &v.ListenerMetadata) }},
	{"syscalls", func(r *Reader, v *specs.LinuxSeccomp) { List(r, &v.Syscalls, syscallFields.Read) }},
}

var syscallFields = Fields[specs.LinuxSyscall]{
	{"names", func(r *Reader, v *specs.LinuxSyscall) { List(r, &v.Names, Text) }},
	{"action", func(r *Reader, v *specs.LinuxSyscall) { Text(r, &v.Action) }},
	{"errnoRet", func(r *Reader, v *specs.LinuxSyscall) { Pointer(r, &v.ErrnoRet, Number) }},
	{"args", func(r *Reader, v *specs.LinuxSyscall) { List(r, &v.Args, argumentFields.Read) }},
}

var argumentFields = Fields[specs.LinuxSeccompArg]{
	{"index", func(r *Reader, v *specs.LinuxSeccompArg) { Number(r, &v.Index) }},
	{"value", func(r *Reader, v *specs.LinuxSeccompArg) { Number(r, &v.Value) }},
	{"valueTwo", func(r *Reader, v *specs.LinuxSeccompArg) { Number(r, &v.ValueTwo) }},
	{"op", func(r *Reader, v *specs.LinuxSeccompArg) { Text(r, &v.Op) }},
}
