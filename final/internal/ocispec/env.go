//go:build linux

package ocispec

import (
	"bufio"
	"bytes"
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
	env := slices.Clone(own)
	for _, variable := range image {
		if !hasVariable(own, nameOf(variable)) {
			env = append(env, variable)
		}
	}
	return env
}

func nameOf(variable string) string {
	name, _, _ := strings.Cut(variable, "=")
	return name
}

func hasVariable(env []string, name string) bool {
	return slices.ContainsFunc(env, func(v string) bool { return nameOf(v) == name })
}

// environment is the process's: what every container has, each replaced at its place by the container's own; a NAME
// alone takes one away.
func (m *maker) environment() error {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + m.hostname}
	if m.o.Terminal {
		env = append(env, "TERM=xterm")
	}
	for _, variable := range m.config.Env {
		at := slices.IndexFunc(env, func(v string) bool { return nameOf(v) == nameOf(variable) })
		unset := !strings.Contains(variable, "=")
		switch {
		case unset && at >= 0:
			env = slices.Delete(env, at, at+1)
		case unset:
		case at >= 0:
			env[at] = variable
		default:
			env = append(env, variable)
		}
	}
	if !hasVariable(env, "HOME") {
		home := m.c.User.Home
		if home == "" {
			home = "/"
		}
		env = append(env, "HOME="+home)
	}
	m.spec.Process.Env = env
	return nil
}
