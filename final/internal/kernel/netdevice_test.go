//go:build linux

package kernel

import (
	"errors"
	"net"
	"os"
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
		handle, err := netlink.NewHandleAt(netns.NsHandle(there.Fd()))
		if err != nil {
			return err
		}
		defer handle.Close()

		d := &Door{}
		if err := d.MoveLink("taken", there, ""); !errors.Is(err, unix.EEXIST) {
			t.Errorf("a name that is taken: %v, want EEXIST", err)
		}
		if err := d.MoveLink("taken", there, "fresh"); err != nil {
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
		if err := d.MoveLink("other", there, "net%d"); err != nil {
			return err
		}
		_, err = handle.LinkByName("net0")
		return err
	})
	if err != nil {
		t.Error(err)
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
