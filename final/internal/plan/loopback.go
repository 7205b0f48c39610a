//go:build linux

package plan

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// raiseLoopback sets lo up: in a new network namespace it is down, and 127.0.0.1 out of reach (netdevice(7)).
func (c *create) raiseLoopback() error {
	if !namespacesOf(c.spec).new(specs.NetworkNamespace) {
		return nil
	}
	request := struct { // struct ifreq
		Name  [unix.IFNAMSIZ]byte
		Flags uint16
		_     [22]byte
	}{Name: [unix.IFNAMSIZ]byte{'l', 'o'}, Flags: unix.IFF_UP}
	socket := op.NewVar("socket")
	c.Add(
		op.Op{Name: "socket", Nr: unix.SYS_SOCKET, Result: socket, Args: []op.Arg{
			op.Int(unix.AF_INET).As("AF_INET"), op.Int(unix.SOCK_DGRAM | unix.SOCK_CLOEXEC).As("SOCK_DGRAM|SOCK_CLOEXEC"), op.Int(0),
		}},
		op.Op{Name: "ioctl", Nr: unix.SYS_IOCTL, Args: []op.Arg{
			op.Val(socket), op.Int(unix.SIOCSIFFLAGS).As("SIOCSIFFLAGS"), op.Ref(op.Struct(request)).As("{lo, IFF_UP}"),
		}, Shell: "ip link set lo up", Why: "in a new network namespace lo is down"},
		op.Close(op.Val(socket)),
	)
	return nil
}
