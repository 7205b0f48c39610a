//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/ocispec"
)

// volumeCommand has the verbs for volumes.
func volumeCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use:   "volume",
		Short: "Create, list, inspect and remove volumes",
		Long: `Create, list, inspect and remove volumes. A volume is a directory that outlives containers: run -v NAME:/PLACE makes
it, if it is not there, and rm leaves it.`,
		Example: "  final volume ls\n  final volume rm $(final volume ls -q --filter dangling=true)",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("volume %s: want create, ls, inspect or rm", args[0])
			}
			return nil
		},
		RunE: func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.AddCommand(volumeCreateCommand(s), volumeListCommand(s), volumeInspectCommand(s), volumeRemoveCommand(s))
	return command
}

func volumeCreateCommand(s *session) *cobra.Command {
	var texts []string
	var driver string
	command := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Create a volume, unless it is there, and print its name",
		Args:  arguments(0, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if driver != "local" {
				return fmt.Errorf("--driver %q: want local: there is no other", driver)
			}
			labels := map[string]string{}
			for _, text := range texts {
				name, value, err := ocispec.ParseLabel("label", text)
				if err != nil {
					return err
				}
				labels[name] = value
			}
			name, err := s.engine().CreateVolume(strings.Join(args, ""), labels)
			if err == nil {
				fmt.Println(name)
			}
			return err
		},
	}
	command.Flags().StringArrayVarP(&texts, "label", "l", nil, "label NAME=VALUE")
	command.Flags().StringVarP(&driver, "driver", "d", "local", "accepted, as Docker's: only local")
	return command
}

// A volumeRow is a line of ls. The names are those of Docker's templates, and who has it.
type volumeRow struct{ Name, Driver, Scope, Mountpoint, CreatedAt, Labels, Containers, age string }

func rowOfVolume(v engine.Volume) volumeRow {
	return volumeRow{
		v.Name, "local", "local", v.Dir, v.Created.Format(time.RFC3339), joinLabels(v.Labels), strings.Join(v.Users, ","), ago(v.Created),
	}
}

var volumeColumns = []column[volumeRow]{
	{"NAME", func(r volumeRow) string { return r.Name }},
	{"CREATED", func(r volumeRow) string { return r.age }},
	{"CONTAINERS", func(r volumeRow) string { return orDash(r.Containers) }},
}

func volumeListCommand(s *session) *cobra.Command {
	var quiet bool
	var format, filter string
	command := &cobra.Command{
		Use: "ls", Aliases: []string{"list"},
		Short: "List volumes, and the containers that have them",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if !slices.Contains([]string{"", "dangling=true", "dangling=false"}, filter) {
				return fmt.Errorf("--filter %q: want dangling=true, those that no container has, or dangling=false", filter)
			}
			list, err := s.engine().Volumes()
			if err != nil {
				return err
			}
			var rows []volumeRow
			for _, v := range list {
				if filter == "" || filter == fmt.Sprintf("dangling=%t", len(v.Users) == 0) {
					rows = append(rows, rowOfVolume(v))
				}
			}
			if quiet {
				format = "{{.Name}}"
			}
			return printRows(format, volumeColumns, rows)
		},
	}
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "only the names")
	command.Flags().StringVar(&format, "format", "", "table, json, or a template of Go, as {{.Mountpoint}}")
	command.Flags().StringVarP(&filter, "filter", "f", "", "dangling=true: those that no container has; or dangling=false")
	return command
}

// An inspectedVolume is Docker's JSON of a volume, and who has it.
type inspectedVolume struct {
	Name, Driver, Scope, Mountpoint, CreatedAt string
	Labels                                     map[string]string
	Containers                                 []string
}

func volumeInspectCommand(s *session) *cobra.Command {
	var format string
	command := &cobra.Command{
		Use:   "inspect VOLUME...",
		Short: "Say all there is to say of volumes, in JSON",
		Args:  arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			var found []any
			var errs []error
			for _, name := range args {
				v, err := s.engine().Volume(name)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				r := rowOfVolume(v)
				found = append(found, inspectedVolume{r.Name, r.Driver, r.Scope, r.Mountpoint, r.CreatedAt, v.Labels, append([]string{}, v.Users...)})
			}
			return errors.Join(append([]error{printInspected(format, found)}, errs...)...)
		},
	}
	command.Flags().StringVarP(&format, "format", "f", "", "json, or a template of Go, as {{.Mountpoint}}")
	complete(command, completeVolumes(s))
	return command
}

func volumeRemoveCommand(s *session) *cobra.Command {
	command := &cobra.Command{
		Use: "rm VOLUME...", Aliases: []string{"remove"},
		Short: "Remove volumes that no container has, and print their names",
		Args:  arguments(1, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			var errs []error
			for _, name := range args {
				err := s.engine().RemoveVolume(name)
				if err == nil {
					fmt.Println(name)
				}
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		},
	}
	complete(command, completeVolumes(s))
	return command
}

// completeVolumes offers the names that are not there yet.
func completeVolumes(s *session) completion {
	return func(args []string) (names []string) {
		list, _ := s.engine().Volumes() // what cannot be read is not offered
		for _, v := range list {
			if !slices.Contains(args, v.Name) {
				names = append(names, v.Name)
			}
		}
		return names
	}
}
