//go:build linux

package lab

import (
	"os"
	"slices"
	"strings"
)

func runEnv(c *call) error {
	o, err := c.options("+iu:", "ignore-environment=i", "unset=u")
	if err != nil {
		return err
	}
	env := os.Environ()
	if o.has('i') {
		env = nil
	}
	drop := func(name string) {
		env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	for _, name := range o.values['u'] {
		drop(name)
	}
	rest := o.rest
	for len(rest) > 0 {
		name, _, ok := strings.Cut(rest[0], "=")
		if !ok {
			break
		}
		drop(name)
		env = append(env, rest[0])
		rest = rest[1:]
	}
	if len(rest) > 0 {
		for _, v := range env {
			if path, ok := strings.CutPrefix(v, "PATH="); ok {
				if err := os.Setenv("PATH", path); err != nil {
					return err
				}
			}
		}
		return c.become(rest, env)
	}
	for _, v := range env {
		c.println(v)
	}
	return nil
}

func runPrintenv(c *call) error {
	if len(c.args) == 0 {
		return runEnv(c)
	}
	for _, name := range c.args {
		value, ok := os.LookupEnv(name)
		if !ok {
			c.status = 1
			continue
		}
		c.println(value)
	}
	return nil
}
