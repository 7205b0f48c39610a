//go:build linux && !engine

package main

import (
	"context"
	"os"

	"github.com/simple-container/simple-container/final/internal/image"
)

// puller pulls what run and create have not, and says so beside what the command prints.
func (f *runFlags) puller() func(context.Context, *image.Store, string) (*image.Image, error) {
	return func(ctx context.Context, store *image.Store, reference string) (*image.Image, error) {
		return store.Pull(ctx, reference, image.PullOptions{Platform: f.platform, Progress: os.Stderr})
	}
}
