//go:build linux

package engine

import (
	"bytes"
	"fmt"
	"strings"
)

// DefaultDetachKeys are Docker's.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ParseKeys reads --detach-keys: keys with commas between them, each a character or ctrl- and one of a to z, @ [ \ ]
// ^ and _.
func ParseKeys(text string) (keys []byte, err error) {
	for part := range strings.SplitSeq(text, ",") {
		control, isControl := strings.CutPrefix(part, "ctrl-")
		switch {
		case isControl && len(control) == 1 && (control[0] >= 'a' && control[0] <= 'z' || strings.ContainsAny(control, `@[\]^_`)):
			keys = append(keys, control[0]&0x1f)
		case len(part) == 1:
			keys = append(keys, part[0])
		default:
			return nil, fmt.Errorf("--detach-keys %q: %q: want a character, or ctrl- and a letter or one of @ [ \\ ] ^ _", text, part)
		}
	}
	return keys, nil
}

// A keyFilter looks for keys in what is typed. What may be their beginning is kept back until it is not.
type keyFilter struct {
	keys []byte
	seen int
}

// pass returns what is to be passed on, and whether all keys have been typed.
func (f *keyFilter) pass(text []byte) (rest []byte, found bool) {
	if len(f.keys) == 0 {
		return text, false
	}
	for i, key := range text {
		// Until the keys are typed to the end it is not known that they are not meant: then the beginning follows.
		for f.seen > 0 && key != f.keys[f.seen] {
			back := f.fallBack()
			rest = append(rest, f.keys[:f.seen-back]...)
			f.seen = back
		}
		if key == f.keys[f.seen] {
			if f.seen++; f.seen == len(f.keys) {
				return rest, true
			}
			continue
		}
		rest = append(rest, text[i])
	}
	return rest, false
}

// fallBack is how much of what was seen is a beginning of the keys again, if the first is not counted.
func (f *keyFilter) fallBack() int {
	for n := f.seen - 1; n > 0; n-- {
		if bytes.HasSuffix(f.keys[:f.seen], f.keys[:n]) {
			return n
		}
	}
	return 0
}
