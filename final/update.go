//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/decode"
)

var updateVerb = verb{"update ID", "Change the limits of a container", 1, 1,
	func(flags *flagSet) func(*session, []string) error {
		file := flags.StringP("resources", "r", "", "file with linux.resources, as in config.json; - is the standard input; other flags do not count then")
		set := map[string]func(*specs.LinuxResources, string) error{}
		for _, f := range limitFlags {
			flags.String(f.name, "", f.help)
			set[f.name] = f.set
		}
		flags.String("l3-cache-schema", "", "not supported")
		flags.String("mem-bw-schema", "", "not supported")
		return func(s *session, args []string) error {
			resources := &specs.LinuxResources{}
			var err error
			if *file != "" {
				err = readResources(*file, resources)
			} else {
				err = setResources(flags, resources, set)
			}
			if err != nil {
				return err
			}
			c, err := s.runtime().Load(args[0])
			if err != nil {
				return err
			}
			return c.Update(resources)
		}
	}}

func readResources(file string, resources *specs.LinuxResources) error {
	in := os.Stdin
	if file != "-" {
		var err error
		if in, err = os.Open(file); err != nil {
			return fmt.Errorf("--resources: %w", err)
		}
		defer in.Close()
	}
	text, err := io.ReadAll(in)
	if err == nil {
		err = decode.Decode(text, resources)
	}
	if err != nil {
		return fmt.Errorf("--resources %s: %w", file, err)
	}
	return nil
}

func setResources(flags *flagSet, resources *specs.LinuxResources, set map[string]func(*specs.LinuxResources, string) error) (err error) {
	flags.Visit(func(f *flag) {
		if err != nil || f.Name == "help" {
			return
		}
		change, ok := set[f.Name]
		if !ok {
			err = fmt.Errorf("--%s: not supported (Intel RDT)", f.Name)
			return
		}
		if e := change(resources, f.Value); e != nil {
			err = fmt.Errorf("--%s %q: %w", f.Name, f.Value, e)
		}
	})
	return err
}

// limitFlags are the flags of update, and the fields they set.
var limitFlags = []struct {
	name, help string
	set        func(*specs.LinuxResources, string) error
}{
	{"blkio-weight", "weight of block input and output, 10 to 1000", func(r *specs.LinuxResources, text string) error {
		n, err := strconv.ParseUint(text, 10, 16)
		weight := uint16(n)
		blockIO(r).Weight = &weight
		if err == nil && (n < 10 || n > 1000) {
			return errors.New("want 10 to 1000")
		}
		return reason(err, "want 10 to 1000")
	}},
	{"cpu-period", "microseconds in which cpu-quota may be used", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).Period, text, unsigned)
	}},
	{"cpu-quota", "microseconds of CPU time in a period; -1 for no limit", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).Quota, text, signed)
	}},
	{"cpu-burst", "microseconds that may be saved up", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).Burst, text, unsigned)
	}},
	{"cpu-share", "share of the CPU where it is contended, 2 to 262144", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).Shares, text, unsigned)
	}},
	{"cpu-rt-period", "microseconds in which cpu-rt-runtime may be used", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).RealtimePeriod, text, unsigned)
	}},
	{"cpu-rt-runtime", "microseconds of real-time scheduling", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).RealtimeRuntime, text, signed)
	}},
	{"cpu-idle", "1 runs it only when nothing else wants to run", func(r *specs.LinuxResources, text string) error {
		return parse(&cpu(r).Idle, text, signed)
	}},
	{"cpuset-cpus", "CPUs that may be used, as 0-1,4", func(r *specs.LinuxResources, text string) error {
		cpu(r).Cpus = text
		return nil
	}},
	{"cpuset-mems", "memory nodes that may be used", func(r *specs.LinuxResources, text string) error {
		cpu(r).Mems = text
		return nil
	}},
	{"memory", "bytes of memory, as 64m; -1 for no limit", func(r *specs.LinuxResources, text string) error {
		return parse(&memory(r).Limit, text, size)
	}},
	{"memory-reservation", "bytes of memory below which nothing is reclaimed", func(r *specs.LinuxResources, text string) error {
		return parse(&memory(r).Reservation, text, size)
	}},
	{"memory-swap", "bytes of memory and swap together; -1 for no limit", func(r *specs.LinuxResources, text string) error {
		return parse(&memory(r).Swap, text, size)
	}},
	{"kernel-memory", "kernel memory has no limit of its own any more", func(r *specs.LinuxResources, text string) error {
		return parse(&memory(r).Kernel, text, size)
	}},
	{"kernel-memory-tcp", "bytes of buffers of TCP connections, which only cgroup v1 limits", func(r *specs.LinuxResources, text string) error {
		return parse(&memory(r).KernelTCP, text, size)
	}},
	{"pids-limit", "number of processes and threads; -1 for no limit", func(r *specs.LinuxResources, text string) error {
		if r.Pids == nil {
			r.Pids = &specs.LinuxPids{}
		}
		return parse(&r.Pids.Limit, text, signed)
	}},
}

func cpu(r *specs.LinuxResources) *specs.LinuxCPU         { return made(&r.CPU) }
func memory(r *specs.LinuxResources) *specs.LinuxMemory   { return made(&r.Memory) }
func blockIO(r *specs.LinuxResources) *specs.LinuxBlockIO { return made(&r.BlockIO) }

// made is where a pointer points, which is made if it points nowhere.
func made[T any](p **T) *T {
	if *p == nil {
		*p = new(T)
	}
	return *p
}

// parse sets a field that is not set otherwise.
func parse[T any](field **T, text string, read func(string) (T, error)) error {
	value, err := read(text)
	*field = &value
	return err
}

func unsigned(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 64)
	return n, reason(err, "want a number")
}

func signed(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	return n, reason(err, "want a number")
}

// reason is an error of strconv in the words of this command line.
func reason(err error, want string) error {
	if errors.Is(err, strconv.ErrRange) {
		return errors.New("too large")
	}
	if err != nil {
		return errors.New(want)
	}
	return nil
}

// size reads a size as Docker does: 64m is 64 MiB.
func size(text string) (int64, error) {
	if text == "-1" {
		return -1, nil
	}
	n, err := units.RAMInBytes(text)
	if err == nil && n < 0 {
		return 0, errors.New("too large")
	}
	return n, err
}
