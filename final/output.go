//go:build linux && !engine

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// writeOutput writes an archive to where -o says, or to the standard output. A file is written beside its name and renamed,
// so that nobody finds half an archive; what is no regular file, as /dev/null, is written to.
func writeOutput(verb, output string, write func(io.Writer) error) error {
	if output == "" || output == "-" {
		if term.IsTerminal(int(os.Stdout.Fd())) {
			return fmt.Errorf("%s: an archive is nothing for a terminal: use -o, or redirect the output", verb)
		}
		return writeTo(os.Stdout, write)
	}
	info, err := os.Stat(output)
	if err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(output, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		return errors.Join(writeTo(f, write), f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(output), "."+filepath.Base(output)+".")
	if err != nil {
		return fmt.Errorf("%s -o %s: %w", verb, output, cause(err)) // not of a name that nobody has heard of
	}
	holes := tree.NewHoleWriter(int(f.Fd()))
	err = write(holes)
	if err = errors.Join(err, holes.End(), f.Chmod(0o644), f.Close()); err == nil {
		err = os.Rename(f.Name(), output)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // what is reported is why
	}
	return err
}

func writeTo(f *os.File, write func(io.Writer) error) error {
	out := bufio.NewWriterSize(f, 1<<20)
	if err := write(out); err != nil {
		return err
	}
	return out.Flush()
}

// cause is why something could not be done to a path.
func cause(err error) error {
	if at, ok := errors.AsType[*os.PathError](err); ok {
		return at.Err
	}
	return err
}
