//go:build linux

package console

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// DefaultDetachKeys are Docker's.
const DefaultDetachKeys = "ctrl-p,ctrl-q"

// ErrDetached says that a connection was ended by its keys. What it led to runs on.
var ErrDetached = errors.New("detached")

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

// A KeyFilter looks for keys in what is typed. What may be their beginning is kept back until it is not.
type KeyFilter struct {
	Keys []byte // in a row; without any all is passed on
	seen int
}

// Pass returns what is to be passed on, and whether all keys have been typed.
func (f *KeyFilter) Pass(text []byte) (rest []byte, found bool) {
	if len(f.Keys) == 0 {
		return text, false
	}
	for i, key := range text {
		// Until the keys are typed to the end it is not known that they are not meant: then the beginning follows.
		for f.seen > 0 && key != f.Keys[f.seen] {
			back := f.fallBack()
			rest = append(rest, f.Keys[:f.seen-back]...)
			f.seen = back
		}
		if key == f.Keys[f.seen] {
			if f.seen++; f.seen == len(f.Keys) {
				return rest, true
			}
			continue
		}
		rest = append(rest, text[i])
	}
	return rest, false
}

// fallBack is how much of what was seen is a beginning of the keys again, if the first is not counted.
func (f *KeyFilter) fallBack() int {
	for n := f.seen - 1; n > 0; n-- {
		if bytes.HasSuffix(f.Keys[:f.seen], f.Keys[:n]) {
			return n
		}
	}
	return 0
}
