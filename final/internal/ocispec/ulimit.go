//go:build linux

package ocispec

import (
	"fmt"
	"strings"

	"github.com/docker/go-units"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// A Ulimit limits what one process may use (getrlimit(2)). -1 is no limit.
type Ulimit struct {
	Name       string // nofile, nproc and so on
	Soft, Hard int64
}

// ParseUlimit reads --ulimit: NAME=SOFT[:HARD].
func ParseUlimit(text string) (Ulimit, error) {
	u, err := units.ParseUlimit(text)
	if err != nil {
		return Ulimit{}, refuse("ulimit", text, "want NAME=SOFT[:HARD], as nofile=1024:4096: "+err.Error())
	}
	return Ulimit{u.Name, u.Soft, u.Hard}, nil
}

// rlimits are the process's. A limit given twice is the later one.
func (m *maker) rlimits() error {
	at := map[string]int{}
	for _, u := range m.o.Ulimits {
		limit := specs.POSIXRlimit{
			Type: "RLIMIT_" + strings.ToUpper(u.Name), Soft: uint64(u.Soft), Hard: uint64(u.Hard), // -1 is RLIM_INFINITY
		}
		if u.Soft < -1 || u.Hard < -1 {
			text := fmt.Sprintf("%s=%d:%d", u.Name, u.Soft, u.Hard)
			return refuse("ulimit", text, "want numbers from 0 on, or -1 for no limit")
		}
		if i, ok := at[u.Name]; ok {
			m.spec.Process.Rlimits[i] = limit
			continue
		}
		at[u.Name] = len(m.spec.Process.Rlimits)
		m.spec.Process.Rlimits = append(m.spec.Process.Rlimits, limit)
	}
	return nil
}
