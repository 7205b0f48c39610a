//go:build linux

package lab

import (
	"bufio"
	"slices"
	"strconv"
	"strings"
)

func runCut(c *call) error {
	o, err := c.options("d:f:c:b:s")
	if err != nil {
		return err
	}
	list := o.value('f', o.value('c', o.value('b', "")))
	chosen, err := parseRanges(list)
	if err != nil {
		return err
	}
	separator := o.value('d', "\t")
	return c.eachLine(o.rest, func(line string) error {
		if !o.has('f') {
			var out []rune
			for i, r := range []rune(line) {
				if chosen(i + 1) {
					out = append(out, r)
				}
			}
			c.println(string(out))
			return nil
		}
		parts := strings.Split(line, separator)
		if len(parts) == 1 {
			if !o.has('s') {
				c.println(line)
			}
			return nil
		}
		var out []string
		for i, part := range parts {
			if chosen(i + 1) {
				out = append(out, part)
			}
		}
		c.println(strings.Join(out, separator))
		return nil
	})
}

// parseRanges reads "1,3-5,7-".
func parseRanges(list string) (func(int) bool, error) {
	var ranges [][2]int
	for part := range strings.SplitSeq(list, ",") {
		from, to, dash := strings.Cut(part, "-")
		bounds := [2]int{1, 1 << 30}
		for i, text := range []string{from, to} {
			if text == "" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, usagef("%q is not a list of positions", list)
			}
			bounds[i] = n
		}
		if !dash {
			bounds[1] = bounds[0]
		}
		if part == "" || part == "-" {
			return nil, usagef("%q is not a list of positions", list)
		}
		ranges = append(ranges, bounds)
	}
	return func(n int) bool {
		return slices.ContainsFunc(ranges, func(r [2]int) bool { return n >= r[0] && n <= r[1] })
	}, nil
}

func runTr(c *call) error {
	o, err := c.options("dsc")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 || len(o.rest) < 2 && !o.has('d') && !o.has('s') {
		return usagef("usage: tr [-ds] SET1 [SET2]")
	}
	from := expandSet(o.rest[0])
	to := ""
	if len(o.rest) > 1 {
		to = expandSet(o.rest[1])
	}
	in := bufio.NewReader(c.in)
	last := -1
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil
		}
		at := strings.IndexByte(from, b)
		if o.has('c') {
			if at >= 0 {
				at = -1
			} else {
				at = len(from) - 1
			}
		}
		switch {
		case at >= 0 && o.has('d'):
			continue
		case at >= 0 && to != "":
			b = to[min(at, len(to)-1)]
		}
		if o.has('s') && at >= 0 && int(b) == last {
			continue
		}
		last = int(b)
		if err := c.out.WriteByte(b); err != nil {
			return err
		}
		if b == '\n' && in.Buffered() == 0 {
			_ = c.out.Flush() // a pipe shows lines as they come
		}
	}
}

// expandSet expands a-z, \n and the classes of tr(1).
func expandSet(set string) string {
	for class, chars := range map[string]string{"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:digit:]": "0-9",
		"[:alpha:]": "A-Za-z", "[:alnum:]": "A-Za-z0-9", "[:space:]": " \t\n\r\v\f"} {
		set = strings.ReplaceAll(set, class, chars)
	}
	set = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`).Replace(set)
	var out strings.Builder
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' && set[i] <= set[i+2] {
			for b := int(set[i]); b <= int(set[i+2]); b++ {
				out.WriteByte(byte(b))
			}
			i += 2
			continue
		}
		out.WriteByte(set[i])
	}
	return out.String()
}
