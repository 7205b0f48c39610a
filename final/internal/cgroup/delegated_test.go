//go:build linux

package cgroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommonAncestor(t *testing.T) {
	for _, test := range []struct{ a, b, want string }{
		{"/", "/a/b", "/"},
		{"/a", "/a/b", "/a"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a/b/c", "/a/bc", "/a"},
		{"/user/shell", "/user/box", "/user"},
		{"/x", "/user/box", "/"},
		{"/a/b", "/a", "/a"},
	} {
		if got := commonAncestor(test.a, test.b); got != test.want {
			t.Errorf("%s, %s: got %s, want %s", test.a, test.b, got, test.want)
		}
	}
}

// In a tree in which the container has no group, it is in the runtime's, and sees that.
func TestMountsShared(t *testing.T) {
	g := &Group{
		parts:  []*part{{Hierarchy: Hierarchy{Dir: "/c/pids", Version: 1, Controllers: []string{"pids"}, Options: "rw,pids"}, dir: "/c/pids/a"}},
		shared: []*part{{Hierarchy: Hierarchy{Dir: "/c/unified", Version: 2}, dir: "/c/unified/own"}},
	}
	want := []Mount{{Version: 1, Name: "pids", Options: "pids", Dir: "/c/pids/a"}, {Version: 2, Name: "unified", Dir: "/c/unified/own"}}
	if diff := cmp.Diff(want, g.Mounts()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"pids": "/c/pids/a"}, g.Paths()); diff != "" {
		t.Errorf("what is ours: -want +got:\n%s", diff)
	}
}
