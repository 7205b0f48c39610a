//go:build linux && !engine

package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// resourceFlags are the limits of a container, for run, create and update.
type resourceFlags struct {
	r                         ocispec.Resources
	memory, swap, reservation string
	swappiness                int64
	cpus, pids                string
}

func (f *resourceFlags) add(flags *pflag.FlagSet) {
	flags.StringVarP(&f.memory, "memory", "m", "", "limit of memory, as 64m")
	flags.StringVar(&f.swap, "memory-swap", "",
		"limit of memory and swap together; -1 for none (default twice --memory)")
	flags.StringVar(&f.reservation, "memory-reservation", "", "memory it keeps when the host's is short")
	flags.Int64Var(&f.swappiness, "memory-swappiness", -1,
		"how readily it is swapped: 0 to 100, or -1 for as readily as the host (cgroup v1)")
	flags.BoolVar(&f.r.NoOOMKill, "oom-kill-disable", false, "have it wait when its memory is used up (cgroup v1)")
	flags.StringVar(&f.cpus, "cpus", "", "limit of processors, as 1.5")
	flags.Uint64VarP(&f.r.CPUShares, "cpu-shares", "c", 0, "weight against others where processors are short (default 1024)")
	flags.Uint64Var(&f.r.CPUPeriod, "cpu-period", 0, "of --cpu-quota, in microseconds (default 100000)")
	flags.Int64Var(&f.r.CPUQuota, "cpu-quota", 0, "processor time it may use in each period, in microseconds")
	flags.StringVar(&f.r.CpusetCPUs, "cpuset-cpus", "", "processors it may use, as 0-2,5")
	flags.StringVar(&f.r.CpusetMems, "cpuset-mems", "", "memory nodes it may use")
	flags.StringVar(&f.pids, "pids-limit", "", "limit of processes and threads; -1 for none")
	flags.Uint16Var(&f.r.BlkioWeight, "blkio-weight", 0, "weight against others at disks: 10 to 1000")
}

// resources are what the flags say.
func (f *resourceFlags) resources() (r ocispec.Resources, err error) {
	r = f.r
	for _, amount := range []struct {
		flag, text string
		to         *int64
	}{{"memory", f.memory, &r.Memory}, {"memory-reservation", f.reservation, &r.Reservation}} {
		if amount.text == "" {
			continue
		}
		if *amount.to, err = ocispec.ParseMemory(amount.flag, amount.text); err != nil {
			return r, err
		}
	}
	if f.swap != "" {
		if r.MemorySwap, err = ocispec.ParseMemorySwap(f.swap); err != nil {
			return r, err
		}
	}
	if f.swappiness != -1 {
		value := uint64(f.swappiness)
		r.Swappiness = &value
	}
	if f.cpus != "" {
		if r.NanoCPUs, err = ocispec.ParseCPUs(f.cpus); err != nil {
			return r, err
		}
	}
	if f.pids != "" {
		if r.Pids, err = strconv.ParseInt(f.pids, 10, 64); err != nil {
			return r, fmt.Errorf("--pids-limit %q: want a number of processes, or -1 for no limit", f.pids)
		}
	}
	_, err = r.Spec(0) // what does not go together is an error now
	return r, err
}
