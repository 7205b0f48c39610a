//go:build linux

package metrics

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// disks remembers the names of devices by their numbers.
type disks map[string]string

// name finds one by the link that the kernel has for it: /sys/dev/block/8:0 -> ../../devices/.../block/sda.
func (d disks) name(number string) string {
	name, ok := d[number]
	if !ok {
		name = number
		if link, err := os.Readlink("/sys/dev/block/" + number); err == nil {
			name = "/dev/" + filepath.Base(link)
		}
		d[number] = name
	}
	return name
}

func (d disks) read(g *cgroup.Group, keep *cgroup.Keeper) (devices []Device) {
	if f := g.Files("blkio", keep); f != nil && f.Version == 1 {
		devices = d.readV1(f)
	} else if f := g.Files("io", keep); f != nil {
		devices = d.readV2(f)
	}
	slices.SortFunc(devices, func(a, b Device) int { return strings.Compare(a.Name, b.Name) })
	return devices
}

// readV2 reads io.stat. A device that was taken away has its number and nothing else.
//
//	8:0 rbytes=1459200 wbytes=314773504 rios=192 wios=353 dbytes=0 dios=0
func (d disks) readV2(f *cgroup.Files) (devices []Device) {
	text, _ := f.Read("io.stat")
	for line := range bytes.Lines(text) {
		number, rest, ok := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if !ok {
			continue
		}
		device := Device{Number: string(number), Name: d.name(string(number))}
		for word := range bytes.FieldsSeq(rest) {
			key, value, _ := bytes.Cut(word, []byte("="))
			n, _ := strconv.ParseUint(string(value), 10, 64)
			switch string(key) { // others, as cost.usage, are not for us
			case "rbytes":
				device.ReadBytes = n
			case "wbytes":
				device.WriteBytes = n
			case "rios":
				device.Reads = n
			case "wios":
				device.Writes = n
			}
		}
		devices = append(devices, device)
	}
	return devices
}

// readV1 reads what blkio counts whatever the scheduler is; since Linux 6.10 that is only where there is a limit.
// Else it is bfq that may have counted.
func (d disks) readV1(f *cgroup.Files) (devices []Device) {
	at := func(number []byte) *Device {
		for i := range devices {
			if devices[i].Number == string(number) {
				return &devices[i]
			}
		}
		devices = append(devices, Device{Number: string(number), Name: d.name(string(number))})
		return &devices[len(devices)-1]
	}
	for _, kind := range []string{"blkio.throttle.", "blkio.bfq."} {
		eachBlkio(f, kind+"io_service_bytes_recursive", func(number []byte, write bool, n uint64) {
			if device := at(number); write {
				device.WriteBytes = n
			} else {
				device.ReadBytes = n
			}
		})
		eachBlkio(f, kind+"io_serviced_recursive", func(number []byte, write bool, n uint64) {
			if device := at(number); write {
				device.Writes = n
			} else {
				device.Reads = n
			}
		})
		if len(devices) > 0 {
			break
		}
	}
	return devices
}

// eachBlkio reads lines as "8:0 Read 4096", and passes over those of Sync, Async, Discard and Total.
func eachBlkio(f *cgroup.Files, name string, each func(number []byte, write bool, n uint64)) {
	text, _ := f.Read(name)
	for line := range bytes.Lines(text) {
		number, rest, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		op, value, _ := bytes.Cut(rest, []byte(" "))
		if write := string(op) == "Write"; write || string(op) == "Read" {
			n, _ := strconv.ParseUint(string(value), 10, 64)
			each(number, write, n)
		}
	}
}
