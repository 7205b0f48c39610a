//go:build linux

package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// complete is called for every key; a tab completes the word before the cursor: a command at the beginning, a
// path elsewhere.
func (s *shell) complete(line string, pos int, key rune) (string, int, bool) {
	if key != '\t' {
		return "", 0, false
	}
	start := strings.LastIndexAny(line[:pos], " \t;|&<>=(") + 1
	word := line[start:pos]
	var found []string
	if first := strings.TrimSpace(line[:start]); !strings.Contains(word, "/") &&
		(first == "" || strings.HasSuffix(first, ";") || strings.HasSuffix(first, "|") || strings.HasSuffix(first, "&")) {
		found = s.commandsFrom(word)
	} else {
		found = pathsFrom(s.runner.Dir, word)
	}
	if len(found) == 0 {
		return line, pos, true
	}
	common := found[0]
	for _, f := range found[1:] {
		for !strings.HasPrefix(f, common) {
			common = common[:len(common)-1]
		}
	}
	if len(found) == 1 && !strings.HasSuffix(common, "/") {
		common += " "
	}
	if common == word {
		// Nothing to add: show the choice above a new prompt.
		var names []string
		for _, f := range found {
			names = append(names, filepath.Base(f))
		}
		fmt.Fprintf(os.Stdout, "\r\n%s\r\n%s%s", strings.Join(names, "  "), s.prompt(), line[:pos])
	}
	return line[:start] + common + line[pos:], start + len(common), true
}

func (s *shell) commandsFrom(prefix string) []string {
	path := os.Getenv("PATH")
	if v, ok := s.runner.Vars["PATH"]; ok {
		path = v.Str
	}
	var found []string
	for _, b := range []string{"alias", "bg", "cd", "command", "eval", "exec", "exit", "export", "fg", "help", "history", "jobs",
		"read", "set", "trap", "type", "ulimit", "umask", "unset", "wait"} {
		if strings.HasPrefix(b, prefix) && interp.IsBuiltin(b) {
			found = append(found, b)
		}
	}
	for dir := range strings.SplitSeq(path, ":") {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // a PATH may name what is not there
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), prefix) {
				found = append(found, e.Name())
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func pathsFrom(dir, word string) []string {
	under, prefix := filepath.Split(word)
	at := under
	if !filepath.IsAbs(at) {
		at = filepath.Join(dir, under)
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return nil
	}
	var found []string
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, prefix) || prefix == "" && strings.HasPrefix(name, ".") {
			continue
		}
		if info, err := os.Stat(filepath.Join(at, name)); err == nil && info.IsDir() {
			name += "/"
		}
		found = append(found, under+name)
	}
	return found
}
