//go:build linux

package overlay

import (
	"fmt"
	"io"
	"testing"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// BenchmarkMount mounts stacks of few and of many layers, and unmounts them.
func BenchmarkMount(b *testing.B) {
	for _, ids := range []IDs{{}, {100000, 65536}} {
		for _, layers := range []int{1, 8, 128} {
			b.Run(fmt.Sprintf("layers=%d/mapped=%v", layers, ids != IDs{}), func(b *testing.B) {
				s, root := stack(b, layers)
				s.IDs = ids
				d := &kernel.Door{}
				for b.Loop() {
					if err := Mount(d, s, root); err != nil {
						b.Fatal(err)
					}
					if err := d.Unmount(root); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkLayer reads a layer of ten thousand files: for diff, for ps --size, for commit.
func BenchmarkLayer(b *testing.B) {
	s, _ := stack(b, 1)
	for i := range 10000 {
		name := fmt.Sprintf("/dir-%d/file-%d", i%100, i)
		write(b, s.Upper+name, "text of the file")
		if i%2 == 0 {
			write(b, s.Lowers[0]+name, "another text")
		}
	}
	for name, read := range map[string]func() error{
		"changes": func() error { _, err := Changes(s.Upper, s.Lowers); return err },
		"size":    func() error { _, err := Size(s.Upper); return err },
		"tar":     func() error { return Tar(io.Discard, s.Upper) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
