//go:build linux

package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// A host of containers is a router, and the kernel must be told so: settings that others depend on too. What they
// were is kept in a file each, and put back with the last network. That of IPv4 is the one that step 04 keeps, so
// that neither takes it from the other.

const savedForward = kernel.StateDir + "/ip_forward"

// forward lets packets pass between links.
func (h *Host) forward(w *wire, n *Network) error {
	if err := h.change("net/ipv4/ip_forward", savedForward, "1"); err != nil {
		return err
	}
	// A connection to 127.0.0.1 that is led to a container leaves with that as its source, which the kernel would
	// not send to a bridge; table.go sees to it that nobody there abuses it (CVE-2020-8558).
	bridge4 := filepath.Join("/proc/sys/net/ipv4/conf", n.Bridge)
	if err := h.Door.Set(bridge4+"/route_localnet", "1"); err != nil {
		return err
	}
	if !n.Subnet6.IsValid() {
		return nil
	}
	// What a container says of being a router (CVE-2020-13401) is no news.
	if err := h.Door.Set(filepath.Join("/proc/sys/net/ipv6/conf", n.Bridge, "accept_ra"), "0"); err != nil {
		return err
	}
	return h.forward6(w)
}

// forward6 is for IPv6, where a router does not listen to other routers: a link that has its way out from one must
// be told to go on doing so, before.
func (h *Host) forward6(w *wire) error {
	const forwarding = "net/ipv6/conf/all/forwarding"
	if text, err := kernel.ReadFile(filepath.Join("/proc/sys", forwarding)); err != nil || text == "1" {
		return err
	}
	routes, err := w.RouteList(nil, unix.AF_INET6)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("list routes: %w", err)
	}
	for _, route := range routes {
		if route.Protocol != unix.RTPROT_RA {
			continue
		}
		link, err := w.LinkByIndex(route.LinkIndex)
		if err != nil {
			continue // it has just gone
		}
		setting := "net/ipv6/conf/" + link.Attrs().Name + "/accept_ra"
		text, err := kernel.ReadFile(filepath.Join("/proc/sys", setting))
		if err != nil || text != "1" {
			continue
		}
		if err := h.change(setting, savedSetting(setting), "2"); err != nil {
			return err
		}
	}
	return h.change(forwarding, savedSetting(forwarding), "1")
}

// savedSetting is the file that keeps a setting; the names of links have no spaces.
func savedSetting(setting string) string {
	return filepath.Join(settingDir, strings.ReplaceAll(setting, "/", " "))
}

// change changes a setting of the kernel, and keeps what it was, unless that is kept already.
func (h *Host) change(setting, saved, value string) error {
	path := filepath.Join("/proc/sys", setting)
	before, err := kernel.ReadFile(path)
	if err != nil || before == value {
		return err
	}
	if number, err := strconv.Atoi(before); err != nil {
		return fmt.Errorf("read %s: %q is no number", path, before)
	} else if _, err := os.Lstat(saved); errors.Is(err, fs.ErrNotExist) {
		if err := h.write(saved, number); err != nil {
			return err
		}
	}
	return h.Door.Set(path, value)
}

// restore puts the settings back, when no network is up. Forwarding goes first: what depends on it comes after.
func (h *Host) restore(w *wire) error {
	entries, err := os.ReadDir(settingDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, first := range []bool{true, false} {
		for _, entry := range entries {
			setting := strings.ReplaceAll(entry.Name(), " ", "/")
			if strings.HasSuffix(setting, "/forwarding") != first {
				continue
			}
			if err := h.putBack(setting, filepath.Join(settingDir, entry.Name())); err != nil {
				return err
			}
		}
	}
	links, err := listLinks(w)
	if err != nil {
		return err
	}
	for _, link := range links {
		if _, ok := LinkID(link); ok {
			return nil // a container of step 04 needs it still, and puts it back
		}
	}
	return h.putBack("net/ipv4/ip_forward", savedForward)
}

// putBack restores one setting and forgets it. A link may have gone, and its settings with it.
func (h *Host) putBack(setting, saved string) error {
	before, err := os.ReadFile(saved)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !strings.HasSuffix(saved, ".new") { // an interrupted write
		if err := gone(h.Door.Set(filepath.Join("/proc/sys", setting), strings.TrimSpace(string(before)))); err != nil {
			return err
		}
	}
	return h.remove(saved)
}

func listLinks(w *wire) (links []netlink.Link, err error) {
	for range 10 {
		if links, err = w.LinkList(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return links, nil
}

// silence keeps IPv6 off the host's end of a cable: what comes there is the bridge's, and the kernel need not give
// it an address, ask whether somebody has it, and greet the routers.
func (h *Host) silence(link string) {
	if hasIPv6() {
		_ = h.Door.Write(filepath.Join("/proc/sys/net/ipv6/conf", link, "disable_ipv6"), "1") // nothing breaks where it stays
	}
}
