//go:build linux

package ocispec

import "testing"

// BenchmarkSpec is what a config.json costs: most of it is the seccomp profile.
func BenchmarkSpec(b *testing.B) {
	c := Container{ID: "3f0c8d6b1a2e4f5061728394a5b6c7d8", Root: "/c/rootfs"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Spec(Options{}, Config{Cmd: []string{"sh"}}, c, host()); err != nil {
			b.Fatal(err)
		}
	}
}
