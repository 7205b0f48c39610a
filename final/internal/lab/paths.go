//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func runReadlink(c *call) error {
	o, err := c.options("fen")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 {
		return usagef("usage: readlink [-f] PATH...")
	}
	for _, path := range o.rest {
		if o.has('f') || o.has('e') {
			full, err := canonical(path, o.has('e'))
			if err != nil {
				c.status = 1
				continue
			}
			c.println(full)
			continue
		}
		target, err := os.Readlink(path)
		if err != nil {
			c.status = 1 // readlink says nothing: scripts ask it whether something is a link
			continue
		}
		c.println(target)
	}
	return nil
}

// canonical resolves all links. The last component need not exist unless strict.
func canonical(path string, strict bool) (string, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(full)
	if err == nil || strict {
		return resolved, err
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(full))
	return filepath.Join(parent, filepath.Base(full)), err
}

func runRealpath(c *call) error {
	for _, path := range c.args {
		full, err := canonical(path, false)
		if err != nil {
			c.complain(err)
			continue
		}
		c.println(full)
	}
	return nil
}

func runWhich(c *call) error {
	for _, name := range c.args {
		found := false
		for dir := range strings.SplitSeq(os.Getenv("PATH"), ":") {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
				c.println(path)
				found = true
				break
			}
		}
		if !found {
			c.status = 1
		}
	}
	return nil
}

func runDirname(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: dirname PATH...")
	}
	for _, path := range c.args {
		c.println(filepath.Dir(path))
	}
	return nil
}

func runBasename(c *call) error {
	if len(c.args) == 0 {
		return usagef("usage: basename PATH [SUFFIX]")
	}
	base := filepath.Base(c.args[0])
	if len(c.args) > 1 && base != c.args[1] {
		base = strings.TrimSuffix(base, c.args[1])
	}
	c.println(base)
	return nil
}

func runPwd(c *call) error {
	dir, err := unix.Getwd()
	if err != nil {
		return fmt.Errorf("getcwd: %w", err)
	}
	c.println(dir)
	return nil
}
