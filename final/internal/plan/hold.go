//go:build linux

package plan

import (
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Hooks that run in the container join its namespaces. Root finds them by the process that has them. Who is not root
// would have to be let look into it (ptrace(2), "Ptrace access mode checking"), and with him whatever runs in the
// container, which could then take over a process that is not confined yet. So he is sent the namespaces instead.

// sendsNamespaces tells whether the parent needs them for hooks.
func (c *create) sendsNamespaces() bool {
	h := c.spec.Hooks
	return c.first && c.o.Rootless && h != nil && len(h.CreateContainer)+len(h.StartContainer) > 0
}

// holdNamespaces opens the namespaces that the spec names, for sendNamespaces.
//
//	struct cmsghdr   its length, SOL_SOCKET, SCM_RIGHTS (cmsg(3), unix(7))
//	descriptors      4 bytes each
//
// The result of an op has 8 bytes: the next one overwrites the upper half, which on little-endian processors comes
// second, and behind the last there is room.
func (c *create) holdNamespaces() error {
	if !c.sendsNamespaces() {
		return nil
	}
	const size = 4
	c.load = op.Words(0, unix.SOL_SOCKET|unix.SCM_RIGHTS<<32)
	var names []string
	for _, kind := range Kinds {
		if !Has(c.spec, kind.Type) {
			continue
		}
		file := &op.Var{Name: kind.File, Data: c.load, Offset: len(c.load.Bytes)}
		c.load.Bytes = append(c.load.Bytes, make([]byte, size)...)
		names = append(names, kind.File)
		open := op.Openat2(op.Val(c.proc), "self/ns/"+kind.File, unix.O_RDONLY, 0, file)
		open.Why = "the parent is not root, and is sent the namespaces in which hooks are to run"
		c.Add(open)
	}
	binary.NativeEndian.PutUint64(c.load.Bytes, uint64(len(c.load.Bytes)))
	c.load.Bytes = append(c.load.Bytes, make([]byte, size)...)
	c.load.Text = strings.Join(names, ", ")
	return nil
}

// sendNamespaces sends them, with a message, to whoever has the other end of the wire.
func (c *create) sendNamespaces(message string) op.Op {
	vector := op.Words(0, uint64(len(message))) // struct iovec
	vector.Pointers = []op.Pointer{{Offset: 0, To: op.String(message)}}
	header := op.Words(0, 0, 0, 1, 0, uint64(len(c.load.Bytes)), 0) // struct msghdr
	header.Pointers = []op.Pointer{{Offset: 16, To: vector}, {Offset: 32, To: c.load}}
	header.Text = fmt.Sprintf("{%q, SCM_RIGHTS, [%s]}", message, c.load.Text)
	return op.Op{Name: "sendmsg", Nr: unix.SYS_SENDMSG, Message: message, Args: []op.Arg{
		op.Int(c.o.Sync).As("sync"), op.Ref(header), op.Int(unix.MSG_NOSIGNAL).As("MSG_NOSIGNAL"),
	}}
}
