//go:build linux

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMirror(t *testing.T) {
	for _, test := range []struct{ name, targets, codename, want string }{
		{"codename", "nodistro main https://else.example\nbookworm-security main http://a.example/security/\nbookworm contrib http://c.example/\nbookworm main http://b.example/debian/\n", "bookworm", "http://b.example/debian/"},
		{"stable", "stable main http://b.example/debian/\n", "trixie", "http://b.example/debian/"},
		{"none", "bookworm-security main http://a.example/\n", "bookworm", ""},
	} {
		got, err := mirrorOf(test.targets, test.codename)
		if got != test.want || (err != nil) != (test.want == "") {
			t.Errorf("%s: mirror = %q, %v, want %q", test.name, got, err, test.want)
		}
	}
}

func TestKernelPackages(t *testing.T) {
	for _, test := range []struct {
		meta, depends string
		want          []string
	}{{
		"linux-image-cloud-amd64",
		"linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-9-cloud-amd64\nlinux-image-6.1.0-9-cloud-amd64\n  Depends: kmod\n |Depends: linux-initramfs-tool\nkmod\n<linux-initramfs-tool>\n",
		[]string{"linux-image-6.1.0-9-cloud-amd64"},
	}, {
		"linux-image-virtual",
		"linux-image-virtual\n  Depends: linux-image-5.15.0-9-generic\nlinux-image-5.15.0-9-generic\n |Depends: linux-modules-5.15.0-9-generic\nlinux-image-unsigned-5.15.0-9-generic\nlinux-modules-5.15.0-9-generic\nlinux-base\n",
		[]string{"linux-image-5.15.0-9-generic", "linux-modules-5.15.0-9-generic"},
	}, {
		"linux-image-cloud-amd64", "linux-image-cloud-amd64\nlinux-image-generic\n", nil,
	}} {
		if diff := cmp.Diff(test.want, kernelPackages(test.depends, test.meta)); diff != "" {
			t.Errorf("kernel packages of %s (-want +got):\n%s", test.meta, diff)
		}
	}
}

func TestFindSource(t *testing.T) {
	debian := map[string]string{"ID": "debian", "VERSION_CODENAME": "trixie"}
	ubuntu := map[string]string{"ID": "ubuntu", "VERSION_CODENAME": "noble"}
	for _, test := range []struct {
		host          map[string]string
		release, arch string
		want, wantErr string
	}{
		{host: debian, arch: "amd64", want: "bookworm linux-image-cloud-amd64"},
		{host: debian, arch: "arm64", release: "bullseye", want: "bullseye linux-image-cloud-arm64"},
		{host: ubuntu, arch: "amd64", want: "noble linux-image-virtual"},
		{host: ubuntu, arch: "amd64", release: "bookworm", wantErr: `ubuntu release "bookworm": not known, want noble`},
		{host: debian, arch: "riscv64", wantErr: `architecture "riscv64": not known`},
		{host: map[string]string{"ID": "fedora"}, arch: "amd64", wantErr: `this host is "fedora", not debian or ubuntu`},
	} {
		s, err := findSource(test.host, test.release, test.arch)
		switch {
		case test.wantErr != "":
			if err == nil || !strings.Contains(err.Error(), test.wantErr) {
				t.Errorf("%s %s: error %v, want %q", test.host["ID"], test.release, err, test.wantErr)
			}
		case err != nil:
			t.Errorf("%s %s: %v", test.host["ID"], test.release, err)
		case s.Release+" "+s.Kernels[test.arch] != test.want:
			t.Errorf("%s %s: %s %s, want %s", test.host["ID"], test.release, s.Release, s.Kernels[test.arch], test.want)
		}
	}
}
