//go:build linux

package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree of modules as a kernel has them: a diamond, a soft dependency that is
// there and one that is not, and one name that is built in.
var sampleModules = map[string]*module{
	"bridge":    {Name: "bridge", Path: "kernel/net/bridge/bridge.ko", Depends: []string{"stp", "llc"}, Aliases: []string{"rtnl-link-bridge"}},
	"stp":       {Name: "stp", Path: "kernel/net/802/stp.ko", Depends: []string{"llc"}},
	"llc":       {Name: "llc", Path: "kernel/net/llc/llc.ko"},
	"nf_tables": {Name: "nf_tables", Path: "kernel/net/netfilter/nf_tables.ko", Depends: []string{"libcrc32c"}, Soft: []string{"crc32c"}},
	"libcrc32c": {Name: "libcrc32c", Path: "kernel/lib/libcrc32c.ko"},
}

func loadSample(name string) (*module, error) { return sampleModules[name], nil }

func names(modules []module) (list []string) {
	for _, m := range modules {
		list = append(list, m.Name)
	}
	return list
}

func TestClosure(t *testing.T) {
	got, err := closure([]string{"bridge", "nf-tables", "stp", "built_in"}, loadSample)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"llc", "stp", "bridge", "libcrc32c", "nf_tables"}
	if diff := cmp.Diff(want, names(got)); diff != "" {
		t.Errorf("order of loading (-want +got):\n%s", diff)
	}
}

func TestClosureOfACircleEnds(t *testing.T) {
	circle := map[string]*module{"a": {Name: "a", Depends: []string{"b"}}, "b": {Name: "b", Depends: []string{"a"}}}
	got, err := closure([]string{"a"}, func(name string) (*module, error) { return circle[name], nil })
	if diff := cmp.Diff([]string{"b", "a"}, names(got)); err != nil || diff != "" {
		t.Errorf("closure: %v (-want +got):\n%s", err, diff)
	}
}

func TestClosureReportsAModuleThatCannotBeRead(t *testing.T) {
	broken := errors.New("broken")
	_, err := closure([]string{"bridge"}, func(name string) (*module, error) {
		if name == "llc" {
			return nil, broken
		}
		return loadSample(name)
	})
	if !errors.Is(err, broken) {
		t.Errorf("closure: error %v, want %v", err, broken)
	}
}

func TestModprobeTables(t *testing.T) {
	modules, err := closure([]string{"bridge"}, loadSample)
	if err != nil {
		t.Fatal(err)
	}
	wantDep := `kernel/net/llc/llc.ko:
kernel/net/802/stp.ko: kernel/net/llc/llc.ko
kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko
`
	if diff := cmp.Diff(wantDep, dependencyFile(modules)); diff != "" {
		t.Errorf("modules.dep (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("alias rtnl-link-bridge bridge\n", aliasFile(modules)); diff != "" {
		t.Errorf("modules.alias (-want +got):\n%s", diff)
	}
}

func TestModuleInfo(t *testing.T) {
	m := &module{}
	m.parseInfo("license=GPL\x00alias=fs-overlay\x00alias=nft-chain-2-nat\x00depends=nf_tables,nf_nat\x00" +
		"softdep=pre: crc32c sha256 post: other\x00softdep=post: never\x00depends=\x00vermagic=6.1.0 SMP\x00")
	want := &module{
		Depends: []string{"nf_tables", "nf_nat"},
		Soft:    []string{"crc32c", "sha256"},
		Aliases: []string{"fs-overlay", "nft-chain-2-nat"},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("module (-want +got):\n%s", diff)
	}
}
