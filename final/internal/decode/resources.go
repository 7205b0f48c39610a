//go:build linux

package decode

import "github.com/opencontainers/runtime-spec/specs-go"

// The fields of linux.resources, which `update` reads too.

var resourcesFields = Fields[specs.LinuxResources]{
	{"devices", func(r *Reader, v *specs.LinuxResources) { List(r, &v.Devices, allowedFields.Read) }},
	{"memory", func(r *Reader, v *specs.LinuxResources) { Pointer(r, &v.Memory, memoryFields.Read) }},
	{"cpu", func(r *Reader, v *specs.LinuxResources) { Pointer(r, &v.CPU, cpuFields.Read) }},
	{"pids", func(r *Reader, v *specs.LinuxResources) { Pointer(r, &v.Pids, pidsFields.Read) }},
	{"blockIO", func(r *Reader, v *specs.LinuxResources) { Pointer(r, &v.BlockIO, blockIOFields.Read) }},
	{"hugepageLimits", func(r *Reader, v *specs.LinuxResources) { List(r, &v.HugepageLimits, hugepagesFields.Read) }},
	{"network", func(r *Reader, v *specs.LinuxResources) { Pointer(r, &v.Network, networkFields.Read) }},
	{"rdma", func(r *Reader, v *specs.LinuxResources) { Map(r, &v.Rdma, rdmaFields.Read) }},
	{"unified", func(r *Reader, v *specs.LinuxResources) { Map(r, &v.Unified, Text) }},
}

var allowedFields = Fields[specs.LinuxDeviceCgroup]{
	{"allow", func(r *Reader, v *specs.LinuxDeviceCgroup) { Bool(r, &v.Allow) }},
	{"type", func(r *Reader, v *specs.LinuxDeviceCgroup) { Text(r, &v.Type) }},
	{"major", func(r *Reader, v *specs.LinuxDeviceCgroup) { Pointer(r, &v.Major, Number) }},
	{"minor", func(r *Reader, v *specs.LinuxDeviceCgroup) { Pointer(r, &v.Minor, Number) }},
	{"access", func(r *Reader, v *specs.LinuxDeviceCgroup) { Text(r, &v.Access) }},
}

var memoryFields = Fields[specs.LinuxMemory]{
	{"limit", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.Limit, Number) }},
	{"reservation", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.Reservation, Number) }},
	{"swap", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.Swap, Number) }},
	{"kernel", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.Kernel, Number) }},
	{"kernelTCP", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.KernelTCP, Number) }},
	{"swappiness", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.Swappiness, Number) }},
	{"disableOOMKiller", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.DisableOOMKiller, Bool) }},
	{"useHierarchy", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.UseHierarchy, Bool) }},
	{"checkBeforeUpdate", func(r *Reader, v *specs.LinuxMemory) { Pointer(r, &v.CheckBeforeUpdate, Bool) }},
}

var cpuFields = Fields[specs.LinuxCPU]{
	{"shares", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.Shares, Number) }},
	{"quota", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.Quota, Number) }},
	{"burst", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.Burst, Number) }},
	{"period", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.Period, Number) }},
	{"realtimeRuntime", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.RealtimeRuntime, Number) }},
	{"realtimePeriod", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.RealtimePeriod, Number) }},
	{"cpus", func(r *Reader, v *specs.LinuxCPU) { Text(r, &v.Cpus) }},
	{"mems", func(r *Reader, v *specs.LinuxCPU) { Text(r, &v.Mems) }},
	{"idle", func(r *Reader, v *specs.LinuxCPU) { Pointer(r, &v.Idle, Number) }},
}

var pidsFields = Fields[specs.LinuxPids]{
	{"limit", func(r *Reader, v *specs.LinuxPids) { Pointer(r, &v.Limit, Number) }},
}

var blockIOFields = Fields[specs.LinuxBlockIO]{
	{"weight", func(r *Reader, v *specs.LinuxBlockIO) { Pointer(r, &v.Weight, Number) }},
	{"leafWeight", func(r *Reader, v *specs.LinuxBlockIO) { Pointer(r, &v.LeafWeight, Number) }},
	{"weightDevice", func(r *Reader, v *specs.LinuxBlockIO) { List(r, &v.WeightDevice, weightFields.Read) }},
	{"throttleReadBpsDevice", func(r *Reader, v *specs.LinuxBlockIO) {
		List(r, &v.ThrottleReadBpsDevice, throttleFields.Read)
	}},
	{"throttleWriteBpsDevice", func(r *Reader, v *specs.LinuxBlockIO) {
		List(r, &v.ThrottleWriteBpsDevice, throttleFields.Read)
	}},
	{"throttleReadIOPSDevice", func(r *Reader, v *specs.LinuxBlockIO) {
		List(r, &v.ThrottleReadIOPSDevice, throttleFields.Read)
	}},
	{"throttleWriteIOPSDevice", func(r *Reader, v *specs.LinuxBlockIO) {
		List(r, &v.ThrottleWriteIOPSDevice, throttleFields.Read)
	}},
}

var weightFields = Fields[specs.LinuxWeightDevice]{
	{"major", func(r *Reader, v *specs.LinuxWeightDevice) { Number(r, &v.Major) }},
	{"minor", func(r *Reader, v *specs.LinuxWeightDevice) { Number(r, &v.Minor) }},
	{"weight", func(r *Reader, v *specs.LinuxWeightDevice) { Pointer(r, &v.Weight, Number) }},
	{"leafWeight", func(r *Reader, v *specs.LinuxWeightDevice) { Pointer(r, &v.LeafWeight, Number) }},
}

var throttleFields = Fields[specs.LinuxThrottleDevice]{
	{"major", func(r *Reader, v *specs.LinuxThrottleDevice) { Number(r, &v.Major) }},
	{"minor", func(r *Reader, v *specs.LinuxThrottleDevice) { Number(r, &v.Minor) }},
	{"rate", func(r *Reader, v *specs.LinuxThrottleDevice) { Number(r, &v.Rate) }},
}

var hugepagesFields = Fields[specs.LinuxHugepageLimit]{
	{"pageSize", func(r *Reader, v *specs.LinuxHugepageLimit) { Text(r, &v.Pagesize) }},
	{"limit", func(r *Reader, v *specs.LinuxHugepageLimit) { Number(r, &v.Limit) }},
}

var networkFields = Fields[specs.LinuxNetwork]{
	{"classID", func(r *Reader, v *specs.LinuxNetwork) { Pointer(r, &v.ClassID, Number) }},
	{"priorities", func(r *Reader, v *specs.LinuxNetwork) { List(r, &v.Priorities, interfacePriorityFields.Read) }},
}

var interfacePriorityFields = Fields[specs.LinuxInterfacePriority]{
	{"name", func(r *Reader, v *specs.LinuxInterfacePriority) { Text(r, &v.Name) }},
	{"priority", func(r *Reader, v *specs.LinuxInterfacePriority) { Number(r, &v.Priority) }},
}

var rdmaFields = Fields[specs.LinuxRdma]{
	{"hcaHandles", func(r *Reader, v *specs.LinuxRdma) { Pointer(r, &v.HcaHandles, Number) }},
	{"hcaObjects", func(r *Reader, v *specs.LinuxRdma) { Pointer(r, &v.HcaObjects, Number) }},
}
