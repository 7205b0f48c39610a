//go:build linux

package lab

import (
	"bufio"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
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

// countOption understands `head -5` for `head -n 5`.
func (c *call) countOption() {
	for i, arg := range c.args {
		if len(arg) > 1 && arg[0] == '-' && strings.Trim(arg[1:], "0123456789") == "" {
			c.args[i] = "-n" + arg[1:]
		}
	}
}

func runHead(c *call) error {
	c.countOption()
	o, err := c.options("n:c:q")
	if err != nil {
		return err
	}
	count, err := o.int('n', 10)
	if err != nil {
		return err
	}
	bytes, err := o.int('c', -1)
	if err != nil {
		return err
	}
	files := 0
	c.inputs(o.rest, func(name string, r io.Reader) error {
		c.title(name, len(o.rest), &files)
		if bytes >= 0 {
			_, err := io.Copy(c.out, io.LimitReader(r, int64(bytes)))
			return err
		}
		// Line by line from the reader, without reading ahead of what is printed by more than a buffer.
		n := 0
		if n >= count {
			return nil
		}
		return scanLines(r, func(line string) bool {
			c.println(line)
			n++
			return n < count
		})
	})
	return nil
}

// title prints ==> name <== between several files.
func (c *call) title(name string, files int, before *int) {
	if files < 2 {
		return
	}
	if *before > 0 {
		c.println()
	}
	*before++
	c.printf("==> %s <==\n", name)
}

func runTail(c *call) error {
	c.countOption()
	o, err := c.options("n:c:fFq")
	if err != nil {
		return err
	}
	fromStart := strings.HasPrefix(o.value('n', ""), "+")
	count, err := o.int('n', 10)
	if err != nil {
		return err
	}
	bytes, err := o.int('c', -1)
	if err != nil {
		return err
	}
	files := 0
	c.inputs(o.rest, func(name string, r io.Reader) error {
		c.title(name, len(o.rest), &files)
		if bytes >= 0 {
			all, err := io.ReadAll(r)
			_, _ = c.out.Write(all[max(0, len(all)-bytes):]) // an error shows at the end
			return err
		}
		err := c.lastLines(r, count, fromStart)
		if !o.has('f') && !o.has('F') {
			return err
		}
		return c.follow(r)
	})
	return nil
}

func (c *call) lastLines(r io.Reader, count int, fromStart bool) error {
	var last []string
	n := 0
	err := scanLines(r, func(line string) bool {
		n++
		if fromStart {
			if n >= count {
				c.println(line)
			}
			return true
		}
		last = append(last, line)
		if len(last) > max(count, 0) {
			last = last[1:]
		}
		return true
	})
	for _, line := range last {
		c.println(line)
	}
	return err
}

// follow prints what is appended, until interrupted.
func (c *call) follow(r io.Reader) error {
	ctx, stop := interruptible()
	defer stop()
	for ctx.Err() == nil {
		if _, err := io.Copy(c.out, r); err != nil {
			return err
		}
		if err := c.out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
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

func runGrep(c *call) error {
	o, err := c.options("qvicnlEFrRoxwshHe:m:", "ignore-case=i", "invert-match=v", "count=c", "quiet=q", "recursive=r", "extended-regexp=E")
	if err != nil {
		return err
	}
	patterns := o.values['e']
	if len(patterns) == 0 {
		if len(o.rest) == 0 {
			return usagef("usage: grep [-qvicnlEFrow] PATTERN [FILE...]")
		}
		patterns, o.rest = strings.Split(o.rest[0], "\n"), o.rest[1:]
	}
	expression, err := grepExpression(patterns, o)
	if err != nil {
		return err
	}
	files := o.rest
	if o.has('r') || o.has('R') {
		files = c.filesBelow(files)
	}
	g := grep{c: c, o: o, expression: expression, named: (len(files) > 1 || o.has('r') || o.has('H')) && !o.has('h')}
	if g.limit, err = o.int('m', 0); err != nil {
		return err
	}
	if o.has('s') {
		c.err = io.Discard
	}
	c.inputs(files, g.file)
	switch {
	case g.found && (o.has('q') || c.status == 0):
		return nil
	case c.status != 0:
		return exitCode(2)
	}
	return exitCode(1)
}

// grepExpression joins the patterns. Basic expressions are turned into Go's syntax, where (, |, + and so on are
// special without a backslash.
func grepExpression(patterns []string, o options) (*regexp.Regexp, error) {
	var parts []string
	for _, p := range patterns {
		switch {
		case o.has('F'):
			p = regexp.QuoteMeta(p)
		case !o.has('E'):
			p = basicToExtended(p)
		}
		if o.has('w') {
			p = `\b(?:` + p + `)\b`
		}
		if o.has('x') {
			p = `^(?:` + p + `)$`
		}
		parts = append(parts, "(?:"+p+")")
	}
	text := strings.Join(parts, "|")
	if o.has('i') {
		text = "(?i)" + text
	}
	expression, err := regexp.Compile(text)
	if err != nil {
		return nil, usagef("%q: %v", strings.Join(patterns, "\n"), err)
	}
	return expression, nil
}

func basicToExtended(p string) string {
	const swapped = "(){}|+?"
	var out strings.Builder
	inBrackets := false
	for i := 0; i < len(p); i++ {
		switch {
		case inBrackets:
			out.WriteByte(p[i])
			inBrackets = p[i] != ']'
		case p[i] == '[':
			inBrackets = true
			out.WriteByte('[')
		case p[i] == '\\' && i+1 < len(p):
			i++
			if strings.IndexByte(swapped, p[i]) < 0 {
				out.WriteByte('\\')
			}
			out.WriteByte(p[i])
		case strings.IndexByte(swapped, p[i]) >= 0:
			out.WriteString("\\" + string(p[i]))
		default:
			out.WriteByte(p[i])
		}
	}
	return out.String()
}

func (c *call) filesBelow(roots []string) []string {
	if len(roots) == 0 {
		roots = []string{"."}
	}
	var files []string
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error { // errors are complained about inside
			if err != nil {
				c.complain(err)
			} else if d.Type().IsRegular() {
				files = append(files, path)
			}
			return nil
		})
	}
	return files
}

type grep struct {
	c          *call
	o          options
	expression *regexp.Regexp
	named      bool
	limit      int
	found      bool
}

func (g *grep) file(name string, r io.Reader) error {
	if f, ok := r.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return fmt.Errorf("%s: is a directory", name)
		}
	}
	prefix := ""
	if g.named {
		prefix = name + ":"
	}
	count, number := 0, 0
	err := scanLines(r, func(line string) bool {
		number++
		if g.expression.MatchString(line) == g.o.has('v') {
			return true
		}
		count++
		g.found = true
		switch {
		case g.o.has('q') || g.o.has('l'):
			return false
		case !g.o.has('c'):
			g.print(prefix, number, line)
		}
		return g.limit == 0 || count < g.limit
	})
	switch {
	case g.o.has('q'):
	case g.o.has('l') && count > 0:
		g.c.println(name)
	case g.o.has('c'):
		g.c.printf("%s%d\n", prefix, count)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (g *grep) print(prefix string, number int, line string) {
	if g.o.has('n') {
		prefix += strconv.Itoa(number) + ":"
	}
	if !g.o.has('o') {
		g.c.println(prefix + line)
		return
	}
	for _, match := range g.expression.FindAllString(line, -1) {
		g.c.println(prefix + match)
	}
}

func runSort(c *call) error {
	o, err := c.options("rnuhk:t:f")
	if err != nil {
		return err
	}
	var lines []string
	if err := c.eachLine(o.rest, func(line string) error { lines = append(lines, line); return nil }); err != nil {
		return err
	}
	field, err := strconv.Atoi(strings.TrimRight(strings.Split(o.value('k', "0"), ",")[0], "nrh"))
	if err != nil {
		return usagef("option '-k': %q is not a field", o.value('k', ""))
	}
	numeric := o.has('n') || o.has('h') || strings.Contains(o.value('k', ""), "n")
	compare := func(a, b string) int {
		ka, kb := sortKey(a, field, o.value('t', "")), sortKey(b, field, o.value('t', ""))
		if o.has('f') {
			ka, kb = strings.ToLower(ka), strings.ToLower(kb)
		}
		if numeric {
			if na, nb := leadingNumber(ka), leadingNumber(kb); na != nb {
				if na < nb {
					return -1
				}
				return 1
			}
			if o.has('u') {
				return 0
			}
		}
		return strings.Compare(ka, kb)
	}
	slices.SortStableFunc(lines, func(a, b string) int {
		if o.has('r') || strings.Contains(o.value('k', ""), "r") {
			return compare(b, a)
		}
		return compare(a, b)
	})
	if o.has('u') {
		lines = slices.CompactFunc(lines, func(a, b string) bool { return compare(a, b) == 0 })
	}
	for _, line := range lines {
		c.println(line)
	}
	return nil
}

func sortKey(line string, field int, separator string) string {
	if field < 1 {
		return line
	}
	parts := strings.Fields(line)
	if separator != "" {
		parts = strings.Split(line, separator)
	}
	if field > len(parts) {
		return ""
	}
	return strings.Join(parts[field-1:], " ")
}

// leadingNumber reads the number at the front, with the units of `du -h`.
func leadingNumber(s string) float64 {
	s = strings.TrimSpace(s)
	end := 0
	for end < len(s) && strings.IndexByte("0123456789.-+", s[end]) >= 0 {
		end++
	}
	n, err := strconv.ParseFloat(s[:end], 64)
	if err != nil {
		return 0
	}
	if end < len(s) {
		for range strings.IndexByte("KMGTP", s[end]) + 1 {
			n *= 1024
		}
	}
	return n
}

func runUniq(c *call) error {
	o, err := c.options("cdu")
	if err != nil {
		return err
	}
	last, count := "", 0
	flush := func() {
		switch {
		case count == 0 || o.has('d') && count < 2 || o.has('u') && count > 1:
		case o.has('c'):
			c.printf("%7d %s\n", count, last)
		default:
			c.println(last)
		}
	}
	err = c.eachLine(o.rest[:min(1, len(o.rest))], func(line string) error {
		if count == 0 || line != last {
			flush()
			last, count = line, 0
		}
		count++
		return nil
	})
	flush()
	return err
}

func runCut(c *call) error {
	o, err := c.options("d:f:c:b:s")
	if err != nil {
		return err
	}
	list := o.value('f', o.value('c', o.value('b', "")))
	chosen, err := parseRanges(list)
	if err != nil {
		return err
	}
	separator := o.value('d', "\t")
	return c.eachLine(o.rest, func(line string) error {
		if !o.has('f') {
			var out []rune
			for i, r := range []rune(line) {
				if chosen(i + 1) {
					out = append(out, r)
				}
			}
			c.println(string(out))
			return nil
		}
		parts := strings.Split(line, separator)
		if len(parts) == 1 {
			if !o.has('s') {
				c.println(line)
			}
			return nil
		}
		var out []string
		for i, part := range parts {
			if chosen(i + 1) {
				out = append(out, part)
			}
		}
		c.println(strings.Join(out, separator))
		return nil
	})
}

// parseRanges reads "1,3-5,7-".
func parseRanges(list string) (func(int) bool, error) {
	var ranges [][2]int
	for part := range strings.SplitSeq(list, ",") {
		from, to, dash := strings.Cut(part, "-")
		bounds := [2]int{1, 1 << 30}
		for i, text := range []string{from, to} {
			if text == "" {
				continue
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return nil, usagef("%q is not a list of positions", list)
			}
			bounds[i] = n
		}
		if !dash {
			bounds[1] = bounds[0]
		}
		if part == "" || part == "-" {
			return nil, usagef("%q is not a list of positions", list)
		}
		ranges = append(ranges, bounds)
	}
	return func(n int) bool {
		return slices.ContainsFunc(ranges, func(r [2]int) bool { return n >= r[0] && n <= r[1] })
	}, nil
}

func runTr(c *call) error {
	o, err := c.options("dsc")
	if err != nil {
		return err
	}
	if len(o.rest) == 0 || len(o.rest) < 2 && !o.has('d') && !o.has('s') {
		return usagef("usage: tr [-ds] SET1 [SET2]")
	}
	from := expandSet(o.rest[0])
	to := ""
	if len(o.rest) > 1 {
		to = expandSet(o.rest[1])
	}
	in := bufio.NewReader(c.in)
	last := -1
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil
		}
		at := strings.IndexByte(from, b)
		if o.has('c') {
			if at >= 0 {
				at = -1
			} else {
				at = len(from) - 1
			}
		}
		switch {
		case at >= 0 && o.has('d'):
			continue
		case at >= 0 && to != "":
			b = to[min(at, len(to)-1)]
		}
		if o.has('s') && at >= 0 && int(b) == last {
			continue
		}
		last = int(b)
		if err := c.out.WriteByte(b); err != nil {
			return err
		}
		if b == '\n' && in.Buffered() == 0 {
			_ = c.out.Flush() // a pipe shows lines as they come
		}
	}
}

// expandSet expands a-z, \n and the classes of tr(1).
func expandSet(set string) string {
	for class, chars := range map[string]string{"[:lower:]": "a-z", "[:upper:]": "A-Z", "[:digit:]": "0-9",
		"[:alpha:]": "A-Za-z", "[:alnum:]": "A-Za-z0-9", "[:space:]": " \t\n\r\v\f"} {
		set = strings.ReplaceAll(set, class, chars)
	}
	set = strings.NewReplacer(`\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\\`, `\`).Replace(set)
	var out strings.Builder
	for i := 0; i < len(set); i++ {
		if i+2 < len(set) && set[i+1] == '-' && set[i] <= set[i+2] {
			for b := int(set[i]); b <= int(set[i+2]); b++ {
				out.WriteByte(byte(b))
			}
			i += 2
			continue
		}
		out.WriteByte(set[i])
	}
	return out.String()
}

func runRev(c *call) error {
	return c.eachLine(c.args, func(line string) error {
		runes := []rune(line)
		slices.Reverse(runes)
		c.println(string(runes))
		return nil
	})
}

func runDigest(c *call, algorithm func() hash.Hash) error {
	o, err := c.options("b")
	if err != nil {
		return err
	}
	c.inputs(o.rest, func(name string, r io.Reader) error {
		h := algorithm()
		if _, err := io.Copy(h, r); err != nil {
			return err
		}
		c.printf("%s  %s\n", hex.EncodeToString(h.Sum(nil)), name)
		return nil
	})
	return nil
}

func runHexdump(c *call) error {
	o, err := c.options("Cn:v")
	if err != nil {
		return err
	}
	limit := int64(1 << 62)
	if o.has('n') {
		if limit, err = parseSize(o.value('n', "")); err != nil {
			return usagef("%v", err)
		}
	}
	c.inputs(o.rest, func(_ string, r io.Reader) error {
		dumper := hex.Dumper(c.out)
		_, err := io.Copy(dumper, io.LimitReader(r, limit))
		return errors.Join(err, dumper.Close())
	})
	return nil
}
