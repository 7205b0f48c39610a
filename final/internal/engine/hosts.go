//go:build linux

package engine

import (
	"fmt"
	"os"
	"strings"

	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// writeHostFiles writes /etc/hosts, /etc/hostname and /etc/resolv.conf, which are the engine's, not the image's. The
// files stay the same ones when they are written again: they are mounted by their inode.
func (c *Container) writeHostFiles() error {
	host, err := hostFacts(false)
	if err != nil {
		return err
	}
	name := c.Options.HostnameOf(c.ID, host)
	for _, file := range []struct {
		name string
		text func() (string, error)
	}{
		{"hostname", func() (string, error) { return name + "\n", nil }},
		{"hosts", func() (string, error) { return c.hosts(name) }},
		{"resolv.conf", c.resolv},
	} {
		text, err := file.text()
		if err == nil {
			err = os.WriteFile(c.path(file.name), []byte(text), 0o644)
		}
		if err == nil {
			err = os.Chmod(c.path(file.name), 0o644) // whatever the umask says
		}
		if err != nil {
			return err
		}
	}
	return nil
}

const localHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
	"fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"

// hosts is the text of hosts(5).
func (c *Container) hosts(name string) (string, error) {
	if c.Options.Network == "host" {
		text, err := os.ReadFile("/etc/hosts")
		if err == nil {
			return string(text), nil
		}
	}
	return localHosts, nil
}

// resolv is the text of resolv.conf(5): the host's, but for name servers on the host's own loopback, which a
// container with a network of its own cannot reach. systemd-resolved keeps a list of those behind it.
func (c *Container) resolv() (string, error) {
	if c.Options.Network == "none" {
		return "", nil
	}
	text, err := os.ReadFile("/etc/resolv.conf")
	if os.IsNotExist(err) {
		return "", nil
	}
	if _, other := ocispec.Other(c.Options.Network); err != nil || other || c.Options.Network == "host" {
		return string(text), err
	}
	if real, err := os.ReadFile("/run/systemd/resolve/resolv.conf"); err == nil && strings.Contains(string(text), "127.0.0.53") {
		text = real
	}
	return withoutLoopback(string(text)), nil
}

// withoutLoopback leaves out the lines of name servers that are on loopback.
func withoutLoopback(text string) string {
	var kept strings.Builder
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) > 1 && fields[0] == "nameserver" && (strings.HasPrefix(fields[1], "127.") || fields[1] == "::1") {
			continue
		}
		fmt.Fprint(&kept, line)
	}
	return kept.String()
}
