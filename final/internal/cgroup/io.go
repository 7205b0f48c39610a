//go:build linux

package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What an I/O scheduler or cost model must be there for.
const (
	ioWeight   = "CONFIG_BLK_CGROUP_IOCOST or the bfq scheduler"
	leafWeight = "the cfq scheduler, which went with Linux 5.0"
)

// A throttle is one of the four ways to limit a device, and its names.
type throttle struct {
	field, v1, v2 string
	devices       []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) []throttle {
	return []throttle{
		{"throttleReadBpsDevice", "read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// ioV2 shares out and limits disk I/O on cgroup2.
//
//	linux.resources.blockIO       v2
//	weight, weightDevice          io.bfq.weight where the scheduler is there, else io.weight
//	throttleReadBpsDevice, ...    io.max "8:0 rbps=1048576"
func ioV2(r *specs.LinuxResources, _ now) (settings []setting, err error) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if err := checkWeights(b); err != nil {
		return nil, err
	}
	if n := value16(b.LeafWeight); n != 0 {
		return nil, refuse("blockIO.leafWeight", n, "cgroup v2 has none: processes are in leaves only")
	}
	if n := value16(b.Weight); n != 0 {
		settings = append(settings, weightV2("blockIO.weight", "", n))
	}
	for i, d := range b.WeightDevice {
		field := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if n := value16(d.LeafWeight); n != 0 {
			return nil, refuse(field+".leafWeight", n, "cgroup v2 has none")
		}
		if n := value16(d.Weight); n != 0 {
			settings = append(settings, weightV2(field+".weight", device(d.LinuxBlockIODevice), n))
		}
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			settings = append(settings, t.onV2(i, d))
		}
	}
	return settings, nil
}

// checkWeights refuses a device that is named for nothing.
func checkWeights(b *specs.LinuxBlockIO) error {
	for i, d := range b.WeightDevice {
		if d.Weight == nil && d.LeafWeight == nil {
			return refuse(fmt.Sprintf("blockIO.weightDevice[%d]", i), device(d.LinuxBlockIODevice), "want weight or leafWeight")
		}
	}
	return nil
}

// onV2 sets one rate for one device. 0 takes a limit away in v1, which max does in v2; a device without any
// limit has no line.
func (t throttle) onV2(i int, d specs.LinuxThrottleDevice) setting {
	dev, word := device(d.LinuxBlockIODevice), t.v2+"="+strconv.FormatUint(d.Rate, 10)
	same := hasLine(dev, word)
	if d.Rate == 0 {
		word = t.v2 + "=max"
		same = func(got string) bool { return !hasLine(dev)(got) || hasLine(dev, word)(got) }
	}
	return setting{
		field: fmt.Sprintf("blockIO.%s[%d]", t.field, i), file: "io.max", value: dev + " " + word, same: same,
		needs: "CONFIG_BLK_DEV_THROTTLING",
	}
}

// weightV2 weighs a device, or all that have no weight of their own. The bfq scheduler has the scale of v1.
func weightV2(field, device string, n uint16) setting {
	weigh := func(file string, weight uint64) setting {
		s := setting{field: field, file: file, value: strconv.FormatUint(weight, 10), needs: ioWeight}
		if s.same = hasLine("default", s.value); device != "" {
			s.same, s.value = hasLine(device, s.value), device+" "+s.value
		}
		return s
	}
	bfq, cost := weigh("io.bfq.weight", uint64(n)), weigh("io.weight", weightOfBlkio(n))
	bfq.or = &cost
	return bfq
}

// weightOfBlkio stretches the weights of v1, 10 to 1000, to those of io.weight, 1 to 10000.
func weightOfBlkio(n uint16) uint64 {
	return 1 + (max(uint64(n), 10)-10)*9999/990
}

// blkioV1 shares out and limits disk I/O on v1.
func blkioV1(r *specs.LinuxResources, _ now) (settings []setting, err error) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if err := checkWeights(b); err != nil {
		return nil, err
	}
	settings = append(settings, weightsV1("blockIO.", "", b.Weight, b.LeafWeight)...)
	for i, d := range b.WeightDevice {
		field := fmt.Sprintf("blockIO.weightDevice[%d].", i)
		settings = append(settings, weightsV1(field, device(d.LinuxBlockIODevice), d.Weight, d.LeafWeight)...)
	}
	for _, t := range throttles(b) {
		for i, d := range t.devices {
			settings = append(settings, t.onV1(i, d))
		}
	}
	return settings, nil
}

func (t throttle) onV1(i int, d specs.LinuxThrottleDevice) setting {
	dev, rate := device(d.LinuxBlockIODevice), strconv.FormatUint(d.Rate, 10)
	same := hasLine(dev, rate)
	if d.Rate == 0 {
		same = func(got string) bool { return !hasLine(dev)(got) }
	}
	return setting{
		field: fmt.Sprintf("blockIO.%s[%d]", t.field, i), file: "blkio.throttle." + t.v1, value: dev + " " + rate,
		same: same, needs: "CONFIG_BLK_DEV_THROTTLING",
	}
}

// weightsV1 weighs a device, or all that have no weight of their own. The file is named after the scheduler.
func weightsV1(field, device string, weight, leaf *uint16) (settings []setting) {
	weigh := func(field, file string, n uint16, needs string) setting {
		s := setting{field: field, file: "blkio." + file, value: strconv.FormatUint(uint64(n), 10), needs: needs}
		if s.same = weightIs(s.value); device != "" {
			s.file += "_device"
			s.same, s.value = hasLine(device, s.value), device+" "+s.value
		}
		return s
	}
	if n := value16(weight); n != 0 {
		bfq, cfq := weigh(field+"weight", "bfq.weight", n, ioWeight), weigh(field+"weight", "weight", n, ioWeight)
		bfq.or = &cfq
		settings = append(settings, bfq)
	}
	if n := value16(leaf); n != 0 {
		settings = append(settings, weigh(field+"leafWeight", "leaf_weight", n, leafWeight))
	}
	return settings
}

// weightIs accepts "500", or with weights of devices "default 500" and lines for each.
func weightIs(text string) func(got string) bool {
	return func(got string) bool { return got == text || hasLine("default", text)(got) }
}

func value16(n *uint16) uint16 {
	if n == nil {
		return 0
	}
	return *n
}

func device(d specs.LinuxBlockIODevice) string { return fmt.Sprintf("%d:%d", d.Major, d.Minor) }

// Blkio is what events --stats says of disks.
type Blkio struct {
	ServiceBytes []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	Serviced     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	Queued       []BlkioEntry `json:"ioQueueRecursive,omitempty"` // from here on bfq only
	ServiceTime  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	WaitTime     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	Merged       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	Time         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	Sectors      []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI          *PSI         `json:"psi,omitempty"`
}

// A BlkioEntry is a count for a device: of Read, Write, Sync, Async, Discard or Total.
type BlkioEntry struct {
	Major uint64 `json:"major,omitempty"`
	Minor uint64 `json:"minor,omitempty"`
	Op    string `json:"op,omitempty"`
	Value uint64 `json:"value,omitempty"`
}

// readV2 reads
//
//	8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
func (b *Blkio) readV2(f *Files) {
	for line := range strings.Lines(f.text("io.stat")) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		for _, field := range fields[1:] {
			name, word, _ := strings.Cut(field, "=")
			to := map[byte]*[]BlkioEntry{'b': &b.ServiceBytes, 'i': &b.Serviced}
			op := map[byte]string{'r': "Read", 'w': "Write", 'd': "Discard"}
			switch name { // others, as cost.usage, are for no field here
			case "rbytes", "wbytes", "dbytes", "rios", "wios", "dios":
				list := to[name[1]]
				*list = append(*list, f.entry("io.stat", fields[0], op[name[0]], word))
			}
		}
	}
}

// readV1 reads lines as "8:0 Read 4096" or "8:0 4096". Which files have them depends on the scheduler; those
// of blkio.throttle count for all.
func (b *Blkio) readV1(f *Files) {
	for _, row := range []struct {
		to    *[]BlkioEntry
		files []string
	}{
		{&b.ServiceBytes, []string{"bfq.io_service_bytes_recursive", "throttle.io_service_bytes_recursive"}},
		{&b.Serviced, []string{"bfq.io_serviced_recursive", "throttle.io_serviced_recursive"}},
		{&b.Queued, []string{"bfq.io_queued_recursive"}},
		{&b.ServiceTime, []string{"bfq.io_service_time_recursive"}},
		{&b.WaitTime, []string{"bfq.io_wait_time_recursive"}},
		{&b.Merged, []string{"bfq.io_merged_recursive"}},
		{&b.Time, []string{"bfq.time_recursive"}},
		{&b.Sectors, []string{"bfq.sectors_recursive"}},
	} {
		for _, name := range row.files {
			if *row.to = f.entries("blkio." + name); len(*row.to) > 0 {
				break
			}
		}
	}
}

func (f *Files) entries(name string) (list []BlkioEntry) {
	for line := range strings.Lines(f.text(name)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 3:
			list = append(list, f.entry(name, fields[0], fields[1], fields[2]))
		case len(fields) == 2 && fields[0] != "Total": // the sum over all devices
			list = append(list, f.entry(name, fields[0], "", fields[1]))
		}
	}
	return list
}

func (f *Files) entry(file, device, op, word string) BlkioEntry {
	major, minor, _ := strings.Cut(device, ":")
	return BlkioEntry{Major: f.parse(file, major), Minor: f.parse(file, minor), Op: op, Value: f.parse(file, word)}
}
