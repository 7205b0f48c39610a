//go:build linux && !engine

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
)

func pullCommand(s *session) *cobra.Command {
	quiet, platform := false, ""
	command := &cobra.Command{
		Use:   "pull NAME[:TAG|@DIGEST]",
		Short: "Get an image from its registry",
		Long: "Get an image from its registry: alpine is docker.io/library/alpine:latest.\n\n" +
			"Logins are those of docker login and podman login. Registries on this machine are spoken to in plain HTTP,\n" +
			"others through HTTPS_PROXY if it is set. A download that was cut off goes on where it ended.",
		Example: "  final pull alpine\n  final pull --platform linux/arm64 debian:12",
		Args:    arguments(1, 1),
		RunE: s.withImages(func(store *image.Store, args []string) error {
			return pull(store, args[0], platform, quiet)
		}),
	}
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only the image's name")
	command.Flags().StringVar(&platform, "platform", "", "of an image for several, as linux/arm64 (default this machine's)")
	return command
}

func pull(store *image.Store, reference, platform string, quiet bool) error {
	full, err := image.FullName(reference)
	if err != nil {
		return err
	}
	out := io.Writer(os.Stdout)
	if quiet {
		out = io.Discard
	}
	repository, tag, digest := image.SplitName(full)
	fmt.Fprintf(out, "%s: Pulling from %s\n", tag+digest, image.ShortName(repository))
	before, _ := store.Find(full) // nil if it is not there
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	img, err := store.Pull(ctx, reference, image.PullOptions{Platform: platform, Progress: out})
	if err != nil {
		return err
	}
	status := "Downloaded newer image for "
	if before != nil && before.Digest == img.Digest {
		status = "Image is up to date for "
	}
	fmt.Fprintf(out, "Digest: %s\nStatus: %s%s\n", img.PulledDigest(full), status, image.ShortName(full))
	fmt.Println(full)
	return nil
}
