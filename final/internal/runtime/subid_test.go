//go:build linux

package runtime

import (
	"fmt"
	"testing"
)

func TestSubids(t *testing.T) {
	const file = "learner:100000:65536\nother:200000:10\n4711:165536:100\n\n# learner\nlearner:5\nlearner:x:1\nlearner:7:0\n"
	ranges := parseSubids(file, "learner", 4711)
	if got, want := listOf(ranges), "100000-165535 and 165536-165635"; got != want {
		t.Errorf("%s: got %s, want %s", file, got, want)
	}
	for _, test := range []struct {
		want subidRange
		all  bool
	}{
		{subidRange{100000, 65536}, true},
		{subidRange{165535, 2}, true}, // the end of one and the beginning of another
		{subidRange{165535, 102}, false},
		{subidRange{99999, 2}, false},
		{subidRange{200000, 1}, false},
		{subidRange{1<<32 - 1, 1<<32 - 1}, false},
	} {
		if got := test.want.covered(ranges); got != test.all {
			t.Errorf("%v of %v: got %v, want %v", test.want, ranges, got, test.all)
		}
	}
	if got := listOf(parseSubids("", "learner", 4711)); got != "none" {
		t.Errorf("no file: got %s, want none", got)
	}
	if got := fmt.Sprint(subidRange{5, 1}); got != "5" {
		t.Errorf("one id: got %s, want 5", got)
	}
}
