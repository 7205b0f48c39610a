//go:build linux && !engine

package main

import "testing"

// TestNetworkVerbs creates networks, connects containers to them, and looks from all sides; at the end nothing is left.
func TestNetworkVerbs(t *testing.T) {
	t.Parallel()
	transcript(t, `
		ip link set lo up
		final network create --subnet 10.1.2.0/24 --label team=one office
		final network create --internal --no-ipv6 vault
		final network create office || echo "code $?"
		final network create --subnet 10.1.2.128/25 other || echo "code $?"
		final network create --mtu 12 small || echo "code $?"
		final network create --driver overlay wide || echo "code $?"
		final network ls -q
		final network ls --format '{{.Name}} {{.Subnet}} {{.Internal}}' | grep office
		final network inspect -f '{{.Name}} {{.Gateway}} {{len .Containers}}' office
		final run -d --name web --network office --ip 10.1.2.7 -p 8080:80 -p 127.0.0.1:5300:53/udp lab httpd -p 80 -t hello >/dev/null
		until final run --rm --network office lab wget -qO /dev/null http://10.1.2.7/ 2>/dev/null; do sleep 0.1; done
		echo -- ports
		final port web
		final port web 80
		final port web 81 || echo "code $?"
		final ps --format '{{.Names}} {{.Ports}}'
		final inspect web | grep -E '"(IPAddress|HostPort)"' | tr -d ' ' | sort -u | sed 's/:/: /'
		final network inspect office | grep -E '"(name|subnet|ipv4|team)"'
		echo -- who reaches whom
		final run --rm --network office lab wget -qO - http://web/
		final run --rm --network office --network-alias again --add-host here:host-gateway lab sh -c 'wget -qO - http://10.1.2.1:8080/; grep here /etc/hosts'
		final run --rm --network container:web lab wget -qO - http://127.0.0.1/
		final run --rm --network host lab wget -qO - http://127.0.0.1:8080/
		final run --rm --network vault lab wget -T 1 -qO - http://10.1.2.7/ 2>/dev/null || echo no
		final run --rm --network none lab ip addr | grep -c inet
		echo -- refused
		final run --rm --network office -p 8080:81 lab true || echo "code $?"
		final run --rm --network vault -p 81:81 lab true || echo "code $?"
		final run --rm --network nowhere lab true || echo "code $?"
		final run --rm --network office --ip 10.1.2.7 lab true || echo "code $?"
		final run --rm --network host --ip 10.0.0.1 lab true || echo "code $?"
		final network rm office || echo "code $?"
		final network rm bridge || echo "code $?"
		echo -- the end
		final rm -f web
		final network rm office vault
		final clean
		ip -o link | wc -l
		cat /proc/sys/net/ipv4/ip_forward
	`, `
		office
		vault
		final: network office: a network of that name is there already
		code 1
		final: subnet 10.1.2.128/25: network office has 10.1.2.0/24
		code 1
		final: --mtu 12: want 1280 to 65535
		code 1
		final: --driver "overlay": want bridge: there is no other
		code 1
		bridge
		office
		vault
		office 10.1.2.0/24 false
		office 10.1.2.1 0
		-- ports
		53/udp -> 127.0.0.1:5300
		80/tcp -> 0.0.0.0:8080
		0.0.0.0:8080
		final: port 81/tcp of container web is not published: see final port web
		code 1
		web 0.0.0.0:8080->80/tcp, 127.0.0.1:5300->53/udp
		"HostPort": "5300"
		"HostPort": "8080"
		"IPAddress": "10.1.2.7",
		"name": "office",
		"subnet": "10.1.2.0/24",
		"team": "one"
		"name": "web",
		"ipv4": "10.1.2.7/24",
		-- who reaches whom
		hello
		hello
		10.1.2.1	here
		hello
		hello
		no
		2
		-- refused
		final: network office: port 0.0.0.0:8080/tcp: container web has it
		code 125
		final: network vault: port 81/tcp: network vault is internal: nobody outside can reach it
		code 125
		final: network nowhere: no such network: see final network ls
		code 125
		final: network office: address 10.1.2.7: container web has it
		code 125
		final: --ip: not with --network host, which gives it no connection of its own
		code 125
		final: network office: containers are connected: web
		code 1
		final: network bridge: it is there always
		code 1
		-- the end
		web
		office
		vault
		nothing to clean
		1
		0
	`)
}
