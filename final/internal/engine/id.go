//go:build linux

package engine

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// newID makes a container's id: 64 hexadecimal digits. Its first twelve must not look like a number, or a
// hostname made of them would (RFC 1123).
func newID() string {
	for {
		var bytes [32]byte
		_, _ = rand.Read(bytes[:]) // it never fails
		id := hex.EncodeToString(bytes[:])
		if strings.ContainsAny(id[:12], "abcdef") {
			return id
		}
	}
}

// Short is an id as people see it.
func Short(id string) string { return id[:min(12, len(id))] }

const idLength = 64

func isHex(text string) bool { return text != "" && strings.Trim(text, "0123456789abcdef") == "" }

func isID(text string) bool { return len(text) == idLength && isHex(text) }

// checkName refuses what would not be understood as a name, or could not be a file's.
func checkName(name string) error {
	allowed := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r)
	}
	switch {
	case name == "":
		return errors.New("name: empty")
	case len(name) > 255:
		return fmt.Errorf("name %q: %d characters, want at most 255", name, len(name))
	case len(name) == 1 || strings.ContainsRune("_.-", rune(name[0])) || strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }):
		return fmt.Errorf("name %q: want two or more letters, digits and _ . - only, and none of these three first", name)
	case isID(name):
		return fmt.Errorf("name %q: it looks like an id", name)
	}
	return nil
}
