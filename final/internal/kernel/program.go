//go:build linux

package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Run runs a tool and returns what it prints; its complaint, if it fails, is in the error.
func (d *Door) Run(name string, args ...string) (stdout string, err error) {
	return d.Feed("", name, args...)
}

// Feed is Run for a tool that reads its standard input.
func (d *Door) Feed(input, name string, args ...string) (stdout string, err error) {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = quote(arg)
	}
	shell := strings.TrimSpace(name + " " + strings.Join(words, " "))
	call := Call{Op: "execve", Object: shell, Shell: shell}
	if input != "" {
		call.Shell += " <<'END'\n" + strings.TrimSuffix(input, "\n") + "\nEND"
	}
	err = d.Do(call, func() error {
		var out, complaint bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = &out, &complaint
		if input != "" {
			cmd.Stdin = strings.NewReader(input)
		}
		err := cmd.Run()
		stdout = out.String()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
		}
		return err
	})
	return stdout, err
}
