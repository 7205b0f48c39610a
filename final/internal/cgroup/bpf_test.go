//go:build linux

package cgroup

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// What bpf(2) is to fill in is on a stack, which Go may move to another place, because it has to grow, at any call on the
// way there. So each call is made at many depths of a small stack.
func TestBPFWhileTheStackGrows(t *testing.T) {
	fd, err := loadDevices(deviceProgram(nil, true))
	if errors.Is(err, unix.EPERM) {
		t.Skipf("load a program: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for depth := range 400 {
		name := make(chan string)
		go func() { name <- nameBelow(depth, fd) }()
		if got := <-name; got != programName {
			t.Fatalf("name of the program, asked at depth %d: got %q, want %q", depth, got, programName)
		}
	}
}

// nameBelow asks for a program's name with so many frames above.
//
//go:noinline
func nameBelow(depth, fd int) string {
	if depth == 0 {
		return nameOfProgram(fd)
	}
	return nameBelow(depth-1, fd)
}
