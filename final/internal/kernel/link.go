//go:build linux && !engine

package kernel

import (
	"errors"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Links returns the links of the calling thread's network namespace.
func (d *Door) Links() (links []netlink.Link, err error) {
	call := Call{Op: "netlink RTM_GETLINK", Shell: "ip -details link"}
	err = d.Do(call, func() error {
		links, err = dump(netlink.LinkList)
		return err
	})
	return links, err
}

// Routes returns the IPv4 routes of the main table.
func (d *Door) Routes() (routes []netlink.Route, err error) {
	call := Call{Op: "netlink RTM_GETROUTE", Shell: "ip -4 route"}
	err = d.Do(call, func() error {
		routes, err = dump(func() ([]netlink.Route, error) { return netlink.RouteList(nil, unix.AF_INET) })
		return err
	})
	return routes, err
}

// DeleteLink deletes a link; with one end of a veth pair goes the other. It goes by the index that Links
// gave: a name may belong to another link by now.
func (d *Door) DeleteLink(link netlink.Link) error {
	name := link.Attrs().Name
	call := Call{Op: "netlink RTM_DELLINK", Object: name, Shell: "ip link delete " + quote(name)}
	return d.Do(call, func() error { return netlink.LinkDel(link) })
}

// dump repeats a netlink dump that the kernel says was interrupted: the table changed while it was read,
// as on a host where containers come and go. Ten in a row would be a storm, and then the answer is an error.
func dump[T any](list func() ([]T, error)) (all []T, err error) {
	for range 10 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}
