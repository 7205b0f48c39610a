//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "Containers are made of Linux kernel features, and this is not Linux.\n"+
		"Start the workshop's virtual machine: cd vagrant && vagrant up && vagrant ssh")
	os.Exit(125)
}
