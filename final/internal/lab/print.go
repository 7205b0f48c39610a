//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// runEcho ends at the first argument that is not an option, as bash's does.
func runEcho(c *call) error {
	args, newline, escapes := c.args, true, false
	for len(args) > 0 && echoOption.MatchString(args[0]) {
		for _, letter := range args[0][1:] {
			switch letter {
			case 'n':
				newline = false
			default:
				escapes = letter == 'e'
			}
		}
		args = args[1:]
	}
	text := strings.Join(args, " ")
	if escapes {
		text, _, _ = expand.Format(nil, text, nil) // an escape it does not know stays as it is
	}
	c.printf("%s", text)
	if newline {
		c.println()
	}
	return nil
}

var echoOption = regexp.MustCompile(`^-[neE]+$`)

// runPrintf uses the format again while arguments are left.
func runPrintf(c *call) error {
	if len(c.args) == 0 {
		return usagef("printf FORMAT [ARG...]")
	}
	format, args := c.args[0], c.args[1:]
	for {
		text, used, err := expand.Format(nil, format, args)
		if err != nil {
			return err
		}
		c.printf("%s", text)
		if args = args[used:]; used == 0 || len(args) == 0 {
			return nil
		}
	}
}

// runAsBuiltin runs one of the interpreter's builtins as a program of its own.
func runAsBuiltin(c *call) error {
	words := []*syntax.Word{wordOf("builtin")}
	for _, arg := range append([]string{c.name}, c.args...) {
		words = append(words, &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: arg}}})
	}
	r, err := interp.New(interp.StdIO(c.in, c.out, c.err))
	if err != nil {
		return err
	}
	err = r.Run(context.Background(), statementOf(&syntax.CallExpr{Args: words}))
	if code, ok := errors.AsType[interp.ExitStatus](err); ok {
		return exitCode(code)
	}
	return err
}

func runYes(c *call) error {
	text := "y"
	if len(c.args) > 0 {
		text = strings.Join(c.args, " ")
	}
	for {
		if _, err := fmt.Fprintln(c.out, text); err != nil {
			return err
		}
	}
}

func runSeq(c *call) error {
	first, step, last := 1.0, 1.0, 0.0
	into := map[int][]*float64{1: {&last}, 2: {&first, &last}, 3: {&first, &step, &last}}[len(c.args)]
	if into == nil {
		return usagef("usage: seq [FIRST [STEP]] LAST")
	}
	for i, arg := range c.args {
		n, err := strconv.ParseFloat(arg, 64)
		if err != nil {
			return usagef("%q is not a number", arg)
		}
		*into[i] = n
	}
	if step == 0 {
		return usagef("a step of 0 goes nowhere")
	}
	for i := 0; ; i++ {
		n := first + float64(i)*step
		if step > 0 && n > last || step < 0 && n < last {
			return nil
		}
		if _, err := fmt.Fprintln(c.out, strconv.FormatFloat(n, 'f', -1, 64)); err != nil {
			return err
		}
	}
}
