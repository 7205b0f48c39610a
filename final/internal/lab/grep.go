//go:build linux

package lab

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

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
