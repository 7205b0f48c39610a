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

	"github.com/simple-container/simple-container/final/internal/kernel"
)

// settleEnv makes a process's environment what it means: of variables that are there twice the last one holds,
// and HOME is there. Docker and containerd leave that to the runtime.
func settleEnv(p *specs.Process, root string) {
	last := make(map[string]string, len(p.Env))
	for _, variable := range p.Env {
		last[nameOf(variable)] = variable
	}
	env := make([]string, 0, len(p.Env)+1)
	for _, variable := range p.Env {
		name := nameOf(variable)
		if value, ok := last[name]; ok && value != "HOME=" { // an empty one is as good as none
			env = append(env, value)
		}
		delete(last, name)
	}
	p.Env = env
	giveHome(p, root)
}

func nameOf(variable string) string {
	name, _, _ := strings.Cut(variable, "=")
	return name
}

// giveHome adds HOME to an environment without. It is that of the user in the container's /etc/passwd; the
// image's, if that is not mounted yet.
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
	fd, err := kernel.Openat2(dir, path, unix.OpenHow{
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
