//go:build linux

package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A flagSet are the flags of an OCI verb, or those before it. Its methods are pflag's, which the verbs for people use;
// that package brings the network along, whose initialisation every start of the program would pay for.
//
//	--bundle DIR  --bundle=DIR  -b DIR  -bDIR  -b=DIR  --force  --force=false  -it  --
type flagSet struct {
	name         string
	interspersed bool // flags may stand behind arguments
	flags        []*flag
	args         []string
}

// A flag is one of them.
type flag struct {
	Name    string
	short   string // one letter, or empty
	kind    string // what its value is called; empty for a switch
	usage   string
	initial string // the value that it has if it is not given, for people
	Value   string // as it was given; the last one, if it was given several times
	given   bool
	set     func(string) error
}

func newFlagSet(name string) *flagSet { return &flagSet{name: name, interspersed: true} }

// SetInterspersed says whether flags may stand behind arguments.
func (s *flagSet) SetInterspersed(may bool) { s.interspersed = may }

// Args are what is left of the command line, NArg how many.
func (s *flagSet) Args() []string { return s.args }
func (s *flagSet) NArg() int      { return len(s.args) }

// Visit calls do for each flag that was given.
func (s *flagSet) Visit(do func(*flag)) {
	for _, f := range s.flags {
		if f.given {
			do(f)
		}
	}
}

// define adds a flag with a value of any type.
func define[T any](s *flagSet, p *T, name, short, kind string, initial T, usage string, parse func(string) (T, error)) {
	*p = initial
	s.flags = append(s.flags, &flag{Name: name, short: short, kind: kind, usage: usage, initial: fmt.Sprint(initial),
		set: func(text string) error {
			value, err := parse(text)
			if err == nil {
				*p = value
			}
			return err
		}})
}

func (s *flagSet) StringVarP(p *string, name, short, initial, usage string) {
	define(s, p, name, short, "string", initial, usage, func(text string) (string, error) { return text, nil })
}

func (s *flagSet) StringVar(p *string, name, initial, usage string) {
	s.StringVarP(p, name, "", initial, usage)
}

func (s *flagSet) StringP(name, short, initial, usage string) *string {
	p := new(string)
	s.StringVarP(p, name, short, initial, usage)
	return p
}

func (s *flagSet) String(name, initial, usage string) *string {
	return s.StringP(name, "", initial, usage)
}

func (s *flagSet) BoolVarP(p *bool, name, short string, initial bool, usage string) {
	define(s, p, name, short, "", initial, usage, strconv.ParseBool)
}

func (s *flagSet) BoolVar(p *bool, name string, initial bool, usage string) {
	s.BoolVarP(p, name, "", initial, usage)
}

func (s *flagSet) BoolP(name, short string, initial bool, usage string) *bool {
	p := new(bool)
	s.BoolVarP(p, name, short, initial, usage)
	return p
}

func (s *flagSet) Bool(name string, initial bool, usage string) *bool {
	return s.BoolP(name, "", initial, usage)
}

func (s *flagSet) IntVar(p *int, name string, initial int, usage string) {
	define(s, p, name, "", "int", initial, usage, func(text string) (int, error) {
		n, err := strconv.ParseInt(text, 0, strconv.IntSize)
		return int(n), err
	})
}

func (s *flagSet) Duration(name string, initial time.Duration, usage string) *time.Duration {
	p := new(time.Duration)
	define(s, p, name, "", "duration", initial, usage, time.ParseDuration)
	return p
}

// StringArrayVarP is for a flag that may be given several times.
func (s *flagSet) StringArrayVarP(p *[]string, name, short string, initial []string, usage string) {
	define(s, p, name, short, "string", initial, usage, func(text string) ([]string, error) { return append(*p, text), nil })
}

// Int64SliceVarP is for one that takes numbers between commas.
func (s *flagSet) Int64SliceVarP(p *[]int64, name, short string, initial []int64, usage string) {
	define(s, p, name, short, "numbers", initial, usage, func(text string) ([]int64, error) {
		list := *p
		for word := range strings.SplitSeq(text, ",") {
			n, err := strconv.ParseInt(word, 0, 64)
			if err != nil {
				return nil, err
			}
			list = append(list, n)
		}
		return list, nil
	})
}

// Parse takes the flags off a command line.
func (s *flagSet) Parse(line []string) error {
	s.args = []string{}
	for len(line) > 0 {
		word := line[0]
		line = line[1:]
		var err error
		switch {
		case word == "--":
			s.args = append(s.args, line...)
			return nil
		case strings.HasPrefix(word, "--"):
			line, err = s.long(word[2:], line)
		case strings.HasPrefix(word, "-") && word != "-":
			line, err = s.letters(word[1:], line)
		case !s.interspersed:
			s.args = append(append(s.args, word), line...)
			return nil
		default:
			s.args = append(s.args, word)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// long reads --name, --name=value or --name value, and returns what comes behind it.
func (s *flagSet) long(word string, line []string) (rest []string, err error) {
	name, value, ok := strings.Cut(word, "=")
	for _, f := range s.flags {
		if f.Name != name || name == "" {
			continue
		}
		switch {
		case ok:
		case f.kind == "":
			value = "true"
		case len(line) == 0:
			return nil, fmt.Errorf("flag needs an argument: --%s", name)
		default:
			value, line = line[0], line[1:]
		}
		return line, f.give(value)
	}
	return nil, fmt.Errorf("unknown flag: --%s", name)
}

// letters reads -a, -abc for switches, and -o value, -ovalue or -o=value.
func (s *flagSet) letters(word string, line []string) (rest []string, err error) {
	for i := range len(word) {
		f := s.letter(word[i : i+1])
		if f == nil {
			return nil, fmt.Errorf("unknown shorthand flag: %q in -%s", word[i:i+1], word)
		}
		behind := word[i+1:]
		switch {
		case len(behind) > 1 && behind[0] == '=':
			return line, f.give(behind[1:])
		case f.kind == "":
			if err := f.give("true"); err != nil {
				return nil, err
			}
			continue
		case behind != "":
			return line, f.give(behind)
		case len(line) == 0:
			return nil, fmt.Errorf("flag needs an argument: %q in -%s", f.short, word)
		}
		return line[1:], f.give(line[0])
	}
	return line, nil
}

func (s *flagSet) letter(short string) *flag {
	for _, f := range s.flags {
		if f.short == short {
			return f
		}
	}
	return nil
}

// give sets a flag to the value that it has on the command line.
func (f *flag) give(value string) error {
	if err := f.set(value); err != nil {
		if number, ok := errors.AsType[*strconv.NumError](err); ok {
			err = number.Err // not the name of Go's function
		}
		return fmt.Errorf("invalid argument %q for %s: %w", value, f.names(), err)
	}
	f.Value, f.given = value, true
	return nil
}

func (f *flag) names() string {
	if f.short == "" {
		return "--" + f.Name
	}
	return "-" + f.short + ", --" + f.Name
}

// FlagUsages is the list of the flags for people.
func (s *flagSet) FlagUsages() string {
	var left []string
	width := 0
	for _, f := range s.flags {
		names := f.names()
		if f.short == "" {
			names = "    " + names
		}
		if f.kind != "" {
			names += " " + f.kind
		}
		left = append(left, names)
		width = max(width, len(names))
	}
	var text strings.Builder
	for i, f := range s.flags {
		fmt.Fprintf(&text, "  %-*s   %s", width, left[i], f.usage)
		switch f.initial {
		case "", "false", "0", "[]":
		default:
			fmt.Fprintf(&text, " (default %s)", f.initial)
		}
		text.WriteString("\n")
	}
	return text.String()
}
