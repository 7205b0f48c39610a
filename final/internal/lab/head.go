//go:build linux

package lab

import (
	"io"
	"strings"
	"time"
)

// countOption understands `head -5` for `head -n 5`.
func (c *call) countOption() {
	for i, arg := range c.args {
		if len(arg) > 1 && arg[0] == '-' && strings.Trim(arg[1:], "0123456789") == "" {
			c.args[i] = "-n" + arg[1:]
		}
	}
}

func runHead(c *call) error {
	c.countOption()
	o, err := c.options("n:c:q")
	if err != nil {
		return err
	}
	count, err := o.int('n', 10)
	if err != nil {
		return err
	}
	bytes, err := o.int('c', -1)
	if err != nil {
		return err
	}
	files := 0
	c.inputs(o.rest, func(name string, r io.Reader) error {
		c.title(name, len(o.rest), &files)
		if bytes >= 0 {
			_, err := io.Copy(c.out, io.LimitReader(r, int64(bytes)))
			return err
		}
		// Line by line from the reader, without reading ahead of what is printed by more than a buffer.
		n := 0
		if n >= count {
			return nil
		}
		return scanLines(r, func(line string) bool {
			c.println(line)
			n++
			return n < count
		})
	})
	return nil
}

// title prints ==> name <== between several files.
func (c *call) title(name string, files int, before *int) {
	if files < 2 {
		return
	}
	if *before > 0 {
		c.println()
	}
	*before++
	c.printf("==> %s <==\n", name)
}

func runTail(c *call) error {
	c.countOption()
	o, err := c.options("n:c:fFq")
	if err != nil {
		return err
	}
	fromStart := strings.HasPrefix(o.value('n', ""), "+")
	count, err := o.int('n', 10)
	if err != nil {
		return err
	}
	bytes, err := o.int('c', -1)
	if err != nil {
		return err
	}
	files := 0
	c.inputs(o.rest, func(name string, r io.Reader) error {
		c.title(name, len(o.rest), &files)
		if bytes >= 0 {
			all, err := io.ReadAll(r)
			_, _ = c.out.Write(all[max(0, len(all)-bytes):]) // an error shows at the end
			return err
		}
		err := c.lastLines(r, count, fromStart)
		if !o.has('f') && !o.has('F') {
			return err
		}
		return c.follow(r)
	})
	return nil
}

func (c *call) lastLines(r io.Reader, count int, fromStart bool) error {
	var last []string
	n := 0
	err := scanLines(r, func(line string) bool {
		n++
		if fromStart {
			if n >= count {
				c.println(line)
			}
			return true
		}
		last = append(last, line)
		if len(last) > max(count, 0) {
			last = last[1:]
		}
		return true
	})
	for _, line := range last {
		c.println(line)
	}
	return err
}

// follow prints what is appended, until interrupted.
func (c *call) follow(r io.Reader) error {
	ctx, stop := interruptible()
	defer stop()
	for ctx.Err() == nil {
		if _, err := io.Copy(c.out, r); err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}
