//go:build linux

package confine

import (
	"fmt"
	"strconv"
	"strings"
)

// numbers reads a list such as 0-3,7, which is how the kernel writes sets of processors and of memory nodes
// (cpuset(7)), into bits. limit is the first number that is too large.
func numbers(list string, limit int) ([]uint64, error) {
	var words []uint64
	for _, item := range strings.Split(list, ",") {
		from, to, isRange := strings.Cut(strings.TrimSpace(item), "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		if err != nil || err2 != nil || first < 0 || first > last {
			return nil, fmt.Errorf("%q: want a list such as 0-3,7", list)
		}
		if last >= limit {
			return nil, fmt.Errorf("%q: want numbers below %d", list, limit)
		}
		for len(words) <= last/64 {
			words = append(words, 0)
		}
		for n := first; n <= last; n++ {
			words[n/64] |= 1 << (n % 64)
		}
	}
	return words, nil
}
