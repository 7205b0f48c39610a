//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Engines say by annotations what else systemd is to know of the unit. The values are of GVariant's text format
// (https://docs.gtk.org/glib/gvariant-text-format.html), or as much of it as is in use:
//
//	org.systemd.property.KillSignal        37
//	org.systemd.property.TimeoutStopUSec   uint64 10000000
//	org.systemd.property.CollectMode       'inactive-or-failed'
//	org.systemd.property.After             ['crio.service']

// PropertyPrefix is what these annotations begin with.
const PropertyPrefix = "org.systemd.property."

// Annotate takes them off the container's annotations. Without systemd they mean nothing.
func (g *Group) Annotate(annotations map[string]string) error {
	if g.unit == nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, PropertyPrefix)
		if !ok {
			continue
		}
		value, err := parseVariant(strings.TrimSpace(annotations[key]))
		if err == nil && (name == "" || strings.ContainsFunc(name, notLetter)) {
			err = errors.New("not the name of a property")
		}
		if err != nil {
			return fmt.Errorf("annotations[%q]: %q: %w", key, annotations[key], err)
		}
		g.unit.properties = append(g.unit.properties, prop(name, value))
	}
	return nil
}

func notLetter(c rune) bool { return (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') }

// parseVariant reads a value. A number without a type is an int32.
func parseVariant(text string) (any, error) {
	kind, digits, typed := strings.Cut(text, " ")
	if !typed {
		kind, digits = "int32", text
	}
	list, isList := strings.CutPrefix(text, "[")
	switch {
	case text == "true" || text == "false":
		return text == "true", nil
	case isList:
		return parseStrings(list)
	case strings.HasPrefix(text, "'") || strings.HasPrefix(text, `"`):
		value, rest, err := parseQuoted(text)
		if err == nil && rest != "" {
			err = errors.New("more than a string")
		}
		return value, err
	case kind == "int32":
		n, err := strconv.ParseInt(digits, 10, 32)
		return int32(n), reason(err)
	case kind == "uint32":
		n, err := strconv.ParseUint(digits, 10, 32)
		return uint32(n), reason(err)
	case kind == "int64":
		n, err := strconv.ParseInt(digits, 10, 64)
		return n, reason(err)
	case kind == "uint64":
		n, err := strconv.ParseUint(digits, 10, 64)
		return n, reason(err)
	}
	return nil, reason(errors.ErrUnsupported)
}

func reason(err error) error {
	if err != nil {
		return errors.New("want true, false, 7, uint64 7 (or uint32, int64), 'text' or ['text', ...]")
	}
	return nil
}

// parseStrings reads a list behind its bracket.
func parseStrings(text string) (list []string, err error) {
	for text = strings.TrimSpace(text); text != "]"; {
		item, rest, err := parseQuoted(text)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		rest = strings.TrimSpace(rest)
		next, more := strings.CutPrefix(rest, ",")
		if !more && rest != "]" {
			return nil, reason(errors.ErrUnsupported)
		}
		text = strings.TrimSpace(next)
	}
	return list, nil
}

// parseQuoted reads a string in quotes of either kind, without escapes.
func parseQuoted(text string) (value, rest string, err error) {
	if text != "" && (text[0] == '\'' || text[0] == '"') {
		if value, rest, ok := strings.Cut(text[1:], text[:1]); ok && !strings.Contains(value, `\`) {
			return value, rest, nil
		}
	}
	return "", "", reason(errors.ErrUnsupported)
}
