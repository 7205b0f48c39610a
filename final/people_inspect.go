//go:build linux && !engine

package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/image"
)

func inspectCommand(s *session) *cobra.Command {
	var format, kind string
	var size bool
	command := &cobra.Command{
		Use:   "inspect NAME...",
		Short: "Print all that is known of containers or images, as JSON",
		Args:  someContainers,
		RunE: func(_ *cobra.Command, args []string) error {
			var found []any
			var errs []error
			for _, name := range args {
				one, err := s.inspect(name, kind, size)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				found = append(found, one)
			}
			return errors.Join(append([]error{printInspected(format, found)}, errs...)...)
		},
	}
	command.Flags().StringVarP(&format, "format", "f", "", "json, or a template of Go, as {{.State.Pid}}")
	command.Flags().StringVar(&kind, "type", "", "container or image (default whichever is called so)")
	command.Flags().BoolVarP(&size, "size", "s", false, "of containers also how much they have written")
	complete(command, completeContainers(s))
	completeFlag(command, "type", words("container", "image"))
	return command
}

// inspect looks for a container, and then for an image.
func (s *session) inspect(name, kind string, size bool) (any, error) {
	if kind != "" && kind != "container" && kind != "image" {
		return nil, fmt.Errorf("--type %q: want container or image", kind)
	}
	e := s.engine()
	if kind != "image" {
		c, err := e.Find(name)
		if err == nil {
			return inspectContainer(c, size)
		}
		if kind == "container" || !engine.IsNotFound(err) {
			return nil, err
		}
	}
	store, err := e.Images()
	if err != nil {
		return nil, err
	}
	img, err := store.Find(name)
	if image.IsNotFound(err) && kind == "" {
		return nil, fmt.Errorf("no such container or image: %s", name)
	}
	if err != nil {
		return nil, err
	}
	return inspectImage(img), nil
}

func inspectContainer(c *engine.Container, size bool) (*engine.Inspection, error) {
	i, err := c.Inspect()
	if err != nil || !size {
		return i, err
	}
	written, all, err := c.Size()
	i.SizeRw, i.SizeRootFs = &written, &all
	return i, err
}

// An imageInfo is Docker's JSON of an image.
type imageInfo struct {
	Id                       string
	RepoTags, RepoDigests    []string
	Created                  string
	Architecture, Os, Author string
	Config                   any
	Size                     int64
	RootFS                   any
}

func inspectImage(i *image.Image) imageInfo {
	info := imageInfo{
		Id: i.ID, RepoTags: []string{}, RepoDigests: append([]string{}, i.Digests...),
		Created:      i.Config.Created.Time.UTC().Format("2006-01-02T15:04:05.999999999Z07:00"),
		Architecture: i.Config.Architecture, Os: i.Config.OS, Author: i.Config.Author, Config: i.Config.Config,
		Size: i.Size, RootFS: map[string]any{"Type": "layers", "Layers": i.Config.RootFS.DiffIDs},
	}
	for _, name := range i.Names {
		info.RepoTags = append(info.RepoTags, image.ShortName(name))
	}
	return info
}

// printInspected prints an array, or a line for each with a template.
func printInspected(format string, found []any) error {
	switch format {
	case "", "json":
		if found == nil {
			found = []any{}
		}
		return printJSON(found)
	}
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	t.Option("missingkey=error")
	for _, one := range found {
		text, err := fill(t, format, one)
		if err != nil {
			return err
		}
		fmt.Println(text)
	}
	return nil
}
