//go:build linux

package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// MoveLink moves a network device of the calling thread's network namespace into another one, under a new
// name if that is not empty, and sets it up there. A name with %d gets the first number that is free. The
// addresses come along, those that are valid everywhere and not bound to the link (netlink drops them all on
// the way). One that cannot leave, such as lo or a bridge, stays as it was.
func (d *Door) MoveLink(name string, namespace *os.File, newName string) error {
	here, err := openRoute(nil)
	if err != nil {
		return err
	}
	defer here.close()
	index, flags, err := here.link(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	addresses, err := here.addresses(index)
	if err != nil {
		return fmt.Errorf("addresses of %s: %w", name, err)
	}
	if newName == "" {
		newName = name
	}
	call := Call{
		Op: "netlink RTM_NEWLINK", Object: name, Value: "netns " + namespace.Name() + " name " + newName,
		Shell: "ip link set " + quote(name) + " netns " + quote(namespace.Name()) + " name " + quote(newName),
	}
	return d.Do(call, func() error {
		there, err := openRoute(namespace)
		if err != nil {
			return err
		}
		defer there.close()
		if _, _, err := there.link(newName); err == nil {
			return unix.EEXIST
		}
		onTheWay := name
		if _, _, err := there.link(name); err == nil { // the old name is taken there: on the way it has another
			onTheWay = fmt.Sprintf("move%d", index)
		}
		if err := here.sendLink(index, onTheWay, namespace); err != nil {
			return errors.Join(err, here.furnish(index, name, addresses, flags))
		}
		index, _, err := there.link(onTheWay)
		if err != nil {
			return err
		}
		return there.furnish(index, newName, addresses, unix.IFF_UP)
	})
}

// sendLink sends a device to another namespace, under a name that nothing has there.
func (s *routeSocket) sendLink(index int32, name string, namespace *os.File) error {
	if err := s.setLink(index, 0, unix.IFF_UP); err != nil { // a device that is up keeps its name
		return err
	}
	if err := s.setLink(index, 0, 0, textAttribute(unix.IFLA_IFNAME, name)); err != nil {
		return err
	}
	target := binary.NativeEndian.AppendUint32(nil, uint32(namespace.Fd()))
	return s.setLink(index, 0, 0, attribute{unix.IFLA_NET_NS_FD, target})
}

// furnish gives a device that has come, or has not left, its name and its addresses, and sets it up if flags say so.
func (s *routeSocket) furnish(index int32, name string, addresses []address, flags uint32) error {
	if err := s.setLink(index, 0, 0, textAttribute(unix.IFLA_IFNAME, name)); err != nil {
		return err
	}
	for _, a := range addresses {
		if a.scope() != unix.RT_SCOPE_UNIVERSE || a.flags&unix.IFA_F_PERMANENT == 0 {
			continue // the kernel's own, or one that runs out
		}
		if err := s.add(index, a); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("an address of %s: %w", name, err)
		}
	}
	return s.setLink(index, flags&unix.IFF_UP, unix.IFF_UP)
}
