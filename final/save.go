//go:build linux && !engine

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/tree"
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
	if output != "" && output != "-" {
		return saveFile(store, format, output, references)
	}
	if term.IsTerminal(int(os.Stdout.Fd())) {
		return errors.New("save: an archive is nothing for a terminal: use -o, or redirect the output")
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	return errors.Join(store.Save(out, format, references...), out.Flush())
}

// saveFile writes beside the file and renames: nobody finds half an archive. What is no regular file, as
// /dev/null, is written to.
func saveFile(store *image.Store, format, output string, references []string) (err error) {
	if info, err := os.Stat(output); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(output, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(store.Save(f, format, references...), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what is reported is why it was not renamed
		}
	}()
	out := tree.NewHoleWriter(int(f.Fd()))
	if err := errors.Join(store.Save(out, format, references...), out.End(), f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), output)
}
