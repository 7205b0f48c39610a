//go:build linux

package engine

import (
	"os"

	"github.com/simple-container/simple-container/final/internal/network"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// writeHostFiles writes /etc/hosts, /etc/hostname and /etc/resolv.conf, which are the engine's, not the image's. What
// the network has to say comes into them when it is there (connect).
func (c *Container) writeHostFiles(host ocispec.Host) error {
	name := c.Options.HostnameOf(c.ID, host)
	hosts, err := c.hosts()
	if err != nil {
		return err
	}
	for _, file := range []struct{ name, text string }{
		{"hostname", name + "\n"}, {"hosts", hosts}, {"resolv.conf", c.resolv()},
	} {
		if err := os.WriteFile(c.path(file.name), []byte(file.text), 0o644); err != nil {
			return err
		}
		if err := os.Chmod(c.path(file.name), 0o644); err != nil { // whatever the umask says
			return err
		}
	}
	return nil
}

// hosts is the text of hosts(5) without a network: the host's own where the container has that.
func (c *Container) hosts() (string, error) {
	own := network.Endpoint{ExtraHosts: c.Wishes.ExtraHosts}
	if c.isConnected() { // else what is asked for may need the network to be understood
		own.ExtraHosts = nil
	}
	text, err := network.Hosts(&network.Connection{Endpoint: own})
	if err != nil || c.Options.Network != "host" || len(own.ExtraHosts) > 0 {
		return text, err
	}
	if theirs, err := os.ReadFile("/etc/hosts"); err == nil {
		text = string(theirs)
	}
	return text, nil
}

// resolv is the text of resolv.conf(5) without a network.
func (c *Container) resolv() string {
	w := c.Wishes
	if c.Network() != "host" && len(w.DNS) == 0 {
		return ""
	}
	return network.ResolvConf(w.DNS, w.DNSSearch, w.DNSOptions)
}
