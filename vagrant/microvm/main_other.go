//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "microvm: needs apt, on Debian or Ubuntu: vagrant up starts one")
	os.Exit(1)
}
