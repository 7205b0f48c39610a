//go:build linux

package runtime

import (
	"errors"
	"os"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// sent are the namespaces of a container's first process, which has sent them to who is not root and may not look for
// them (hold.go of package plan).
type sent map[specs.LinuxNamespaceType]*os.File

// receiveSent is receive, with the namespaces that come beside the message; nil for none.
func receiveSent(from *os.File, list *op.List) (message string, s sent, err error) {
	message, files, err := receiveFiles(from, list)
	if len(files) > 0 {
		s = sent{}
	}
	for _, file := range files {
		kind, ok := kindOf(file)
		if !ok || s[kind.Type] != nil {
			file.Close()
			err = errors.New("the container side sends something else than its namespaces")
			continue
		}
		s[kind.Type] = file
	}
	if err != nil {
		s.close()
		return "", nil, err
	}
	return message, s, nil
}

// receiveFiles is receive, with the files that come beside the message; with an error there are none.
func receiveFiles(from *os.File, list *op.List) (message string, files opened, err error) {
	room := unix.CmsgSpace(unix.SizeofUcred) + unix.CmsgSpace(4*len(plan.Kinds))
	message, beside, err := receiveAll(from, list, 0, room)
	for i := range beside {
		fds, none := unix.ParseUnixRights(&beside[i])
		if none != nil {
			continue // credentials
		}
		for _, fd := range fds {
			files.keep(os.NewFile(uintptr(fd), "sent"))
		}
	}
	if err != nil {
		files.close()
		return "", nil, err
	}
	return message, files, nil
}

// kindOf asks the kernel which kind of namespace a file is (ioctl_ns(2)).
func kindOf(file *os.File) (k plan.Kind, ok bool) {
	flag, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_NSTYPE)
	i := slices.IndexFunc(plan.Kinds, func(k plan.Kind) bool { return k.Flag == uintptr(flag) })
	if err != nil || i < 0 {
		return k, false
	}
	return plan.Kinds[i], true
}

func (s sent) kinds() (flags uintptr) {
	for _, kind := range plan.Kinds {
		if s[kind.Type] != nil {
			flags |= kind.Flag
		}
	}
	return flags
}

// hand gives them to a container side.
func (s sent) hand(h *handover, o *plan.Options) {
	for _, kind := range plan.Kinds {
		if file := s[kind.Type]; file != nil {
			o.Join(kind.Type, h.add(file))
		}
	}
}

func (s sent) close() {
	for _, file := range s {
		file.Close()
	}
}
