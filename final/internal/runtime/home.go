//go:build linux

package runtime

import (
	"bufio"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// giveHome adds HOME to a process's environment, which Docker and containerd leave to the runtime. It is the one
// of the user in the container's /etc/passwd; the image's, if that is not mounted yet.
func giveHome(p *specs.Process, root string) {
	if slices.ContainsFunc(p.Env, func(v string) bool { return strings.HasPrefix(v, "HOME=") }) {
		return
	}
	home := "/" // for a user that has none
	if file, err := openInside(root, "etc/passwd"); err == nil {
		defer file.Close()
		if found := homeOf(file, p.User.UID); found != "" {
			home = found
		}
	}
	p.Env = append(p.Env, "HOME="+home)
}

// openInside opens a regular file below a root, whatever links are on the way. A pipe there would keep us waiting
// without O_NONBLOCK.
func openInside(root, path string) (*os.File, error) {
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path, &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), path)
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, os.ErrInvalid
	}
	return file, nil
}

// homeOf reads a home directory out of a passwd(5), which is the container's, and may be anything.
//
//	root:x:0:0:root:/root:/bin/sh
func homeOf(passwd io.Reader, uid uint32) string {
	const most = 1 << 20
	for lines := bufio.NewScanner(io.LimitReader(passwd, most)); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 6 {
			continue
		}
		id, err := strconv.ParseUint(fields[2], 10, 32)
		if err == nil && uint32(id) == uid && !strings.Contains(fields[5], "\x00") { // which no variable can have
			return fields[5]
		}
	}
	return ""
}
