//go:build linux

package metrics

import (
	"time"

	"github.com/simple-container/simple-container/final/internal/cgroup"
)

// A family is a metric: a name that ends in its unit, a sentence, and how its points come out of figures.
type family struct {
	name  string
	kind  kind
	help  string
	write func(p *page, labels []byte, s *Sample)
}

// families have the names, units and labels of cAdvisor, so that its dashboards and alerts show them: a limit
// that is not set is 0 there. What cAdvisor has no name for begins with simple_container_.
var families = []family{
	{"container_last_seen", gauge, "When the container was seen, in seconds since 1970.",
		one(func(s *Sample) float64 { return seconds(s.Figures.Time) })},
	{"container_start_time_seconds", gauge, "When the container was created, in seconds since 1970.",
		func(p *page, labels []byte, s *Sample) {
			if !s.Figures.Started.IsZero() {
				p.point(labels, seconds(s.Figures.Started))
			}
		}},

	{"container_cpu_usage_seconds_total", counter, "Processor time used.",
		func(p *page, labels []byte, s *Sample) { p.point(labels, s.Figures.CPU.Usage, "cpu", "total") }},
	{"container_cpu_user_seconds_total", counter, "Processor time used in user mode.",
		one(func(s *Sample) float64 { return s.Figures.CPU.User })},
	{"container_cpu_system_seconds_total", counter, "Processor time used in the kernel.",
		one(func(s *Sample) float64 { return s.Figures.CPU.System })},
	{"container_cpu_cfs_periods_total", counter, "Periods of the quota that have passed.",
		one(func(s *Sample) float64 { return float64(s.Figures.CPU.Periods) })},
	{"container_cpu_cfs_throttled_periods_total", counter, "Periods in which the quota ran out.",
		one(func(s *Sample) float64 { return float64(s.Figures.CPU.ThrottledPeriods) })},
	{"container_cpu_cfs_throttled_seconds_total", counter, "Time that was waited for the next period's quota.",
		one(func(s *Sample) float64 { return s.Figures.CPU.Throttled })},
	{"container_cpu_cfs_burst_periods_total", counter, "Periods in which quota was used that had been saved up.",
		one(func(s *Sample) float64 { return float64(s.Figures.CPU.Bursts) })},
	{"container_cpu_cfs_burst_seconds_total", counter, "Processor time used beyond the quota, saved up before.",
		one(func(s *Sample) float64 { return s.Figures.CPU.Burst })},
	{"container_spec_cpu_quota", gauge, "Processor time allowed in a period, in microseconds.",
		known(func(s *Sample) *uint64 { return s.Figures.CPU.Quota })},
	{"container_spec_cpu_period", gauge, "Length of a period, in microseconds.",
		positive(func(s *Sample) uint64 { return s.Figures.CPU.Period })},
	{"container_spec_cpu_shares", gauge, "Share of processor time against others, on cgroup v1.",
		positive(func(s *Sample) uint64 { return s.Figures.CPU.Shares })},
	{"simple_container_cpu_weight", gauge, "Share of processor time against others, on cgroup v2.",
		positive(func(s *Sample) uint64 { return s.Figures.CPU.Weight })},

	{"container_memory_usage_bytes", gauge, "Memory in use, page cache included.",
		memory(func(m *Memory) uint64 { return m.Usage })},
	{"container_memory_working_set_bytes", gauge, "Memory in use without the page cache that is taken back first.",
		memory(func(m *Memory) uint64 { return m.WorkingSet })},
	{"container_memory_rss", gauge, "Anonymous memory, in bytes.",
		memory(func(m *Memory) uint64 { return m.Anon })},
	{"container_memory_cache", gauge, "Page cache, shared memory and tmpfs, in bytes.",
		memory(func(m *Memory) uint64 { return m.File })},
	{"container_memory_mapped_file", gauge, "Page cache that is mapped, in bytes.",
		memory(func(m *Memory) uint64 { return m.Mapped })},
	{"container_memory_kernel_usage", gauge, "Memory of the kernel for the container, in bytes.",
		memory(func(m *Memory) uint64 { return m.Kernel })},
	{"container_memory_swap", gauge, "Swap in use, in bytes.",
		memory(func(m *Memory) uint64 { return m.Swap })},
	{"container_memory_total_active_file_bytes", gauge, "Page cache that is in use.",
		memory(func(m *Memory) uint64 { return m.ActiveFile })},
	{"container_memory_total_inactive_file_bytes", gauge, "Page cache that is taken back first.",
		memory(func(m *Memory) uint64 { return m.Inactive })},
	{"container_memory_max_usage_bytes", gauge, "The most memory that has been in use.",
		known(func(s *Sample) *uint64 { return s.Figures.Memory.Peak })},
	{"container_memory_failcnt", untyped, "Times that memory was at its limit.",
		memory(func(m *Memory) uint64 { return m.Events.Max })},
	{"container_memory_failures_total", counter, "Page faults.",
		func(p *page, labels []byte, s *Sample) {
			p.point(labels, float64(s.Figures.Memory.Faults), "failure_type", "pgfault", "scope", "hierarchy")
			p.point(labels, float64(s.Figures.Memory.MajorFaults), "failure_type", "pgmajfault", "scope", "hierarchy")
		}},
	{"container_oom_events_total", counter, "Processes killed because memory was at its limit.",
		memory(func(m *Memory) uint64 { return m.Events.OOMKill })},
	{"simple_container_memory_events_total", counter, "Times that a limit of memory made itself felt, by kind.",
		func(p *page, labels []byte, s *Sample) {
			e := &s.Figures.Memory.Events
			p.point(labels, float64(e.Low), "event", "low")
			p.point(labels, float64(e.High), "event", "high")
			p.point(labels, float64(e.Max), "event", "max")
			p.point(labels, float64(e.OOM), "event", "oom")
			p.point(labels, float64(e.OOMKill), "event", "oom_kill")
		}},
	{"container_spec_memory_limit_bytes", gauge, "Memory allowed, 0 without a limit.",
		orZero(func(s *Sample) *uint64 { return s.Figures.Memory.Limit })},
	{"container_spec_memory_swap_limit_bytes", gauge, "Swap allowed, 0 without a limit.",
		orZero(func(s *Sample) *uint64 { return s.Figures.Memory.SwapLimit })},
	{"container_spec_memory_reservation_limit_bytes", gauge, "Memory that is not taken back, 0 if none.",
		orZero(func(s *Sample) *uint64 { return s.Figures.Memory.Low })},
	{"simple_container_memory_high_bytes", gauge, "Memory above which processes are slowed down.",
		known(func(s *Sample) *uint64 { return s.Figures.Memory.High })},

	{"container_processes", gauge, "Processes.",
		one(func(s *Sample) float64 { return float64(s.Figures.Pids.Processes) })},
	{"container_threads", gauge, "Threads of all processes, the first of each too.",
		one(func(s *Sample) float64 { return float64(s.Figures.Pids.Tasks) })},
	{"container_threads_max", gauge, "Threads allowed, 0 without a limit.",
		orZero(func(s *Sample) *uint64 { return s.Figures.Pids.Limit })},
	{"container_file_descriptors", gauge, "Open files of all processes.",
		one(func(s *Sample) float64 { return float64(s.Figures.Pids.OpenFiles) })},
	{"simple_container_forks_refused_total", counter, "Forks that the limit of threads has forbidden.",
		one(func(s *Sample) float64 { return float64(s.Figures.Pids.Refused) })},
	{"simple_container_paused", gauge, "1 if the container's processes are frozen.",
		one(func(s *Sample) float64 {
			if s.Figures.Paused {
				return 1
			}
			return 0
		})},

	{"container_fs_reads_bytes_total", counter, "Bytes read from a device.",
		devices(func(d *Device) uint64 { return d.ReadBytes })},
	{"container_fs_writes_bytes_total", counter, "Bytes written to a device.",
		devices(func(d *Device) uint64 { return d.WriteBytes })},
	{"container_fs_reads_total", counter, "Read operations on a device.",
		devices(func(d *Device) uint64 { return d.Reads })},
	{"container_fs_writes_total", counter, "Write operations on a device.",
		devices(func(d *Device) uint64 { return d.Writes })},

	{"container_network_receive_bytes_total", counter, "Bytes received.",
		links(func(i *Interface) uint64 { return i.Received.Bytes })},
	{"container_network_receive_packets_total", counter, "Packets received.",
		links(func(i *Interface) uint64 { return i.Received.Packets })},
	{"container_network_receive_errors_total", counter, "Errors in receiving.",
		links(func(i *Interface) uint64 { return i.Received.Errors })},
	{"container_network_receive_packets_dropped_total", counter, "Packets dropped in receiving.",
		links(func(i *Interface) uint64 { return i.Received.Dropped })},
	{"container_network_transmit_bytes_total", counter, "Bytes sent.",
		links(func(i *Interface) uint64 { return i.Sent.Bytes })},
	{"container_network_transmit_packets_total", counter, "Packets sent.",
		links(func(i *Interface) uint64 { return i.Sent.Packets })},
	{"container_network_transmit_errors_total", counter, "Errors in sending.",
		links(func(i *Interface) uint64 { return i.Sent.Errors })},
	{"container_network_transmit_packets_dropped_total", counter, "Packets dropped in sending.",
		links(func(i *Interface) uint64 { return i.Sent.Dropped })},

	{"container_pressure_cpu_waiting_seconds_total", counter, "Time in which some task waited for a processor.",
		some(func(p *Pressure) *cgroup.PSI { return p.CPU })},
	{"container_pressure_cpu_stalled_seconds_total", counter, "Time in which all tasks waited for a processor.",
		full(func(p *Pressure) *cgroup.PSI { return p.CPU })},
	{"container_pressure_memory_waiting_seconds_total", counter, "Time in which some task waited for memory.",
		some(func(p *Pressure) *cgroup.PSI { return p.Memory })},
	{"container_pressure_memory_stalled_seconds_total", counter, "Time in which all tasks waited for memory.",
		full(func(p *Pressure) *cgroup.PSI { return p.Memory })},
	{"container_pressure_io_waiting_seconds_total", counter, "Time in which some task waited for a disk.",
		some(func(p *Pressure) *cgroup.PSI { return p.IO })},
	{"container_pressure_io_stalled_seconds_total", counter, "Time in which all tasks waited for a disk.",
		full(func(p *Pressure) *cgroup.PSI { return p.IO })},
}

// The shapes that most families have.

type points = func(p *page, labels []byte, s *Sample)

func one(value func(*Sample) float64) points {
	return func(p *page, labels []byte, s *Sample) { p.point(labels, value(s)) }
}

func memory(value func(*Memory) uint64) points {
	return func(p *page, labels []byte, s *Sample) { p.point(labels, float64(value(&s.Figures.Memory))) }
}

// known leaves out what is not.
func known(value func(*Sample) *uint64) points {
	return func(p *page, labels []byte, s *Sample) {
		if n := value(s); n != nil {
			p.point(labels, float64(*n))
		}
	}
}

func orZero(value func(*Sample) *uint64) points {
	return func(p *page, labels []byte, s *Sample) {
		n := value(s)
		if n == nil {
			n = new(uint64)
		}
		p.point(labels, float64(*n))
	}
}

func positive(value func(*Sample) uint64) points {
	return func(p *page, labels []byte, s *Sample) {
		if n := value(s); n > 0 {
			p.point(labels, float64(n))
		}
	}
}

func devices(value func(*Device) uint64) points {
	return func(p *page, labels []byte, s *Sample) {
		for i := range s.Figures.IO {
			p.point(labels, float64(value(&s.Figures.IO[i])), "device", s.Figures.IO[i].Name)
		}
	}
}

func links(value func(*Interface) uint64) points {
	return func(p *page, labels []byte, s *Sample) {
		for i := range s.Figures.Network {
			p.point(labels, float64(value(&s.Figures.Network[i])), "interface", s.Figures.Network[i].Name)
		}
	}
}

func some(of func(*Pressure) *cgroup.PSI) points {
	return func(p *page, labels []byte, s *Sample) {
		if psi := of(&s.Figures.Pressure); psi != nil {
			p.point(labels, float64(psi.Some.Total)/micro)
		}
	}
}

func full(of func(*Pressure) *cgroup.PSI) points {
	return func(p *page, labels []byte, s *Sample) {
		if psi := of(&s.Figures.Pressure); psi != nil {
			p.point(labels, float64(psi.Full.Total)/micro)
		}
	}
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / micro }
