//go:build linux

package lab

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// options are a command's parsed flags: letter to values, in order.
type options struct {
	values map[byte][]string
	typed  map[byte]string // how the flag was written last: -n or --lines
	rest   []string
}

// errHelp is a --help among the flags.
var errHelp = errors.New("help")

// options parses the command's arguments as getopt(3) does. spec lists the letters, each followed by ':' when
// it takes a value; a leading '+' stops at the first operand, for commands that run another command.
// long maps long names to letters: "recursive=r".
func (c *call) options(spec string, long ...string) (options, error) {
	o := options{values: map[byte][]string{}, typed: map[byte]string{}}
	stopEarly := strings.HasPrefix(spec, "+")
	spec = strings.TrimPrefix(spec, "+")
	args := c.args
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			o.rest = append(o.rest, args...)
			return o, nil
		case arg == "--help":
			return o, errHelp
		case strings.HasPrefix(arg, "--"):
			var err error
			if args, err = o.long(arg, spec, long, args); err != nil {
				return o, err
			}
		case len(arg) > 1 && arg[0] == '-':
			var err error
			if args, err = o.short(arg[1:], spec, args); err != nil {
				return o, err
			}
		case stopEarly:
			o.rest = append(append(o.rest, arg), args...)
			return o, nil
		default:
			o.rest = append(o.rest, arg)
		}
	}
	return o, nil
}

// short takes apart a cluster such as "la" or "n5" and returns the arguments that are left.
func (o *options) short(cluster, spec string, args []string) ([]string, error) {
	for i := 0; i < len(cluster); i++ {
		letter := cluster[i]
		at := strings.IndexByte(spec, letter)
		if at < 0 || letter == ':' {
			return nil, usagef("unrecognized option '-%c'", letter)
		}
		o.typed[letter] = "-" + string(letter)
		if at+1 >= len(spec) || spec[at+1] != ':' {
			o.values[letter] = append(o.values[letter], "")
			continue
		}
		value := cluster[i+1:]
		if value == "" {
			if len(args) == 0 {
				return nil, usagef("option '-%c' needs a value", letter)
			}
			value, args = args[0], args[1:]
		}
		o.values[letter] = append(o.values[letter], value)
		break
	}
	return args, nil
}

func (o *options) long(arg, spec string, long, args []string) ([]string, error) {
	name, value, hasValue := strings.Cut(arg[2:], "=")
	for _, l := range long {
		full, letter, _ := strings.Cut(l, "=")
		if full != name {
			continue
		}
		o.typed[letter[0]] = "--" + name
		at := strings.IndexByte(spec, letter[0])
		takes := at+1 < len(spec) && spec[at+1] == ':'
		switch {
		case takes && !hasValue && len(args) == 0:
			return nil, usagef("option '--%s' needs a value", name)
		case takes && !hasValue:
			value, args = args[0], args[1:]
		case !takes && hasValue:
			return nil, usagef("option '--%s' takes no value", name)
		}
		o.values[letter[0]] = append(o.values[letter[0]], value)
		return args, nil
	}
	return nil, usagef("unrecognized option '%s'", arg)
}

func (o options) has(letter byte) bool { return len(o.values[letter]) > 0 }

// value returns the last value given for the letter.
func (o options) value(letter byte, otherwise string) string {
	if all := o.values[letter]; len(all) > 0 {
		return all[len(all)-1]
	}
	return otherwise
}

func (o options) int(letter byte, otherwise int) (int, error) {
	if !o.has(letter) {
		return otherwise, nil
	}
	n, err := strconv.Atoi(o.value(letter, ""))
	if err != nil {
		return 0, usagef("option '%s': %q is not a number", o.typed[letter], o.value(letter, ""))
	}
	return n, nil
}

func (o options) duration(letter byte, otherwise time.Duration) (time.Duration, error) {
	if !o.has(letter) {
		return otherwise, nil
	}
	d, err := parseDuration(o.value(letter, ""))
	if err != nil {
		return 0, usagef("option '%s': %v", o.typed[letter], err)
	}
	return d, nil
}

// parseDuration reads "5", "0.5", "10s", "2m", "1h", "1d" as sleep(1) does, and Go's "1m30s" and "100ms".
func parseDuration(s string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 1e4 {
			return time.Duration(n * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("invalid time interval %q", s)
	}
	return d, nil
}

// parseSize reads "100m" and the like: bytes with an optional k, m, g (powers of 1024), as dd and docker do.
func parseSize(s string) (int64, error) {
	number := strings.ToLower(strings.TrimSpace(s))
	number = strings.TrimSuffix(strings.TrimSuffix(number, "b"), "i")
	shift := 0
	for i, unit := range []string{"k", "m", "g", "t"} {
		if cut, ok := strings.CutSuffix(number, unit); ok {
			number, shift = cut, 10*(i+1)
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	// Written so that NaN, which ParseFloat reads, is refused as well.
	if err != nil || !(n >= 0) || n*float64(int64(1)<<shift) > 1<<62 {
		return 0, fmt.Errorf("invalid size %q", s)
	}
	return int64(n * float64(int64(1)<<shift)), nil
}

// humanSize prints 1536 as "1.5K", as `ls -h` does.
func humanSize(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	value := float64(n)
	for _, unit := range "KMGTP" {
		value /= 1024
		if value < 1023.5 {
			if value < 9.95 {
				return fmt.Sprintf("%.1f%c", value, unit)
			}
			return fmt.Sprintf("%.0f%c", value, unit)
		}
	}
	return fmt.Sprintf("%.0fE", value/1024)
}
