//go:build linux

package ocispec

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// defaultPath is the PATH of a container whose image has none.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ParseEnv reads --env: NAME=VALUE; or NAME, which passes the caller's variable on, and if the caller has none,
// takes the image's away. lookUp is os.LookupEnv.
func ParseEnv(text string, lookUp func(string) (string, bool)) (string, error) {
	name, _, given := strings.Cut(text, "=")
	if name == "" {
		return "", refuse("env", text, "want NAME=VALUE, or NAME to pass a variable on")
	}
	if strings.ContainsRune(text, 0) {
		return "", refuse("env", text, "a variable has no zero byte")
	}
	if value, ok := lookUp(name); ok && !given {
		return name + "=" + value, nil
	}
	return text, nil
}

// ParseEnvFile reads the file of --env-file: a variable a line, as --env has them, and comments behind a # in front.
// A NAME alone that the caller has not is passed over. Nothing is unquoted.
func ParseEnvFile(file io.Reader, lookUp func(string) (string, bool)) (env []string, err error) {
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf")) // the mark that some editors put there
		}
		if !utf8.Valid(line) {
			return nil, fmt.Errorf("line %d: not UTF-8", n)
		}
		text := strings.TrimLeftFunc(string(line), unicode.IsSpace)
		if text == "" || text[0] == '#' {
			continue
		}
		name, value, given := strings.Cut(text, "=")
		if strings.ContainsFunc(name, unicode.IsSpace) {
			return nil, fmt.Errorf("line %d: variable %q: its name has white space", n, name)
		}
		if name == "" {
			return nil, fmt.Errorf("line %d: %q: a variable without a name", n, text)
		}
		if !given {
			if value, given = lookUp(name); !given {
				continue
			}
		}
		env = append(env, name+"="+value)
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return nil, fmt.Errorf("a line of more than %d bytes", bufio.MaxScanTokenSize)
	}
	return env, lines.Err()
}

// mergeEnv returns a person's variables, and then those of the image that the person has not named.
func mergeEnv(own, image []string) []string {
	env, named := slices.Clone(own), map[string]bool{}
	for _, variable := range own {
		named[nameOf(variable)] = true
	}
	for _, variable := range image { // which may have very many
		if !named[nameOf(variable)] {
			env = append(env, variable)
		}
	}
	return env
}

func nameOf(variable string) string {
	name, _, _ := strings.Cut(variable, "=")
	return name
}

// environment is the process's: what every container has, each replaced at its place by the container's own; a NAME
// alone takes one away.
func (m *maker) environment() error {
	env := newVariables("PATH="+defaultPath, "HOSTNAME="+m.hostname)
	if m.o.Terminal {
		env.set("TERM=xterm")
	}
	for _, variable := range m.config.Env {
		env.set(variable)
	}
	if _, ok := env.at["HOME"]; !ok {
		env.set("HOME=" + cmp.Or(m.c.User.Home, "/"))
	}
	m.spec.Process.Env = slices.DeleteFunc(env.list, func(variable string) bool { return variable == "" })
	return nil
}

// variables are an environment in the making. An image may have a hundred thousand, so none is searched for.
type variables struct {
	list []string // "" where one was taken away
	at   map[string]int
}

func newVariables(list ...string) *variables {
	v := &variables{at: map[string]int{}}
	for _, variable := range list {
		v.set(variable)
	}
	return v
}

func (v *variables) set(variable string) {
	name, _, given := strings.Cut(variable, "=")
	at, known := v.at[name]
	switch {
	case !given && known:
		v.list[at] = ""
		delete(v.at, name)
	case !given:
	case known:
		v.list[at] = variable
	default:
		v.at[name] = len(v.list)
		v.list = append(v.list, variable)
	}
}
