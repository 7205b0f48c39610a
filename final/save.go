//go:build linux && !engine

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/simple-container/simple-container/final/internal/image"
)

func saveCommand(s *session) *cobra.Command {
	output, format := "", image.DockerArchive
	command := &cobra.Command{
		Use:   "save IMAGE...",
		Short: "Write images to an archive, for load here or in Docker or Podman",
		Example: "  final save -o lab.tar lab\n  final save lab | gzip > lab.tar.gz\n" +
			"  final save --format oci-dir -o layout lab",
		Args:              arguments(1, -1),
		ValidArgsFunction: completeImages(s),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			return save(store, format, output, args)
		}),
	}
	command.Flags().StringVarP(&output, "output", "o", "", "file or, for oci-dir, directory (default the standard output)")
	command.Flags().StringVar(&format, "format", format, "docker-archive, oci-archive or oci-dir")
	completeFlag(command, "format", words(image.DockerArchive, image.OCIArchive, image.OCIDir))
	return command
}

func save(store *image.Store, format, output string, references []string) error {
	switch format {
	case image.OCIDir:
		if output == "" {
			return errors.New("save: oci-dir is a directory: name it with -o")
		}
		return store.SaveDir(output, references...)
	case image.DockerArchive, image.OCIArchive:
	default:
		return fmt.Errorf("save: --format %q: want docker-archive, oci-archive or oci-dir", format)
	}
	return writeOutput("save", output, func(out io.Writer) error { return store.Save(out, format, references...) })
}
