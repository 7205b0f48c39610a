//go:build linux

package image

import (
	"context"
	"io"
	"sync"
)

// atOnce is how many layers are fetched and unpacked at the same time, as Docker has it.
const atOnce = 3

// parallel does work 0 to n-1, some at once, and returns the first error, upon which the others are told to end.
func parallel(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i := range n {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		all.Go(func() {
			defer func() { <-turns }()
			if err := work(ctx, i); err != nil {
				cancel(err) // the first one is kept
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

// cancellable gives a reader's data until a context ends.
type cancellable struct {
	ctx  context.Context
	from io.Reader
}

func (r cancellable) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	return r.from.Read(p)
}
