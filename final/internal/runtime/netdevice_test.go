//go:build linux

package runtime

import (
	"net"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestNetDevices: a device of the host is moved into the container, with its address, under the name that it is to
// have, and up (config-linux.md, "Network Devices"). One that was to go to a container that did not come to be is
// where it was.
func TestNetDevices(t *testing.T) {
	both(t, func(w *world) {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = "device"
		device := &netlink.Veth{LinkAttrs: attributes, PeerName: "peer"}
		w.must(netlink.LinkAdd(device))
		w.Cleanup(func() { // the kernel would do it some time after the end of the container
			if peer, err := netlink.LinkByName("peer"); err == nil {
				_ = netlink.LinkDel(peer)
			}
		})
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 9, 8, 7), Mask: net.CIDRMask(24, 32)}}
		w.must(netlink.AddrAdd(device, address))
		w.must(netlink.LinkSetUp(device))
		moved := func(s *specs.Spec) {
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"device": {Name: "eth7"}}
		}

		_, err := w.tryCreate("a", CreateOptions{}, moved, args("nothing"))
		w.refused(err, "executable file not found")
		link, err := netlink.LinkByName("device")
		w.must(err)
		list, err := netlink.AddrList(link, unix.AF_INET)
		if err != nil || len(list) != 1 || !list[0].Equal(*address) || link.Attrs().Flags&net.FlagUp == 0 {
			w.Errorf("after a create that failed: %v, addresses %v, %v", link.Attrs().Flags, list, err)
		}

		_, err = w.tryCreate("a", CreateOptions{}, moved, func(s *specs.Spec) {
			s.Linux.NetDevices["peer"] = specs.LinuxNetDevice{Name: "eth7"}
		})
		w.refused(err, `linux.netDevices: "peer"`, "file exists")
		w.says("a", "eth7\nlo\n0x1003", moved, shell("ls /sys/class/net; cat /sys/class/net/eth7/flags"))
	})
}
