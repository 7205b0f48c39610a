//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
)

func cpCommand(s *session) *cobra.Command {
	var o engine.CopyOptions
	var quiet bool
	command := &cobra.Command{
		Use:   "cp SOURCE TARGET",
		Short: "Copy files between a container and the host",
		Long: "Copy a file, or a directory with all in it, between a container, CONTAINER:PATH, and the host, PATH. The container\n" +
			"need not run. \"-\" is a tar archive on the standard input or output.",
		Example: "  final cp web:/etc/hostname .\n  final cp ./site/. web:/srv/www\n  final cp web:/var/log - | tar t",
		Args:    arguments(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Skip = func(name string) {
				fmt.Fprintf(os.Stderr, "final: warning: cp: %s: a device: left out\n", visible(name))
			}
			if err := s.copy(args[0], args[1], o); err != nil {
				return fmt.Errorf("cp %s %s: %w", args[0], args[1], err)
			}
			return nil
		},
	}
	command.Flags().BoolVarP(&o.Owners, "archive", "a", false, "files keep their owners")
	command.Flags().BoolVarP(&o.Follow, "follow-link", "L", false, "a symbolic link that is the source is followed")
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "accepted, as Docker's")
	complete(command, func([]string) []string {
		names := s.engine().Names()
		for i := range names {
			names[i] += ":"
		}
		return names
	})
	return command
}

// copy finds out which way it goes.
func (s *session) copy(from, to string, o engine.CopyOptions) error {
	source, inside, fromContainer := containerPath(from)
	target, place, toContainer := containerPath(to)
	switch {
	case fromContainer && toContainer:
		return errors.New("from one container to another is not possible: copy to the host in between")
	case fromContainer:
		c, err := s.engine().Find(source)
		if err != nil {
			return err
		}
		if to == "-" {
			return c.CopyOut(inside, nil, os.Stdout, o)
		}
		return c.CopyOut(inside, &to, nil, o)
	case toContainer:
		c, err := s.engine().Find(target)
		if err != nil {
			return err
		}
		if from == "-" {
			return c.CopyIn(nil, os.Stdin, place, o)
		}
		return c.CopyIn(&from, nil, place, o)
	}
	return errors.New("one of both must be in a container: CONTAINER:PATH")
}

// containerPath reads CONTAINER:PATH. What begins with / or . is a path of the host, as ./a:b.
func containerPath(text string) (container, path string, ok bool) {
	if text == "-" || strings.HasPrefix(text, "/") || strings.HasPrefix(text, ".") {
		return "", "", false
	}
	container, path, ok = strings.Cut(text, ":")
	return container, path, ok && container != ""
}
