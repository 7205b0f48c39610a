//go:build linux

package confine

import (
	"cmp"
	"slices"
	"sync"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A numbered call is a row of the table of calls, looked at from one ABI.
type numbered struct {
	number int32
	name   string
}

// byNumber has the calls of each ABI sorted by number. It is made when somebody first asks: those who start
// containers never do.
var byNumber [abiCount]func() []numbered

func init() {
	for column := range byNumber {
		byNumber[column] = sync.OnceValue(func() []numbered { return sortByNumber(column) })
	}
}

func sortByNumber(column int) (list []numbered) {
	for _, c := range calls {
		if c.numbers[column] >= 0 {
			list = append(list, numbered{c.numbers[column], c.name})
		}
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	return list
}

// CallName returns the name of a system call, as programs with this value of audit_arch (AUDIT_ARCH_*) number
// it, and the architecture that a profile would have it under. An unknown number has no name.
func CallName(audit uint32, number uint32) (name string, arch specs.Arch) {
	for column, a := range abis {
		if a.audit != audit || (column == x32) != (column != arm && number&x32Bit != 0) {
			continue
		}
		list := byNumber[column]()
		i, ok := slices.BinarySearchFunc(list, int32(number), func(n numbered, number int32) int {
			return cmp.Compare(n.number, number)
		})
		if ok {
			name = list[i].name
		}
		return name, a.name
	}
	return "", ""
}

// CallNumber returns the number that programs of an architecture know a system call by.
func CallNumber(arch specs.Arch, name string) (number uint32, ok bool) {
	c := lookup(name)
	column := slices.IndexFunc(abis[:], func(a abi) bool { return a.name == arch })
	if c == nil || column < 0 || c.numbers[column] < 0 {
		return 0, false
	}
	return uint32(c.numbers[column]), true
}

// CallNames returns the names of all system calls of an architecture, sorted.
func CallNames(arch specs.Arch) (names []string) {
	for _, c := range calls {
		if _, ok := CallNumber(arch, c.name); ok {
			names = append(names, c.name)
		}
	}
	return names
}
