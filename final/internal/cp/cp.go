//go:build linux

// Package cp copies files between a container and the host, by the rules that cp(1) and Docker have for paths.
//
// The container may be at work meanwhile, and may be hostile: its symbolic links are resolved inside it, and each file
// is held by a descriptor between the look at it and the copy (package tree, which it may import). What is copied
// travels as a tar archive, whichever way, so that "-" for a stream is nothing special.
package cp

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/tree"
)

// A Place is one end of a copy.
type Place struct {
	Tree *tree.Tree
	Path string // from the tree's root on. A slash at the end is a directory; "/." at the end is what is in one
}

// Options say how to copy.
type Options struct {
	Follow bool // a symbolic link that is the source is followed

	// Owners leaves files their owners; From and To are the ids that 0 is on either side, those of a container with a
	// user namespace. Without it what is copied belongs to To, or the ids that it says.
	Owners   bool
	From, To Owner

	// Skip, if not nil, is told of devices and leaves them out: who copies from a container does not want the machine's
	// disk, readable by all, beside the other files.
	Skip func(name string)
}

// An Owner is a user and a group.
type Owner struct{ UID, GID int }

// Copy copies a file, or a directory with all in it.
func Copy(from, to Place, o Options) error {
	s, err := o.source(from)
	if err != nil {
		return err
	}
	defer s.close()
	t, err := destination(to, s)
	if err != nil {
		return err
	}
	defer t.close()
	if t.name != "" {
		s.entry.Name = t.name
	}
	return pipe(func(w io.Writer) error { return o.write(w, s) },
		func(r io.Reader) error { return tree.ExtractBelow(t.dir, r, o.extraction()) })
}

// Out writes a file, or a directory with all in it, as an archive.
func Out(w io.Writer, from Place, o Options) error {
	s, err := o.source(from)
	if err != nil {
		return err
	}
	defer s.close()
	return o.write(w, s)
}

// In reads an archive into a directory. Symbolic links there lead where the container has them lead.
func In(r io.Reader, to Place, o Options) error {
	dir, err := to.Tree.Directory(to.Path)
	if err != nil {
		return fmt.Errorf("%w: an archive wants a directory that is there", err)
	}
	defer dir.Close()
	return to.Tree.Extract(to.Path, r, o.extraction())
}

func (o Options) extraction() tree.Extraction {
	return tree.Extraction{Owners: o.Owners, UID: o.To.UID, GID: o.To.GID}
}

// write archives a source.
func (o Options) write(w io.Writer, s *source) error {
	archive := tree.NewArchive(w)
	err := tree.Walk(s.entry, func(e tree.Entry) error {
		kind := e.Type()
		if o.Skip != nil && (kind == unix.S_IFCHR || kind == unix.S_IFBLK) {
			o.Skip(e.Name)
			return nil
		}
		// /proc in the middle of a copy is an empty directory: what is in it is no file that could be copied.
		leave := kind == unix.S_IFDIR && e.Stat.Dev != s.entry.Stat.Dev && e.IsKernels()
		e.Stat.Uid, e.Stat.Gid = counted(e.Stat.Uid, o.From.UID), counted(e.Stat.Gid, o.From.GID)
		if err := archive.Add(e); err != nil || !leave {
			return err
		}
		return tree.SkipDirectory
	})
	if err != nil {
		return err // and no end of the archive: a part is not to be taken for the whole
	}
	return archive.Close()
}

// counted is an id counted from the one that is 0.
func counted(id uint32, from int) uint32 {
	if id < uint32(from) {
		return id // one that nobody has in the container
	}
	return id - uint32(from)
}

// pipe has one function read what another writes.
func pipe(write func(io.Writer) error, read func(io.Reader) error) error {
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := write(w)
		_ = w.CloseWithError(err) // nil means the end; it returns nil always
		written <- err
	}()
	err := read(r)
	_ = r.CloseWithError(err) // so that the writer ends if the reader has
	if writing := <-written; writing != nil && (err == nil || errors.Is(err, writing)) {
		err = writing
	}
	return err
}
