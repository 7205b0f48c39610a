//go:build linux

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// definer is what the two kinds of flag sets have in common.
type definer interface {
	StringVarP(p *string, name, short, initial, usage string)
	StringVar(p *string, name, initial, usage string)
	BoolVarP(p *bool, name, short string, initial bool, usage string)
	BoolVar(p *bool, name string, initial bool, usage string)
	IntVar(p *int, name string, initial int, usage string)
	Duration(name string, initial time.Duration, usage string) *time.Duration
	StringArrayVarP(p *[]string, name, short string, initial []string, usage string)
	Int64SliceVarP(p *[]int64, name, short string, initial []int64, usage string)
	SetInterspersed(bool)
	Parse([]string) error
	Args() []string
}

// parsed is what comes of a command line: all the values, and the arguments.
func parsed(set definer, interspersed bool, line []string) (string, error) {
	var values struct {
		text, name  string
		force, tty  bool
		number      int
		env         []string
		groups      []int64
		description string
	}
	set.StringVarP(&values.text, "text", "t", "none", "a text")
	set.StringVar(&values.name, "name", "", "a name")
	set.BoolVarP(&values.force, "force", "f", false, "a switch")
	set.BoolVarP(&values.tty, "tty", "i", false, "another one")
	set.IntVar(&values.number, "number", 3, "a number")
	interval := set.Duration("interval", time.Second, "a time")
	set.StringArrayVarP(&values.env, "env", "e", nil, "several")
	set.Int64SliceVarP(&values.groups, "groups", "g", nil, "numbers")
	set.SetInterspersed(interspersed)
	err := set.Parse(line)
	return fmt.Sprintf("%+v %v %q", values, *interval, set.Args()), err
}

// FuzzFlagSet: pflag, which the verbs for people use, takes every command line alike.
func FuzzFlagSet(f *testing.F) {
	for _, seed := range []string{
		"a b", "--text x --name=y z", "-t x -ty -t=z", "-fit x", "-if -f=false", "--force=false --tty", "--force x", "--number 0x10",
		"--number=-1", "--number x", "--interval 5s a", "-e A=1 -eB=2 --env C", "-g 1,2 -g3", "-g 1,x", "-- -t", "a -- b", "a -f b",
		"-", "--", "---", "--=", "--=x", "-=", "-x", "-t", "--text", "--unknown", "--force=maybe", "--text=", "-t=", "-f=", "--text --name",
		"-ft", "-tf", "--te x",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, interspersed bool) {
		if strings.Contains(text, "test.") || strings.Contains(text, "-h") { // of these pflag makes something else
			return
		}
		line := strings.Split(text, " ")
		theirs := pflag.NewFlagSet("test", pflag.ContinueOnError)
		theirs.Usage = func() {}
		want, wrong := parsed(theirs, interspersed, line)
		got, err := parsed(newFlagSet("test"), interspersed, line)
		if (err != nil) != (wrong != nil) || err == nil && got != want {
			t.Errorf("%q: %s, %v\nwant %s, %v", line, got, err, want, wrong)
		}
	})
}
