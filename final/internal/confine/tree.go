//go:build linux

package confine

import (
	"slices"

	"golang.org/x/sys/unix"
)

// A verdict is what a filter says about a call: the outcome of the first rule whose conditions hold, else
// ret.
type verdict struct {
	rules []int
	ret   uint32
}

func (v verdict) equal(w verdict) bool { return v.ret == w.ret && slices.Equal(v.rules, w.rules) }

// A span is a range of numbers with one verdict. It ends where the next begins.
type span struct {
	first uint32
	verdict
}

// place appends a span, unless it only continues the last one. Where both begin at one number, it replaces
// the last one.
func place(spans []span, s span) []span {
	if n := len(spans); n > 0 && spans[n-1].first == s.first {
		spans = spans[:n-1]
	}
	if n := len(spans); n > 0 && spans[n-1].equal(s.verdict) {
		return spans
	}
	return append(spans, s)
}

// spans divides all numbers of calls in an ABI, those of x32 among those of x86_64.
func (p *policy) spans(column int) []span {
	entries := p.entries[column]
	if column == x86_64 {
		entries = append(entries, p.entries[x32]...)
	}
	slices.Sort(entries)

	background := p.background(column)
	spans := make([]span, 0, len(entries))
	placed := 0 // of the background
	for len(entries) > 0 {
		number, n := entries[0].number(), 1
		for n < len(entries) && entries[n].number() == number {
			n++
		}
		for ; placed < len(background) && background[placed].first <= number; placed++ {
			spans = place(spans, background[placed])
		}
		spans = place(spans, span{number, p.verdict(entries[:n])})
		spans = place(spans, span{number + 1, background[placed-1].verdict})
		entries = entries[n:]
	}
	for _, s := range background[placed:] {
		spans = place(spans, s)
	}
	return spans
}

// background is what holds for numbers without a rule. The first span begins at 0.
func (p *policy) background(column int) []span {
	known, newer := verdict{ret: p.otherwise}, verdict{ret: p.enosys()}
	spans := p.upTo(nil, column, 0, known, newer)
	switch column {
	case arm:
		spans = append(spans, span{armPrivate, known})
	case x86_64:
		// -1 is no number of x32: a tracer that wants a call left out makes it that (ptrace(2)).
		last := span{^uint32(0), spans[len(spans)-1].verdict}
		if slices.Contains(p.abis, x32) {
			spans = p.upTo(spans, x32, x32Bit, known, newer)
		} else {
			spans = append(spans, span{x32Bit, verdict{ret: unlisted}})
		}
		spans = append(spans, last)
	}
	return spans
}

// upTo appends the numbers of an ABI that are as old as the profile, from first on, and the newer ones. If
// the profile names none, nothing is known about its age.
func (p *policy) upTo(spans []span, column int, first uint32, known, newer verdict) []span {
	spans = append(spans, span{first, known})
	if end := p.last[column]; end > 0 {
		spans = append(spans, span{uint32(end), newer})
	}
	return spans
}

// verdict sums up the entries for one call: the first without conditions, or all that have some.
func (p *policy) verdict(entries []entry) verdict {
	for _, e := range entries {
		if r := p.rules[e.rule()]; len(r.conditions) == 0 {
			return verdict{ret: r.ret}
		}
	}
	v := verdict{ret: p.otherwise}
	for _, e := range entries {
		v.rules = append(v.rules, e.rule())
	}
	return v
}

// program writes the filter: which ABI, which call, which arguments.
func (p *policy) program() []unix.SockFilter {
	a := &assembler{returns: map[uint32]label{}}
	next := a.ret(unlisted)
	for _, column := range slices.Backward(p.abis) { // the machine's own is asked for first
		if column == x32 {
			continue
		}
		t := &tree{assembler: a, policy: p, narrow: abis[column].narrow}
		number := a.load(dataNumber, t.search(p.spans(column)))
		next = a.branch(unix.BPF_JEQ, abis[column].audit, number, next)
	}
	a.load(dataArch, next)
	return a.program()
}

// A tree is the part of a program for one ABI.
type tree struct {
	*assembler
	policy *policy
	narrow bool
	leaves []leaf // those with conditions
}

type leaf struct {
	verdict
	at label
}

// search finds the span of the number that was read: is it in the upper half of them?
func (t *tree) search(spans []span) label {
	if len(spans) == 1 {
		return t.leaf(spans[0].verdict)
	}
	middle := len(spans) / 2
	upper := t.search(spans[middle:])
	lower := t.search(spans[:middle])
	return t.branch(unix.BPF_JGE, spans[middle].first, upper, lower)
}

// leaf carries out a verdict. Calls with the same one share it.
func (t *tree) leaf(v verdict) label {
	if len(v.rules) == 0 {
		return t.ret(v.ret)
	}
	for _, known := range t.leaves {
		if known.equal(v) {
			return known.at
		}
	}
	at := t.ret(v.ret)
	for _, i := range slices.Backward(v.rules) {
		at = t.rule(t.policy.rules[i], at)
	}
	t.leaves = append(t.leaves, leaf{v, at})
	return at
}

// rule returns its outcome if all its conditions hold, else it goes on at next.
func (t *tree) rule(r rule, next label) label {
	at := t.ret(r.ret)
	for _, c := range slices.Backward(r.conditions) {
		at = t.condition(c, t.narrow, at, next)
	}
	return at
}
