//go:build linux

package main

// growStack has the stack of this goroutine grown while there is nothing on it. It begins small, and is copied whenever
// it is full, with all its frames looked up: half a dozen times on the way into a verb, for want of 20 KiB.
//
//go:noinline
func growStack(i int) byte {
	var room [20 << 10]byte
	return room[i%len(room)]
}
