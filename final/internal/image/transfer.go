//go:build linux

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A transfer reads a blob from its registry. When the connection breaks it makes another and goes on from there;
// when nothing comes any more it breaks it itself.
type transfer struct {
	ctx    context.Context
	from   *repository
	blob   v1.Descriptor
	at     int64 // of the next byte
	failed int   // in a row
	mark   int64 // where it has failed last

	body   io.ReadCloser // nil: not connected
	cancel context.CancelCauseFunc
	watch  *time.Timer
}

// errStalled is why a request was given up.
var errStalled = errors.New("nothing has come for a minute")

const stalled = time.Minute

func (t *transfer) Read(p []byte) (int, error) {
	for {
		if t.at == t.blob.Size {
			t.close()
			return 0, io.EOF
		}
		n, err := t.try(p[:min(int64(len(p)), t.blob.Size-t.at)])
		t.at += int64(n)
		if n > 0 || err == nil {
			return n, nil
		}
		t.close()
		if err := t.mayTryAgain(err); err != nil {
			return 0, err
		}
	}
}

// try reads once.
func (t *transfer) try(p []byte) (n int, err error) {
	if t.body == nil {
		if err := t.open(); err != nil {
			return 0, err
		}
	}
	n, err = t.body.Read(p)
	t.watch.Reset(stalled)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (t *transfer) open() error {
	ctx, cancel := context.WithCancelCause(t.ctx)
	t.cancel, t.watch = cancel, time.AfterFunc(stalled, func() { cancel(errStalled) })
	body, err := t.from.blob(ctx, t.blob, t.at)
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		err = errStalled
	}
	t.body = body
	return err
}

func (t *transfer) close() {
	if t.body != nil {
		t.body.Close()
	}
	if t.watch != nil {
		t.watch.Stop()
		t.cancel(nil)
	}
	t.body, t.watch, t.cancel = nil, nil, nil
}

// mayTryAgain waits before the next try, or returns the error if there is to be none.
func (t *transfer) mayTryAgain(err error) error {
	if t.ctx.Err() != nil {
		return context.Cause(t.ctx)
	}
	if t.at-t.mark > 64<<10 {
		t.failed = 0 // it goes on, if slowly
	}
	t.mark = t.at
	if t.failed++; t.failed > retries || !isTemporary(err) {
		return fmt.Errorf("after %d of %d bytes: %w", t.at, t.blob.Size, err)
	}
	return pause(t.ctx, t.failed)
}
