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
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = quote(arg)
	}
	shell := strings.TrimSpace(name + " " + strings.Join(words, " "))
	err = d.Do(Call{Op: "execve", Object: shell, Shell: shell}, func() error {
		var out, complaint bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stdout, cmd.Stderr = &out, &complaint
		err := cmd.Run()
		stdout = out.String()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(complaint.String()))
		}
		return err
	})
	return stdout, err
}
