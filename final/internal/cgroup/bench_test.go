//go:build linux

package cgroup

import (
	"fmt"
	"os"
	"testing"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// BenchmarkCreate makes and removes a group with what an engine asks for, from the mount table on.
func BenchmarkCreate(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("cgroups need root")
	}
	for b.Loop() {
		door := &kernel.Door{}
		mounts, err := door.Mounts()
		if err != nil {
			b.Fatal(err)
		}
		layout, err := Find(mounts)
		if err != nil {
			b.Fatal(err)
		}
		g, err := New(layout, fmt.Sprintf("/simple-container-test-bench-%d", os.Getpid()), "", false, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := g.Create(door, typical()); err != nil {
			b.Fatal(err)
		}
		if err := g.Remove(door); err != nil {
			b.Fatal(err)
		}
	}
}
