//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

var textCommands = []command{
	{"echo", "print its arguments: echo [-ne] TEXT...", runEcho},
	{"printf", "print by a format: printf FORMAT [ARG...]", runPrintf},
	{"test", "compare: test EXPRESSION", runAsBuiltin},
	{"[", "the same: [ EXPRESSION ]", runAsBuiltin},
	{"true", "succeed", func(*call) error { return nil }},
	{"false", "fail", func(*call) error { return exitCode(1) }},
	{"yes", "print y until stopped: yes [TEXT]", runYes},
	{"seq", "count: seq [FIRST [STEP]] LAST", runSeq},
	{"head", "print the first lines: head [-n N | -c N] [FILE...]", runHead},
	{"tail", "print the last lines: tail [-n N | -c N] [-f] [FILE...]", runTail},
	{"wc", "count lines, words, bytes: wc [-lwc] [FILE...]", runWc},
	{"grep", "print lines that match: grep [-qvicnlEFroxw] PATTERN [FILE...]", runGrep},
	{"sort", "sort lines: sort [-rnuh] [-k N] [-t C] [FILE...]", runSort},
	{"uniq", "drop repeated lines: uniq [-cdu] [FILE]", runUniq},
	{"cut", "print parts of lines: cut -d C -f LIST | -c LIST [FILE...]", runCut},
	{"tr", "replace characters: tr [-ds] SET1 [SET2]", runTr},
	{"rev", "reverse lines", runRev},
	{"sha256sum", "print SHA-256 digests: sha256sum [FILE...]", func(c *call) error { return runDigest(c, sha256.New) }},
	{"md5sum", "print MD5 digests: md5sum [FILE...]", func(c *call) error { return runDigest(c, md5.New) }},
	{"hexdump", "print bytes as hexadecimal: hexdump [-C] [-n N] [FILE]", runHexdump},
}

// eachLine calls f with every line of the files. A line may be long, but not endless.
func (c *call) eachLine(paths []string, f func(line string) error) error {
	var failed error
	c.inputs(paths, func(_ string, r io.Reader) error {
		return scanLines(r, func(line string) bool {
			failed = f(line)
			return failed == nil
		})
	})
	return failed
}

// scanLines reads lines until f returns false.
func scanLines(r io.Reader, f func(line string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		if !f(lines.Text()) {
			return nil
		}
	}
	return lines.Err()
}

func runWc(c *call) error {
	o, err := c.options("lwcm")
	if err != nil {
		return err
	}
	if len(o.values) == 0 {
		o.values = map[byte][]string{'l': {""}, 'w': {""}, 'c': {""}}
	}
	var total [4]int
	show := func(n [4]int, name string) {
		var parts []string
		for i, letter := range []byte("lwcm") {
			if o.has(letter) {
				parts = append(parts, strconv.Itoa(n[i]))
			}
		}
		if name != "-" {
			parts = append(parts, name)
		}
		c.println(strings.Join(parts, " "))
	}
	c.inputs(o.rest, func(name string, r io.Reader) error {
		all, err := io.ReadAll(r)
		n := [4]int{bytes.Count(all, []byte("\n")), len(bytes.Fields(all)), len(all), utf8.RuneCount(all)}
		show(n, name)
		for i := range n {
			total[i] += n[i]
		}
		return err
	})
	if len(o.rest) > 1 {
		show(total, "total")
	}
	return nil
}

func runRev(c *call) error {
	return c.eachLine(c.args, func(line string) error {
		runes := []rune(line)
		slices.Reverse(runes)
		c.println(string(runes))
		return nil
	})
}
