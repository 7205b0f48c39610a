//go:build linux

package lab

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
)

func runDigest(c *call, algorithm func() hash.Hash) error {
	o, err := c.options("b")
	if err != nil {
		return err
	}
	c.inputs(o.rest, func(name string, r io.Reader) error {
		h := algorithm()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		c.printf("%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
		return nil
	})
	return nil
}

func runHexdump(c *call) error {
	o, err := c.options("Cn:v")
	if err != nil {
		return err
	}
	limit := int64(1 << 62)
	if o.has('n') {
		if limit, err = parseSize(o.value('n', "")); err != nil {
			return usagef("%v", err)
		}
	}
	c.inputs(o.rest, func(_ string, r io.Reader) error {
		dumper := hex.Dumper(c.out)
		_, err := io.Copy(dumper, io.LimitReader(r, limit))
		return errors.Join(err, dumper.Close())
	})
	return nil
}
