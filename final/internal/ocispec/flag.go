//go:build linux

package ocispec

import "fmt"

// refuse is the error for the value of a flag.
func refuse(flag, value, want string) error {
	return fmt.Errorf("--%s %q: %s", flag, value, want)
}
