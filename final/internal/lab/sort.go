//go:build linux

package lab

import (
	"slices"
	"strconv"
	"strings"
)

func runSort(c *call) error {
	o, err := c.options("rnuhk:t:f")
	if err != nil {
		return err
	}
	var lines []string
	if err := c.eachLine(o.rest, func(line string) error { lines = append(lines, line); return nil }); err != nil {
		return err
	}
	field, err := strconv.Atoi(strings.TrimRight(strings.Split(o.value('k', "0"), ",")[0], "nrh"))
	if err != nil {
		return usagef("option '-k': %q is not a field", o.value('k', ""))
	}
	numeric := o.has('n') || o.has('h') || strings.Contains(o.value('k', ""), "n")
	compare := func(a, b string) int {
		ka, kb := sortKey(a, field, o.value('t', "")), sortKey(b, field, o.value('t', ""))
		if o.has('f') {
			ka, kb = strings.ToLower(ka), strings.ToLower(kb)
		}
		if numeric {
			if na, nb := leadingNumber(ka), leadingNumber(kb); na != nb {
				if na < nb {
					return -1
				}
				return 1
			}
			if o.has('u') {
				return 0
			}
		}
		return strings.Compare(ka, kb)
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		if o.has('r') || strings.Contains(o.value('k', ""), "r") {
			return compare(b, a)
		}
		return compare(a, b)
	})
	if o.has('u') {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return compare(a, b) == 0 })
	}
	for _, line := range lines {
		c.println(line)
	}
	return nil
}

func sortKey(line string, field int, separator string) string {
	if field < 1 {
		return line
	}
	parts := strings.Fields(line)
	if separator != "" {
		parts = strings.Split(line, separator)
	}
	if field > len(parts) {
		return ""
	}
	return strings.Join(parts[field-1:], " ")
}

// leadingNumber reads the number at the front, with the units of `du -h`.
func leadingNumber(s string) float64 {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && strings.IndexByte("0123456789.-+", s[end]) >= 0 {
		end++
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0
	}
	if end < len(s) {
		for range strings.IndexByte("KMGTP", s[end]) + 1 {
			n *= 1024
		}
	}
	return n
}

func runUniq(c *call) error {
	o, err := c.options("cdu")
	if err != nil {
		return err
	}
	last, count := "", 0
	flush := func() {
		switch {
		case count == 0 || o.has('d') && count < 2 || o.has('u') && count > 1:
		case o.has('c'):
			c.printf("%7d %s\n", count, last)
		default:
			c.println(last)
		}
	}
	err = c.eachLine(o.rest[:min(1, len(o.rest))], func(line string) error {
		if count == 0 || line != last {
			flush()
			last, count = line, 0
		}
		count++
		return nil
	})
	flush()
	return err
}
