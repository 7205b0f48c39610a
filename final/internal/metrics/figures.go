//go:build linux

package metrics

import (
	"time"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// Figures are what a container has used and may use, at one moment. Counts only grow, from the container's
// start; sizes are bytes; times are seconds unless they say otherwise. What has no limit, and what this
// kernel does not tell, is nil, which JSON leaves out.
type Figures struct {
	Time    time.Time `json:"time"`    // when they were read
	Started time.Time `json:"started"` // when the container was created
	Paused  bool      `json:"paused"`  // its processes are frozen

	CPU      CPU         `json:"cpu"`
	Memory   Memory      `json:"memory"`
	Pids     Pids        `json:"pids"`
	IO       []Device    `json:"io"`      // by device, sorted
	Network  []Interface `json:"network"` // but lo; none if the container has the host's network
	Pressure Pressure    `json:"pressure"`
}

// CPU is processor time.
type CPU struct {
	Usage  float64 `json:"usage"`  // seconds, over all processors
	User   float64 `json:"user"`   // of these, in the program
	System float64 `json:"system"` // and in the kernel for it

	Quota  *uint64 `json:"quota_us,omitempty"`  // microseconds allowed in each period
	Period uint64  `json:"period_us,omitempty"` // microseconds
	Weight uint64  `json:"weight,omitempty"`    // share against others, v2: 1 to 10000, 100 by default
	Shares uint64  `json:"shares,omitempty"`    // the same on v1: 2 to 262144, 1024 by default

	Periods          uint64  `json:"periods"`           // that have passed with something to do
	ThrottledPeriods uint64  `json:"throttled_periods"` // of these, those whose quota was used up
	Throttled        float64 `json:"throttled"`         // seconds that was waited for the next, over all processors
	Bursts           uint64  `json:"bursts"`            // periods that used quota saved up before
	Burst            float64 `json:"burst"`             // seconds of it
}

// Processors is how many the quota is worth.
func (c CPU) Processors() (n float64, limited bool) {
	if c.Quota == nil || c.Period == 0 {
		return 0, false
	}
	return float64(*c.Quota) / float64(c.Period), true
}

// Memory is in bytes.
type Memory struct {
	Usage      uint64 `json:"usage"`       // all that is charged to the container, the page cache too
	WorkingSet uint64 `json:"working_set"` // usage without inactive_file: what Kubernetes counts, and evicts by
	Anon       uint64 `json:"anon"`        // the programs' own; cAdvisor's rss
	File       uint64 `json:"file"`        // page cache, shared memory and tmpfs; cAdvisor's cache
	Kernel     uint64 `json:"kernel"`      // page tables, stacks, slabs
	Shmem      uint64 `json:"shmem"`       // of file, what has no file behind it
	Mapped     uint64 `json:"mapped"`      // of file, what is mapped
	ActiveFile uint64 `json:"active_file"`
	Inactive   uint64 `json:"inactive_file"` // what the kernel would take back first
	Swap       uint64 `json:"swap"`

	Limit     *uint64 `json:"limit,omitempty"`
	High      *uint64 `json:"high,omitempty"`       // above it processes are slowed down; v2
	Low       *uint64 `json:"low,omitempty"`        // below it nothing is taken back; v2
	SwapLimit *uint64 `json:"swap_limit,omitempty"` // of swap alone
	Peak      *uint64 `json:"peak,omitempty"`       // the most that usage has been; v2 since Linux 5.19

	Faults      uint64 `json:"faults"`       // pages that were not there when touched
	MajorFaults uint64 `json:"major_faults"` // of these, those that were read from a disk

	Events MemoryEvents `json:"events"`
}

// MemoryEvents count how often a limit made itself felt.
type MemoryEvents struct {
	Low     uint64 `json:"low"`      // taken back though below low; v2
	High    uint64 `json:"high"`     // above high, slowed down; v2
	Max     uint64 `json:"max"`      // at the limit, so that something had to be taken back
	OOM     uint64 `json:"oom"`      // and nothing could be; v2
	OOMKill uint64 `json:"oom_kill"` // processes killed for it
}

// Pids is processes and threads.
type Pids struct {
	Tasks     uint64  `json:"tasks"` // threads, the first of each process too: what the limit is on
	Limit     *uint64 `json:"limit,omitempty"`
	Peak      *uint64 `json:"peak,omitempty"` // since Linux 6.6
	Refused   uint64  `json:"refused"`        // forks that the limit has forbidden
	Processes uint64  `json:"processes"`
	OpenFiles uint64  `json:"open_files"` // descriptors of all processes; those they share count for each
}

// A Device is a disk, and what went between it and the container.
type Device struct {
	Number     string `json:"number"` // "8:0"
	Name       string `json:"name"`   // "/dev/sda", or the number where it has no name
	ReadBytes  uint64 `json:"read_bytes"`
	WriteBytes uint64 `json:"write_bytes"`
	Reads      uint64 `json:"reads"` // operations
	Writes     uint64 `json:"writes"`
}

// An Interface is a network link as the container sees it.
type Interface struct {
	Name     string  `json:"name"`
	Received Traffic `json:"received"`
	Sent     Traffic `json:"sent"`
}

// Traffic is one direction of a link's.
type Traffic struct {
	Bytes   uint64 `json:"bytes"`
	Packets uint64 `json:"packets"`
	Errors  uint64 `json:"errors"`
	Dropped uint64 `json:"dropped"`
}

// Pressure is how long processes had to wait for each, nil where the kernel does not measure it (PSI). A
// cgroup2 tree has it also without controllers.
type Pressure struct {
	CPU    *cgroup.PSI `json:"cpu,omitempty"`
	Memory *cgroup.PSI `json:"memory,omitempty"`
	IO     *cgroup.PSI `json:"io,omitempty"`
}
