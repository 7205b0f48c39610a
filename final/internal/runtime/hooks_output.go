//go:build linux

package runtime

import (
	"io"
	"os"
	"time"
)

// linger bounds the wait for the output of a hook that has ended: a process that it leaves behind may hold the
// pipe open. What one has to say that has failed is worth a longer wait.
const linger = 300 * time.Millisecond

// collect copies what comes out of a pipe, until wait makes an end of it.
func collect(output io.Writer, pipe *os.File) (wait func(failed bool)) {
	copied := make(chan struct{})
	go func() {
		_, _ = io.Copy(output, pipe)
		close(copied)
	}()
	return func(failed bool) {
		patience := linger
		if failed {
			patience = 10 * linger
		}
		select {
		case <-copied:
		case <-time.After(patience):
		}
		pipe.Close() // which ends the copying
		<-copied
	}
}

// beginning keeps the beginning of what is written to it. A hook of the image's may write without end, and what
// it writes is in our memory, not in the container's.
type beginning []byte

func (b *beginning) Write(p []byte) (int, error) {
	const most = 16 << 10
	*b = append(*b, p[:min(len(p), most-len(*b))]...)
	return len(p), nil
}
