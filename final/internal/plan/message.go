//go:build linux

package plan

import "github.com/simple-container/simple-container/final/internal/op"

// The messages on the sync socket. The container side sends one when it gets there; a report (op.List)
// stands for a failure. The parent answers [Go].
const (
	Go    = "g" // go on
	Born  = "b" // this is the process: the one that was started has put it in its place
	Turn  = "t" // the parent is to say how this process is scheduled, because no child inherits it
	Hooks = "h" // everything is there but the pivot: time for the hooks of create
	Ready = "r" // nothing is left to do but to start

	Namespaces = "n" // to whoever starts the container: these are its own
)

// await adds the wait for the parent's word. If it is gone instead, so is the reason for a container.
func (c *create) await(why string) {
	read := op.Read(op.Int(c.o.Sync).As("sync"), op.Zeros(1))
	read.Zero, read.Why = "gone", why
	c.Add(read)
}

// tell adds a message to the parent.
func (c *create) tell(message, why string) {
	write := op.Write(op.Int(c.o.Sync).As("sync"), message)
	write.Message, write.Why = message, why
	c.Add(write)
}

// Births counts the processes that take the place of the one before: each says Born.
func Births(l *op.List) (n int) {
	for _, o := range l.Ops {
		if o.Message == Born {
			n++
		}
	}
	return n
}

// After returns where in a list, from an op on, the message has been sent; the end if it is not there.
func After(l *op.List, from int, message string) int {
	for i := from; i < len(l.Ops); i++ {
		if o := l.Ops[i]; o.Message == message && message != "" {
			return i + 1
		}
	}
	return len(l.Ops)
}
