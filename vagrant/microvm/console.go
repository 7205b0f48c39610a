//go:build linux

package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// console keeps the last lines of what the guest's kernel and QEMU said.
type console struct {
	mu      sync.Mutex
	partial []byte
	lines   []string
	panic   string // the line that says so
}

// consoleLines is a kernel panic's report and some lines before it.
const consoleLines = 40

// escapes are the terminal control sequences that a firmware writes.
var escapes = regexp.MustCompile(`\x1b(\[[0-9;?=]*[A-Za-z]|.)`)

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.partial = append(c.partial, p...)
	for {
		line, rest, found := bytes.Cut(c.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		c.add(string(line))
		c.partial = rest
	}
}

func (c *console) add(line string) {
	line = strings.TrimRight(escapes.ReplaceAllString(line, ""), "\r ")
	if line == "" {
		return
	}
	// "[    1.652265] Kernel panic - not syncing: No working init found."
	if _, message, found := strings.Cut(line, "Kernel panic - "); found && c.panic == "" {
		c.panic = "kernel panic: " + message
	}
	c.lines = append(c.lines, line)
	if len(c.lines) > consoleLines {
		c.lines = c.lines[1:]
	}
}

// panicked gives the kernel's reason, "" if it did not panic.
func (c *console) panicked() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.panic
}

// quote gives the last lines, indented, for the end of an error.
func (c *console) quote() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines
	if len(c.partial) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(c.partial))
	}
	if len(lines) == 0 {
		return "; its console stayed empty"
	}
	return fmt.Sprintf("; the console's last lines:\n\t%s", strings.Join(lines, "\n\t"))
}
