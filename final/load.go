//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/image"
)

func loadCommand(s *session) *cobra.Command {
	input, quiet := "", false
	command := &cobra.Command{
		Use:   "load",
		Short: "Take in the images of an archive of save, here or of Docker, Podman or skopeo",
		Args:  noArguments,
		RunE: s.withImages(func(store *image.Store, _ []string) error {
			images, err := load(store, input)
			for _, img := range images {
				if len(img.Names) == 0 {
					fmt.Println("Loaded image ID:", img.ID)
				}
				for _, full := range img.Names {
					fmt.Println("Loaded image:", image.ShortName(full))
				}
			}
			if err != nil {
				return fmt.Errorf("load: %w", err)
			}
			return nil
		}),
	}
	command.Flags().StringVarP(&input, "input", "i", "",
		"archive, plain or compressed, or directory of an OCI layout (default the standard input)")
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "accepted, as Docker's")
	return command
}

func load(store *image.Store, input string) ([]*image.Image, error) {
	if input == "" || input == "-" {
		if term.IsTerminal(int(os.Stdin.Fd())) {
			return nil, errors.New("nobody types an archive: use -i, or redirect the input")
		}
		return store.Load(os.Stdin)
	}
	f, err := os.Open(input)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return store.LoadDir(input)
	}
	images, err := store.Load(f)
	if err != nil {
		err = fmt.Errorf("%s: %w", input, err)
	}
	return images, err
}
