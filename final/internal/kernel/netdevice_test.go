//go:build linux

package kernel

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestMoveLink moves devices between two network namespaces, both made for it.
func TestMoveLink(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skipf("a network namespace needs root: %v", unix.EPERM)
	}
	pair := func(name string) netlink.Link {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = name
		link := &netlink.Veth{LinkAttrs: attributes, PeerName: "peer-" + name}
		if err := netlink.LinkAdd(link); err != nil {
			t.Fatal(err)
		}
		return link
	}
	err := OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		there, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer there.Close()
		pair("taken")
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 9, 1), Mask: net.CIDRMask(24, 32)}}
		if err := netlink.AddrAdd(pair("taken"), address); err != nil {
			return err
		}
		handle, err := netlink.NewHandleAt(netns.NsHandle(there.Fd()), unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer handle.Close()

		d := &Door{}
		if _, err := d.MoveLink("taken", there, ""); !errors.Is(err, unix.EEXIST) {
			t.Errorf("a name that is taken: %v, want EEXIST", err)
		}
		back, err := d.MoveLink("taken", there, "fresh")
		if err != nil {
			return err
		}
		moved, err := handle.LinkByName("fresh")
		if err != nil {
			return err
		}
		if moved.Attrs().Flags&net.FlagUp == 0 {
			t.Error("the device is not up")
		}
		if list, err := handle.AddrList(moved, unix.AF_INET); err != nil || len(list) != 1 || !list[0].Equal(*address) {
			t.Errorf("addresses %v, %v, want %v", list, err, address)
		}
		pair("other")
		if _, err := d.MoveLink("other", there, "net%d"); err != nil {
			return err
		}
		if _, err = handle.LinkByName("net0"); err != nil {
			return err
		}

		atHome := func(name string, flags net.Flags, want ...netlink.Addr) {
			t.Helper()
			link, err := netlink.LinkByName(name)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			list, err := netlink.AddrList(link, unix.AF_INET)
			same := slices.EqualFunc(list, want, func(a, b netlink.Addr) bool { return a.Equal(b) })
			if link.Attrs().Flags&net.FlagUp != flags || err != nil || !same {
				t.Errorf("%s: %v, addresses %v, %v: want %v, %v", name, link.Attrs().Flags, list, err, flags, want)
			}
		}
		if err := back(); err != nil {
			t.Error(err)
		}
		atHome("taken", 0, *address)

		if err := netlink.LinkSetUp(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "taken"}}); err != nil {
			return err
		}
		if _, err := d.MoveLink("taken", there, "a/b"); !errors.Is(err, unix.EINVAL) {
			t.Errorf("what is no name: %v, want EINVAL", err)
		}
		atHome("taken", net.FlagUp, *address)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A device that cannot be moved stays what and where it is: up, with its name and addresses. lo is one.
func TestMoveLinkRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skipf("a network namespace needs root: %v", unix.EPERM)
	}
	err := OnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		there, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		defer there.Close()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		before, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		for _, up := range []bool{true, false} {
			set := map[bool]func(netlink.Link) error{true: netlink.LinkSetUp, false: netlink.LinkSetDown}[up]
			if err := set(before); err != nil {
				return err
			}
			if _, err := (&Door{}).MoveLink("lo", there, "other"); !errors.Is(err, unix.EINVAL) {
				t.Errorf("lo, up %v: %v, want EINVAL", up, err)
			}
			after, err := netlink.LinkByIndex(before.Attrs().Index)
			if err != nil {
				return err
			}
			if a := after.Attrs(); a.Name != "lo" || (a.Flags&net.FlagUp != 0) != up {
				t.Errorf("afterwards it is %s, %v; want lo, up %v", a.Name, a.Flags, up)
			}
			addresses, err := netlink.AddrList(after, netlink.FAMILY_V4)
			if err != nil {
				return err
			}
			if up && (len(addresses) != 1 || addresses[0].IP.String() != "127.0.0.1") {
				t.Errorf("afterwards its addresses are %v, want 127.0.0.1", addresses)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is no network namespace is refused, and no socket stays open.
func TestOpenRouteElsewhere(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := openRoute(null); !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EPERM) {
		t.Errorf("a socket in %s: got %v, %v, want EINVAL", null.Name(), s, err)
	}
	if after, _ := os.ReadDir("/proc/self/fd"); len(after) != len(before) {
		t.Errorf("descriptors: got %v, want %v", after, before)
	}
}
