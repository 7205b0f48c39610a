//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
)

// A distribution is where the kernel and the guest's userland come from: the
// one that the host runs, because its mirror is the one that can be reached.
type distribution struct {
	ID       string // as in os-release
	Releases []string
	Default  string // release; "" for the host's own
	Keyring  string // signs the mirror
	Package  string // that has Keyring
	// Kernels gives, by architecture, the package whose dependencies are the
	// kernel's image and modules.
	Kernels map[string]string
}

// Debian's cloud flavour has every module the steps ask for and is a third of
// the size of the generic one.
var distributions = []distribution{{
	ID:       "debian",
	Releases: []string{"bullseye", "bookworm", "trixie"},
	Default:  "bookworm",
	Keyring:  "/usr/share/keyrings/debian-archive-keyring.gpg",
	Package:  "debian-archive-keyring",
	Kernels:  map[string]string{"amd64": "linux-image-cloud-amd64", "arm64": "linux-image-cloud-arm64"},
}, {
	ID:      "ubuntu", // only the host's own release; arm64 packages are on another mirror than amd64's
	Keyring: "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
	Package: "ubuntu-keyring",
	Kernels: map[string]string{"amd64": "linux-image-virtual", "arm64": "linux-image-virtual"},
}}

// A source is a distribution's release for one architecture.
type source struct {
	distribution
	Release string
	Arch    string
}

// findSource chooses the distribution by the host's os-release and checks
// that it has the release and the architecture. release may be empty.
func findSource(osRelease map[string]string, release, arch string) (*source, error) {
	i := slices.IndexFunc(distributions, func(d distribution) bool { return d.ID == osRelease["ID"] })
	if i < 0 {
		return nil, fmt.Errorf("find kernel package: this host is %q, not debian or ubuntu: "+
			"start one of them with vagrant up", osRelease["ID"])
	}
	d, own := distributions[i], osRelease["VERSION_CODENAME"]
	if release == "" {
		release = d.Default
	}
	if release == "" {
		release = own
	}
	if release != own && !slices.Contains(d.Releases, release) {
		return nil, fmt.Errorf("find kernel package: %s release %q: not known, want %s",
			d.ID, release, strings.Join(append(d.Releases, own), ", "))
	}
	if d.Kernels[arch] == "" {
		return nil, fmt.Errorf("find kernel package: architecture %q: not known, want amd64 or arm64", arch)
	}
	return &source{d, release, arch}, nil
}

// readOSRelease reads os-release(5): lines of NAME=value, perhaps quoted.
func readOSRelease(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the name of this distribution: %w", err)
	}
	defer f.Close()
	values := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok {
			values[name] = strings.Trim(value, `"'`)
		}
	}
	return values, lines.Err()
}
