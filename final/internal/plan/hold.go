//go:build linux

package plan

import (
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

// A load is what a message brings beside its text: files.
//
//	struct cmsghdr   its length, SOL_SOCKET, SCM_RIGHTS (cmsg(3), unix(7))
//	descriptors      4 bytes each
//
// The result of an op has 8 bytes: the next one overwrites the upper half, which on little-endian processors comes
// second, and behind the last there is room.
type load struct {
	*op.Data
	names []string
}

// newLoad returns a load, and the places for the results that are its descriptors.
func newLoad(names ...string) (l *load, files []*op.Var) {
	const header, size = unix.SizeofCmsghdr, 4
	data := op.Words(uint64(header+size*len(names)), unix.SOL_SOCKET|unix.SCM_RIGHTS<<32)
	data.Bytes = append(data.Bytes, make([]byte, size*(len(names)+1))...)
	for i, name := range names {
		files = append(files, &op.Var{Name: name, Data: data, Offset: header + size*i})
	}
	return &load{data, names}, files
}

// send sends a message with a load to whoever has the other end of the wire.
func (c *create) send(l *load, text op.Arg, vector *op.Data) op.Op {
	header := op.Words(0, 0, 0, 1, 0, uint64(len(l.Bytes)), 0) // struct msghdr
	header.Pointers = []op.Pointer{{Offset: 16, To: vector}, {Offset: 32, To: l.Data}}
	header.Text = fmt.Sprintf("{%s, SCM_RIGHTS, [%s]}", text, strings.Join(l.names, ", "))
	return op.Op{Name: "sendmsg", Nr: unix.SYS_SENDMSG, Args: []op.Arg{
		op.Int(c.o.Sync).As("sync"), op.Ref(header), op.Int(unix.MSG_NOSIGNAL).As("MSG_NOSIGNAL"),
	}}
}

// holdNamespaces opens the namespaces that the spec names, for sendNamespaces.
func (c *create) holdNamespaces() error {
	if !c.sendsNamespaces() {
		return nil
	}
	var names []string
	for _, kind := range Kinds {
		if Has(c.spec, kind.Type) {
			names = append(names, kind.File)
		}
	}
	var files []*op.Var
	c.held, files = newLoad(names...)
	for _, file := range files {
		open := op.Openat2(op.Val(c.proc), "self/ns/"+file.Name, unix.O_RDONLY, 0, file)
		open.Why = "the parent is not root, and is sent the namespaces in which hooks are to run"
		c.Add(open)
	}
	return nil
}

// sendNamespaces sends them with a message.
func (c *create) sendNamespaces(message string) op.Op {
	text := op.String(message)
	vector := op.Words(0, uint64(len(message))) // struct iovec
	vector.Pointers = []op.Pointer{{Offset: 0, To: text}}
	o := c.send(c.held, op.Ref(text), vector)
	o.Message = message
	return o
}

// sendListener tells the parent the number of a filter's listener, as the op for root does, and sends it along.
func (c *create) sendListener(listener *op.Var) {
	l, files := newLoad("listener")
	vector := op.Words(0, 8)
	vector.Pointers = []op.Pointer{{Offset: 0, To: listener.Data}}
	o := c.send(l, op.Addr(listener), vector)
	o.Why = "the listener, which the parent, who is not root, may not fetch"
	c.Add(op.Op{Nr: op.Let, Args: []op.Arg{op.Val(listener)}, Result: files[0]}, o)
}
