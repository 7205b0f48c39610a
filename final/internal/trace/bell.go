//go:build linux

package trace

import (
	"fmt"
	"os"
	"sync"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
)

// A bell wakes the thread that traces. That thread waits for its children and tracees and for nothing else, and
// signals do not disturb it: Go's handlers have the kernel go on with the wait (SA_RESTART). So the bell is a
// child that waits for the end of a pipe. If this program ends, so does it.
type bell struct {
	pid int

	mutex sync.Mutex
	pipe  *os.File // our end; nil once it was rung
}

// newBell must be called by the thread that is to be woken.
func newBell() (*bell, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	list := &op.List{}
	list.Fail(op.Int(2), 1)
	list.Add(op.CloseRange(1, 0), op.Read(op.Int(0), op.Zeros(1)), op.Exit(0))
	command := executor.Command{List: list, Name: "bell", Files: []*os.File{theirs}, Reexec: !executor.StubWorks()}
	process, err := command.Start()
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("start the bell: %w", err)
	}
	process.Pidfd.Close()
	return &bell{pid: process.Pid, pipe: ours}, nil
}

// ring ends the child.
func (b *bell) ring() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.pipe != nil {
		b.pipe.Close()
		b.pipe = nil
	}
}
