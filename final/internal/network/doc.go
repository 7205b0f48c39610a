//go:build linux

// Package network is what a container has of the host's network: links, addresses, packet filter rules, names.
//
// A network is a bridge (bridge.go): a switch in the kernel, with the host as one of its stations. A container
// is connected by a veth pair (veth.go), one end a port of the bridge, the other its eth0. Its address is a
// lease (lease.go) out of the network's subnet (subnet.go). What passes between networks, the host and the
// world is decided by one table of nftables (table.go) with sets and maps, so that neither a packet nor a start
// takes longer where there are many containers; published ports are elements of a map (publish.go). Where
// others' rules would drop our packets, each network has accept rules among them (accept.go). Names are looked
// up by a small process per network (package resolver).
//
// A network is up as long as a container is connected. The last one to leave takes everything along: bridge,
// table, accept rules, and the settings of the kernel that were changed (forwarding.go).
//
// All of it is done by netlink, and remembered in small files below kernel.StateDir that are changed under one
// lock (host.go). Step 04 shows the idea, and its containers live beside ours: leftover.go finds what those
// leave, clean.go what ours do.
package network
