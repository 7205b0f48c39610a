//go:build linux

package engine

import "github.com/simple-container/simple-container/final/internal/ocispec"

func volumeMount(name, target string) ocispec.Mount {
	return ocispec.Mount{Type: ocispec.Volume, Name: name, Target: target}
}
