//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/image"
)

func importCommand(s *session) *cobra.Command {
	var o image.ImportOptions
	command := &cobra.Command{
		Use:   "import FILE|- [NAME[:TAG]]",
		Short: "Make an image of an archive of a root file system",
		Example: "  final import --change 'CMD [\"sh\"]' rootfs.tar.gz mine:1\n" +
			"  tar -C rootfs -c . | final import - mine",
		Args: arguments(1, 2),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			if len(args) > 1 {
				o.Name = args[1]
			}
			if o.Message == "" {
				o.Message = "Imported from " + args[0]
			}
			img, err := importFrom(store, args[0], o)
			if err != nil {
				return fmt.Errorf("import %s: %w", args[0], err)
			}
			fmt.Println(img.ID)
			return nil
		}),
	}
	// Not StringSlice, which takes commas for an end.
	command.Flags().StringArrayVarP(&o.Changes, "change", "c", nil,
		"instruction of a Dockerfile: one of "+image.Instructions)
	command.Flags().StringVarP(&o.Message, "message", "m", "", "comment in the image's history")
	command.Flags().StringVar(&o.Platform, "platform", "", "that it is for, as linux/arm64 (default this machine's)")
	return command
}

func importFrom(store *image.Store, file string, o image.ImportOptions) (*image.Image, error) {
	if file == "-" {
		if term.IsTerminal(int(os.Stdin.Fd())) {
			return nil, errors.New("nobody types an archive: redirect the input")
		}
		return store.Import(os.Stdin, o)
	}
	if strings.Contains(file, "://") {
		return nil, errors.New("want a file, or - for the standard input (curl -L URL | final import - NAME)")
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, cause(err)
	}
	defer f.Close()
	return store.Import(f, o)
}
