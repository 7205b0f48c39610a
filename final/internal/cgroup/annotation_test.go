//go:build linux

package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnnotate: the annotations that Podman and CRI-O send, and what is none.
func TestAnnotate(t *testing.T) {
	g := &Group{unit: &unit{}}
	err := g.Annotate(map[string]string{
		"org.systemd.property.TimeoutStopUSec": "uint64 10000000", "org.systemd.property.KillSignal": "37",
		"org.systemd.property.CollectMode": "'inactive-or-failed'", "org.systemd.property.DefaultDependencies": "true",
		"org.systemd.property.After":    `['crio.service', "a b.mount"]`,
		"org.systemd.property.Requires": "[]", "org.systemd.property.Nice": "int32 -5", "io.kubernetes.x": "uint64",
		"org.systemd.property.Small": "uint32 7", "org.systemd.property.Large": "int64 -7",
	})
	want := []property{
		prop("After", []string{"crio.service", "a b.mount"}), prop("CollectMode", "inactive-or-failed"),
		prop("DefaultDependencies", true), prop("KillSignal", int32(37)), prop("Large", int64(-7)), prop("Nice", int32(-5)),
		prop("Requires", []string(nil)), prop("Small", uint32(7)), prop("TimeoutStopUSec", uint64(10000000)),
	}
	if diff := cmp.Diff(want, g.unit.properties); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for key, value := range map[string]string{
		"": "7", "Kill.Signal": "7", "A": "", "B": "seven", "C": "uint64", "D": "uint64 -1", "E": "'a", "F": "'a'b", "G": "['a'",
		"H": "['a' 'b']", "I": "[7]", "J": `'a\'`, "K": "byte 7", "L": "4294967296", "M": "['a'],",
	} {
		err := g.Annotate(map[string]string{PropertyPrefix + key: value})
		if err == nil || !strings.HasPrefix(err.Error(), `annotations["`+PropertyPrefix+key+`"]: `) {
			t.Errorf("%s=%s: %v, want an error", key, value, err)
		}
	}
	if err := (&Group{}).Annotate(map[string]string{PropertyPrefix + "A": "?"}); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}
