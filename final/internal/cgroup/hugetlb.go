//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const hugetlbRsvd = "Linux 5.7"

func hugetlbV1(r *specs.LinuxResources, _ now) ([]setting, error) {
	return hugetlb(r, ".limit_in_bytes", ".rsvd.limit_in_bytes")
}

func hugetlbV2(r *specs.LinuxResources, _ now) ([]setting, error) {
	return hugetlb(r, ".max", ".rsvd.max")
}

// hugetlb limits huge pages, by their size: what may be in use, and where the kernel can (since 5.7) what may
// be reserved. A program that meets the second limit is refused by mmap; at the first it gets a SIGBUS.
func hugetlb(r *specs.LinuxResources, used, reserved string) (settings []setting, err error) {
	for i, h := range r.HugepageLimits {
		field := fmt.Sprintf("hugepageLimits[%d]", i)
		size, err := units.RAMInBytes(h.Pagesize) // 2MB is 2 MiB here
		plain := strings.Trim(h.Pagesize, "0123456789KMGB") == "" && strings.HasSuffix(h.Pagesize, "B")
		if err != nil || size <= 0 || !plain {
			return nil, refuse(field+".pageSize", fmt.Sprintf("%q", h.Pagesize), "want a size such as 64KB, 2MB or 1GB")
		}
		s := setting{
			field: field + ".limit", value: strconv.FormatUint(h.Limit, 10), same: whole(h.Limit, uint64(size)),
			needs: "huge pages of this size",
		}
		s.file = "hugetlb." + h.Pagesize + used
		settings = append(settings, s)
		s.file = "hugetlb." + h.Pagesize + reserved
		s.spare = func() string { return "limits of reservation came with " + hugetlbRsvd + "; that of use is set" }
		settings = append(settings, s)
	}
	return settings, nil
}

// whole accepts a limit that the kernel rounded down to whole pages, or to its largest number.
func whole(want, page uint64) func(got string) bool {
	return func(got string) bool {
		if got == "max" {
			return want >= 1<<63-page
		}
		n, err := strconv.ParseUint(got, 10, 64)
		return err == nil && (n == want/page*page || want > n && n >= 1<<63-1-page)
	}
}

// Hugetlb is what events --stats says of huge pages of one size, in bytes.
type Hugetlb struct {
	Usage   uint64 `json:"usage,omitempty"`
	Max     uint64 `json:"max,omitempty"` // the most there has been; v1 only
	Failcnt uint64 `json:"failcnt"`
}

// readHugetlb finds the sizes by the files: hugetlb.2MB.current, hugetlb.2MB.usage_in_bytes.
func (s *Stats) readHugetlb(f *Files) {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return // the group is gone
	}
	for _, entry := range entries {
		rest, ok := strings.CutPrefix(entry.Name(), "hugetlb.")
		size, kind, _ := strings.Cut(rest, ".")
		if !ok || kind != "current" && kind != "usage_in_bytes" {
			continue
		}
		base := "hugetlb." + size
		if kind == "current" {
			s.Hugetlb[size] = Hugetlb{Usage: f.number(base + ".current"), Failcnt: f.table(base + ".events")["max"]}
			continue
		}
		s.Hugetlb[size] = Hugetlb{
			Usage: f.number(base + ".usage_in_bytes"), Max: f.number(base + ".max_usage_in_bytes"),
			Failcnt: f.number(base + ".failcnt"),
		}
	}
}
