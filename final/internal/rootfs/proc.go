//go:build linux

package rootfs

import (
	"errors"
	"slices"
	"strings"
)

// fakeable are the files of /proc that programs only read numbers from. lxcfs and others mount files with the
// container's share of the machine on them.
var fakeable = []string{
	"cpuinfo", "diskstats", "loadavg", "meminfo", "net/dev", "slabinfo", "stat", "swaps", "uptime",
	"sys/crypto/fips_enabled", "sys/kernel/ns_last_pid",
}

// checkProc refuses mounts that would fake what programs rely on: labels of processes are written to files of
// /proc, and whoever writes them would write to the image's files instead (CVE-2019-16884).
func (b *builder) checkProc(i int, o options) error {
	m, site := b.spec.Mounts[i], b.sites[i]
	for _, target := range []string{site.Target, below(m.Destination)} {
		name, inside := strings.CutPrefix(target, "proc/")
		switch {
		case target == "proc":
			if m.Type != "proc" && !o.remount && !(o.bind != 0 && (site.Proc || b.source(i) == "/proc")) {
				return errors.New("only a proc file system, or a bind of one, may be mounted on /proc")
			}
		case inside && !o.remount && !slices.Contains(fakeable, name):
			return errors.New("inside /proc nothing may be mounted but the files that lxcfs offers")
		}
	}
	return nil
}
