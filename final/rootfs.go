//go:build linux && !engine

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/image"
	"github.com/simple-container/simple-container/final/internal/lab"
	"github.com/simple-container/simple-container/final/internal/tree"
)

// rootfsOptions is what the command line of `final rootfs` says.
type rootfsOptions struct {
	force    bool
	from     string
	platform string
}

func rootfsCommand() *cobra.Command {
	var o rootfsOptions
	cmd := &cobra.Command{
		Use:   "rootfs DIR [IMAGE]",
		Short: "Make a root file system for a container: the built-in lab, or an image from a registry",
		Long: "Make a root file system in the directory DIR.\n\n" +
			"Without IMAGE it holds the lab, a small userland that is inside this program: no network is needed.\n" +
			"With IMAGE, such as alpine or docker.io/library/debian:12, the image is pulled from its registry.",
		Example: "  final rootfs rootfs\n  sudo final rootfs rootfs alpine\n  docker export mycontainer > c.tar; sudo final rootfs rootfs --from c.tar",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("rootfs: want: final rootfs DIR [IMAGE]")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return makeRootfs(cmd.OutOrStdout(), args, o)
		},
	}
	cmd.Flags().BoolVar(&o.force, "force", false, "replace DIR if it exists and is not empty")
	cmd.Flags().StringVar(&o.from, "from", "", "take the files from this directory or archive (.tar, .tar.gz, .tar.zst)")
	cmd.Flags().StringVar(&o.platform, "platform", "", "the image's platform, as linux/arm64 (default this machine's)")
	return cmd
}

func makeRootfs(out io.Writer, args []string, o rootfsOptions) error {
	fill, what, err := rootfsSource(out, args[1:], o)
	if err != nil {
		return err
	}
	dir, err := rootfsTarget(args[0], o.force)
	if err != nil {
		return err
	}
	if err := replaceDirectory(dir, fill); err != nil {
		return fmt.Errorf("rootfs %s: %w", args[0], advise(err))
	}
	fmt.Fprintf(out, "%s is a root file system: %s\n", args[0], what)
	fmt.Fprintf(out, "Next: go run -exec sudo ./step02-rootfs%s\n", rootfsFlag(args[0]))
	return nil
}

// rootfsFlag is what a step must be told: nothing for ./rootfs, which they look for.
func rootfsFlag(dir string) string {
	if filepath.Clean(dir) == "rootfs" {
		return ""
	}
	return " run --rootfs " + dir
}

// rootfsSource says where the files come from.
func rootfsSource(out io.Writer, images []string, o rootfsOptions) (fill func(dir string) error, what string, err error) {
	switch {
	case len(images) > 0 && o.from != "":
		return nil, "", errors.New("rootfs: an image and --from exclude each other")
	case len(images) == 0 && o.platform != "":
		return nil, "", errors.New("rootfs: --platform is for an image")
	case len(images) == 0 && o.from == "":
		return lab.Write, "the lab, this program under the names of the usual commands", nil
	case os.Geteuid() != 0:
		return nil, "", errors.New("rootfs: an image's files belong to several users, which takes root: " +
			"sudo final rootfs DIR IMAGE, or go run -exec sudo ./final rootfs DIR IMAGE\n" +
			"(the lab does without: final rootfs DIR)")
	case o.from != "":
		return rootfsFrom(o.from)
	}
	fill = func(dir string) error {
		ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
		defer stop()
		return image.Pull(ctx, images[0], dir, image.PullOptions{Platform: o.platform, Progress: out})
	}
	return fill, "the image " + images[0], nil
}

func rootfsFrom(from string) (fill func(dir string) error, what string, err error) {
	info, err := os.Stat(from)
	if err != nil {
		return nil, "", fmt.Errorf("rootfs: %w", err)
	}
	if info.IsDir() {
		return func(dir string) error { return image.Copy(from, dir) }, "a copy of " + from, nil
	}
	return func(dir string) error { return image.UnpackFile(from, dir) }, "unpacked from " + from, nil
}

// rootfsTarget checks that DIR may be made or replaced, and returns its full path without links.
func rootfsTarget(dir string, force bool) (string, error) {
	full, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(full); err == nil {
		full = resolved
	}
	if err := precious(full); err != nil {
		return "", fmt.Errorf("rootfs %s: %w", dir, err)
	}
	entries, err := os.ReadDir(full)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return full, nil
	case err != nil:
		return "", fmt.Errorf("rootfs: %w", err)
	case len(entries) > 0 && !force:
		return "", fmt.Errorf("rootfs: %s exists and is not empty; --force replaces it", dir)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(full))
	if err != nil {
		return "", fmt.Errorf("rootfs: %w", err)
	}
	if len(mounts) > 0 {
		return "", fmt.Errorf("rootfs %s: %s is mounted there: a container is using it, or umount %[2]s", dir, mounts[0].Mountpoint)
	}
	return full, nil
}

// precious refuses directories that nobody wants to see replaced, --force or not.
func precious(dir string) error {
	kept := []string{"/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/media", "/mnt", "/opt", "/proc", "/root", "/run",
		"/sbin", "/srv", "/sys", "/tmp", "/usr", "/var", "/var/lib"}
	if home, err := os.UserHomeDir(); err == nil {
		kept = append(kept, filepath.Clean(home))
	}
	for _, k := range kept {
		if dir == k {
			return fmt.Errorf("%s is not to be replaced", k)
		}
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	if here == dir || strings.HasPrefix(here, dir+"/") {
		return errors.New("the working directory is in it; name a new directory")
	}
	return nil
}

// replaceDirectory fills a new directory beside dir and puts it in dir's place when it is complete, so that dir is
// at all times what it was or what it is to be.
func replaceDirectory(dir string, fill func(dir string) error) (err error) {
	parent, base := filepath.Split(dir)
	fresh, err := os.MkdirTemp(parent, "."+base+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tree.Remove(fresh))
		}
	}()
	if err := os.Chmod(fresh, 0o755); err != nil { // MkdirTemp makes it 0700, which would lock others out of "/"
		return err
	}
	if err := fill(fresh); err != nil {
		return err
	}
	// rename(2) replaces an empty directory; a full one has to change places first. Not os.Rename, which refuses
	// every directory that exists.
	err = renameDirectory(fresh, dir)
	if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	old, err := os.MkdirTemp(parent, "."+base+".old-")
	if err != nil {
		return err
	}
	if err := renameDirectory(dir, old); err != nil {
		return errors.Join(err, os.Remove(old))
	}
	if err := renameDirectory(fresh, dir); err != nil {
		return errors.Join(err, renameDirectory(old, dir))
	}
	if err := tree.Remove(old); err != nil {
		return fmt.Errorf("the old files are left in %s: %w", old, err)
	}
	return nil
}

func renameDirectory(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// advise adds what to do when a registry cannot be reached.
func advise(err error) error {
	_, pull := errors.AsType[*image.PullError](err)
	if _, network := errors.AsType[net.Error](err); pull && network {
		return fmt.Errorf("%w\nWithout a network, `final rootfs DIR` makes a root file system from the lab, which is in this program", err)
	}
	return err
}
