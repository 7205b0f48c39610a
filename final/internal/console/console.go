//go:build linux

// Package console gives a container a terminal: a pair of ends (pty(7)) that live in the container's own
// devpts. The container has the slave, as descriptors 0 to 2, as its controlling terminal and on
// /dev/console. The master goes to whoever holds the other end of the terminal: an engine that gave the path
// of a socket, or this program in the foreground.
//
//	container side                                 parent side
//
//	Open    /dev/pts/ptmx -> master, slave         Dial, or Pair
//	        sendmsg(socket, master)  ------------> the engine, or Receive
//	Bind    /dev/console
//	Give    its owner
//	Attach  0, 1, 2, the controlling terminal      Forward: raw mode, sizes, both ways until the end
//
// The slave is opened through the master (TIOCGPTPEER, ioctl_tty(2)), never by a path, which the container
// could have changed. Step 01 shows the idea of lending a terminal (terminal.go).
package console

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// payload is what goes with a descriptor: sendmsg wants a byte at least, and runc sends this name.
const payload = "/dev/ptmx"

// Open adds the opening of a terminal below root, which is a descriptor of the container's root directory, and
// sends the master to a socket that the container side has as a descriptor. size may be nil; it is one that
// plan.ValidateProcess lets pass. It returns the slave's descriptor. Descriptors 0 to 2 must be taken.
//
// What lies at dev/pts/ptmx is not trusted, and need not be: the kernel answers TIOCGPTPEER for the masters of
// its own driver only (anything else is ENOTTY), and opens the slave of this very pair in the devpts that the
// master belongs to. No name is looked up after the first, so that neither /dev/pts/N nor the devpts itself
// can be exchanged in between (CVE-2025-52565). RESOLVE_NO_SYMLINKS keeps the first one in the container.
func Open(l *op.List, root *op.Var, size *specs.Box, socket int) (slave *op.Var) {
	load := op.Words(uint64(unix.CmsgLen(4)), unix.SOL_SOCKET|unix.SCM_RIGHTS<<32, 0) // the third word is master
	master := &op.Var{Name: "master", Data: load, Offset: 16}
	open := op.Openat2(op.Val(root), "dev/pts/ptmx", unix.O_RDWR|unix.O_NOCTTY, within, master)
	open.Why = "a new pair of terminal ends, in the container's devpts"
	unlock := ioctl(master, "TIOCSPTLCK", unix.TIOCSPTLCK, op.Ref(&op.Data{Bytes: make([]byte, 4), Text: "[0]"}))
	unlock.Why = "a new slave is locked until its owner is right, which in a devpts of one's own it is"
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	peer := ioctl(master, "TIOCGPTPEER", unix.TIOCGPTPEER, op.Int(flags).As("O_RDWR|O_NOCTTY|O_CLOEXEC"))
	slave = op.NewVar("slave")
	peer.Result, peer.Why = slave, "by its master: a path could have been exchanged"
	l.Add(open, unlock, peer)

	if size != nil && (size.Height != 0 || size.Width != 0) {
		l.Add(setSize(master, size))
	}
	send := sendmsg(socket, load)
	send.Why = "the other end goes to whoever asked for the terminal"
	closing := op.Close(op.Val(master))
	closing.Why = "the end of the container's side must be the end of the terminal"
	l.Add(send, closing)
	return slave
}

// within is how names below the container's root are looked up: no link leads elsewhere, least of all /dev.
const within = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS

// Bind puts the slave on /dev/console, where system logs and boot messages go. /dev must be a directory, no
// link to one, and console a file or a device; it is made if it is missing. Both the slave and the place are
// descriptors: there is no path between the look and the mount.
func Bind(l *op.List, root, slave *op.Var) {
	dev, place, tree := op.NewVar("dev"), op.NewVar("console"), op.NewVar("tree")
	open := op.Openat2(op.Val(root), "dev", unix.O_PATH|unix.O_DIRECTORY, within, dev)
	open.Why = "the directory itself: an image may have a link there"
	create := op.Op{Name: "mknodat", Nr: unix.SYS_MKNODAT, Args: []op.Arg{
		op.Val(dev), op.Str("console"), op.Int(unix.S_IFREG | 0o600).As("S_IFREG|0600"), op.Int(0),
	}, Accept: []unix.Errno{unix.EEXIST}}
	create.Shell, create.Why = "touch /dev/console", "a place to mount on"
	target := op.Openat2(op.Val(dev), "console", unix.O_PATH, within, place)
	clone := op.Op{Name: "open_tree", Nr: unix.SYS_OPEN_TREE, Args: []op.Arg{
		op.Val(slave), op.Str(""), op.Int(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH).
			As("OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH"),
	}, Result: tree, Why: "a mount of the slave that is nowhere yet"}
	move := op.Op{Name: "move_mount", Nr: unix.SYS_MOVE_MOUNT, Args: []op.Arg{
		op.Val(tree), op.Str(""), op.Val(place), op.Str(""),
		op.Int(unix.MOVE_MOUNT_F_EMPTY_PATH | unix.MOVE_MOUNT_T_EMPTY_PATH).
			As("MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH"),
	}, Shell: "mount --bind /dev/pts/0 /dev/console", Why: "descriptors on both sides: nothing to exchange"}
	l.Add(open, create, target, clone, move)
	l.Add(op.Close(op.Val(tree)), op.Close(op.Val(place)), op.Close(op.Val(dev)))
}

// Give makes uid, as seen in the process's user namespace, the owner of the slave, so that the process can open
// /dev/pts/0 and /dev/stdout again when it is not root any more.
func Give(l *op.List, slave *op.Var, uid uint32) {
	own := op.Op{Name: "fchown", Nr: unix.SYS_FCHOWN, Args: []op.Arg{op.Val(slave), op.Int(uid), op.Int(-1)}}
	own.Accept = []unix.Errno{unix.EROFS} // a devpts that is read-only: open descriptors work all the same
	own.Why = "the process may open its terminal again by name"
	l.Add(own)
}

// Attach makes the slave the controlling terminal of the process, which must lead a session (setsid(2)), and
// its descriptors 0 to 2.
func Attach(l *op.List, slave *op.Var) {
	control := ioctl(slave, "TIOCSCTTY", unix.TIOCSCTTY, op.Int(0))
	control.Why = "the terminal of this session: Ctrl-C reaches it, and /dev/tty is it"
	l.Add(control)
	for number := range 3 {
		l.Add(op.Dup(op.Val(slave), number, 0))
	}
	l.Add(op.Close(op.Val(slave)))
}

func ioctl(fd *op.Var, name string, request uint, arg op.Arg) op.Op {
	return op.Op{Name: "ioctl", Nr: unix.SYS_IOCTL, Args: []op.Arg{op.Val(fd), op.Int(request).As(name), arg}}
}

func setSize(master *op.Var, size *specs.Box) op.Op {
	data := op.Struct(unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)})
	data.Text = fmt.Sprintf("{%d rows, %d columns}", size.Height, size.Width)
	resize := ioctl(master, "TIOCSWINSZ", unix.TIOCSWINSZ, op.Ref(data))
	resize.Shell = fmt.Sprintf("stty rows %d cols %d", size.Height, size.Width)
	return resize
}

// sendmsg is sendmsg(2) with a load (cmsg(3), unix(7)): a struct cmsghdr, which is its length, level and type,
// and one descriptor. The length counts the 4 bytes of the descriptor, the load has 8, as the result of an op
// does; on little-endian processors, which is what Linux runs Go on almost everywhere, the right 4 come first.
func sendmsg(socket int, load *op.Data) op.Op {
	vector := op.Words(0, uint64(len(payload))) // struct iovec
	vector.Pointers = []op.Pointer{{Offset: 0, To: op.String(payload)}}
	message := op.Words(0, 0, 0, 1, 0, uint64(len(load.Bytes)), 0) // struct msghdr
	message.Pointers = []op.Pointer{{Offset: 16, To: vector}, {Offset: 32, To: load}}
	message.Text = fmt.Sprintf("{%q, SCM_RIGHTS, [master]}", payload)
	return op.Op{Name: "sendmsg", Nr: unix.SYS_SENDMSG, Args: []op.Arg{
		op.Int(socket), op.Ref(message), op.Int(unix.MSG_NOSIGNAL).As("MSG_NOSIGNAL"),
	}}
}
