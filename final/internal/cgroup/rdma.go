//go:build linux

package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// rdmaAny limits the handles and objects of an InfiniBand device: rdma.max "mlx4_0 hca_handle=2 hca_object=2000".
func rdmaAny(r *specs.LinuxResources, _ now) (settings []setting, err error) {
	for _, name := range slices.Sorted(maps.Keys(r.Rdma)) {
		field := fmt.Sprintf("rdma[%q]", name)
		if name == "" || strings.ContainsAny(name, " \t\n") {
			return nil, refuse(field, "", "want the name of a device")
		}
		var words []string
		if n := r.Rdma[name].HcaHandles; n != nil {
			words = append(words, fmt.Sprintf("hca_handle=%d", *n))
		}
		if n := r.Rdma[name].HcaObjects; n != nil {
			words = append(words, fmt.Sprintf("hca_object=%d", *n))
		}
		if len(words) == 0 {
			return nil, refuse(field, "{}", "want hcaHandles or hcaObjects")
		}
		settings = append(settings, setting{
			field: field, file: "rdma.max", value: name + " " + strings.Join(words, " "),
			same: hasLine(name, words...),
		})
	}
	return settings, nil
}
