//go:build linux && !engine

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/engine"
	"github.com/simple-container/simple-container/final/internal/image"
)

// runFlags are those of run and create: what the container is like, what it is made of, and what becomes of it.
type runFlags struct {
	containerFlags
	connection connectionFlags

	name, rootfs, pull, platform, cidFile string
	remove                                bool
	stopTimeout                           int
}

func (f *runFlags) add(flags *pflag.FlagSet) {
	f.containerFlags.add(flags)
	f.connection.add(flags)
	flags.StringVar(&f.name, "name", "", "what it is called (default two words)")
	flags.StringVar(&f.rootfs, "rootfs", "", "directory in place of an image; it is not written to")
	flags.StringVar(&f.pull, "pull", "missing", "when the image is pulled: missing, always or never")
	flags.StringVar(&f.platform, "platform", "", "platform of the image, as linux/arm64")
	flags.StringVar(&f.cidFile, "cidfile", "", "file for the container's id")
	flags.BoolVar(&f.remove, "rm", false, "remove it when it has ended, with the volumes made for it")
	flags.IntVar(&f.stopTimeout, "stop-timeout", 10, "seconds from the stop signal until it is killed")
}

// options are what the flags and the words behind them say. Only who waits for it has an input that ends.
func (f *runFlags) options(args []string, detach bool) (o engine.CreateOptions, err error) {
	if o.Options, err = f.containerFlags.options(); err != nil {
		return o, err
	}
	if err := f.connection.options(&o); err != nil {
		return o, err
	}
	o.Platform = f.platform
	o.Name, o.AutoRemove, o.Rootfs, o.Pull, o.Wish = f.name, f.remove, f.rootfs, f.puller(), engine.PullWish(f.pull)
	o.Once = o.Stdin && !detach
	if f.flags.Changed("stop-timeout") {
		o.StopTimeout = &f.stopTimeout
	}
	if o.Rootfs == "" {
		if len(args) == 0 {
			return o, errors.New("want an image, such as lab or alpine")
		}
		o.Image, args = args[0], args[1:]
	}
	o.Args = args
	switch o.Wish {
	case engine.PullMissing, engine.PullAlways, engine.PullNever:
		return o, nil
	}
	return o, fmt.Errorf("--pull %q: want missing, always or never", f.pull)
}

// beLab is what run means without a word: a shell to try things in, which leaves nothing behind.
func (f *runFlags) beLab() []string {
	f.o.Stdin, f.remove = true, true
	f.o.Terminal = term.IsTerminal(0) && term.IsTerminal(1)
	return []string{image.LabName}
}

// puller pulls what run and create have not, and says so beside what the command prints.
func (f *runFlags) puller() func(context.Context, *image.Store, string) (*image.Image, error) {
	return func(ctx context.Context, store *image.Store, reference string) (*image.Image, error) {
		fmt.Fprintf(os.Stderr, "image %s is not here: pulling it\n", reference)
		return store.Pull(ctx, reference, image.PullOptions{Platform: f.platform, Progress: os.Stderr})
	}
}

// ago is how long it is, in Docker's words.
func ago(t time.Time) string { return humanDuration(time.Since(t)) + " ago" }
