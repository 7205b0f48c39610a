//go:build linux

package runtime

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// An object is one that is being written as JSON.
type object struct {
	text []byte
	err  error
}

// name begins a field.
func (w *object) name(name string) {
	switch n := len(w.text); {
	case n == 0:
		w.text = append(w.text, '{')
	case w.text[n-1] != '{':
		w.text = append(w.text, ',')
	}
	w.quoted(name)
	w.text = append(w.text, ':')
}

// quoted writes a string; encoding/json does it where there is something to escape.
func (w *object) quoted(s string) {
	if strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c > '~' || strings.ContainsRune(`"\<>&`, c) }) {
		w.marshal(s)
		return
	}
	w.text = append(append(append(w.text, '"'), s...), '"')
}

func (w *object) marshal(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		w.err = err
	}
	w.text = append(w.text, text...)
}

func (w *object) any(name string, value any) {
	w.name(name)
	w.marshal(value)
}

func (w *object) string(name, value string) {
	w.name(name)
	w.quoted(value)
}

func (w *object) number(name string, value uint64) {
	w.name(name)
	w.text = strconv.AppendUint(w.text, value, 10)
}

// flag writes what is true.
func (w *object) flag(name string, value bool) {
	if value {
		w.name(name)
		w.text = append(w.text, "true"...)
	}
}

func (w *object) object(name string, fields func()) {
	w.name(name)
	w.text = append(w.text, '{')
	fields()
	w.text = append(w.text, '}')
}

func (w *object) strings(name string, values map[string]string) {
	if values == nil {
		w.any(name, nil)
		return
	}
	w.object(name, func() {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			w.string(key, values[key])
		}
	})
}

func (w *object) list(name string, values []string) {
	if values == nil {
		w.any(name, nil)
		return
	}
	w.name(name)
	w.text = append(w.text, '[')
	for i, value := range values {
		if i > 0 {
			w.text = append(w.text, ',')
		}
		w.quoted(value)
	}
	w.text = append(w.text, ']')
}
