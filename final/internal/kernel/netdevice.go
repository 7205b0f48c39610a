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
// the way). back has it as it was; what fails is as it was.
func (d *Door) MoveLink(name string, namespace *os.File, newName string) (back func() error, err error) {
	here, err := openRoute(nil)
	if err != nil {
		return nil, err
	}
	defer here.close()
	index, flags, err := here.link(name)
	if err != nil {
		return nil, fmt.Errorf("link %s: %w", name, err)
	}
	addresses, err := here.addresses(index)
	if err != nil {
		return nil, fmt.Errorf("addresses of %s: %w", name, err)
	}
	if newName == "" {
		newName = name
	}
	err = d.Do(moveCall(name, namespace.Name(), newName), func() error {
		there, err := openRoute(namespace)
		if err != nil {
			return err
		}
		defer there.close()
		if _, _, err := there.link(newName); err == nil {
			return unix.EEXIST
		}
		moved, err := here.send(index, namespace, there)
		if err != nil {
			return err
		}
		back = func() error { return d.returnLink(moved, namespace, name, flags, addresses) }
		if err := there.furnish(moved, newName, addresses, unix.IFF_UP); err != nil {
			return errors.Join(err, back())
		}
		return nil
	})
	return back, err
}

// returnLink takes a device back out of another network namespace into the calling thread's.
func (d *Door) returnLink(index int32, from *os.File, name string, flags uint32, addresses []address) error {
	return d.Do(moveCall(name, "home", name), func() error {
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer home.Close()
		there, err := openRoute(from)
		if err != nil {
			return err
		}
		defer there.close()
		here, err := openRoute(nil)
		if err != nil {
			return err
		}
		defer here.close()
		if index, err = there.send(index, home, here); err != nil {
			return err
		}
		return here.furnish(index, name, addresses, flags&unix.IFF_UP)
	})
}

func moveCall(name, namespace, newName string) Call {
	return Call{
		Op: "netlink RTM_NEWLINK", Object: name, Value: "netns " + namespace + " name " + newName,
		Shell: "ip link set " + quote(name) + " netns " + quote(namespace) + " name " + quote(newName),
	}
}

// send sends a device to a network namespace, where another socket is, and returns its index there. Its name may be
// taken there, or the one that it is to have in the end be a pattern: so that it is found, it arrives under one of its
// own. A device that cannot be moved stays as it is, which is up, perhaps.
func (s *routeSocket) send(index int32, namespace *os.File, to *routeSocket) (moved int32, err error) {
	arrival := fmt.Sprintf("move%d", index)
	if _, _, err := to.link(arrival); err == nil {
		return 0, unix.EEXIST
	}
	target := binary.NativeEndian.AppendUint32(nil, uint32(namespace.Fd()))
	err = s.setLink(index, 0, 0, attribute{unix.IFLA_NET_NS_FD, target}, textAttribute(unix.IFLA_IFNAME, arrival))
	if err != nil {
		return 0, err
	}
	moved, _, err = to.link(arrival)
	return moved, err
}

// furnish gives a device that has come its name, its addresses and its flags.
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
	return s.setLink(index, flags, unix.IFF_UP)
}
