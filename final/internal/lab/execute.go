//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"mvdan.cc/sh/v3/interp"
)

// execute runs a simple command that is neither a function nor a builtin of the interpreter.
func (s *shell) execute(ctx context.Context, args []string) error {
	hc := interp.HandlerCtx(ctx)
	if name, own := strings.CutPrefix(args[0], callPrefix); own {
		if run, ok := shellBuiltins()[name]; ok {
			return s.afterTraps(ctx, hc, run(s, ctx, hc, args[1:]))
		}
	}
	j := s.jobOf(hc)
	if s.ended(j) {
		return errJobKilled
	}
	path, err := lookPath(hc, args[0])
	if err != nil {
		return s.cannotRun(hc, err)
	}
	stdio, finish, err := s.stdio(hc, j)
	if err != nil {
		return s.cannotRun(hc, err)
	}
	if s.replace && s.traps.none() {
		return s.cannotRun(hc, replaceProcess(path, args, environment(hc.Env), s.from(hc.Dir), stdio))
	}
	p, err := s.start(j, path, args, &syscall.ProcAttr{Dir: s.from(hc.Dir), Env: environment(hc.Env), Files: descriptors(stdio)})
	finish(err == nil)
	if err != nil {
		return s.cannotRun(hc, err)
	}
	code := s.await(p)
	if s.ended(j) {
		return errJobKilled
	}
	return s.afterTraps(ctx, hc, status(code))
}

// from is where a child begins. It need not go where the shell is, and perhaps it could not: whoever has put a user
// into a directory need not let them in.
func (s *shell) from(dir string) string {
	if dir == s.home {
		return ""
	}
	return dir
}

// status makes an exit code what the interpreter wants to get from a handler.
func status(code int) error {
	if code == 0 {
		return nil
	}
	return interp.ExitStatus(code)
}

// notRunnable is a command that could not be started, with the exit code that POSIX gives it.
type notRunnable struct {
	code int
	text string
}

func (e notRunnable) Error() string { return e.text }

// lookPath finds the program in the shell's own PATH (not that of the process, which never changes).
func lookPath(hc interp.HandlerContext, name string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(hc.Dir, name)
	}
	var denied error
	for dir := range strings.SplitSeq(hc.Env.Get("PATH").String(), ":") {
		path := filepath.Join(dir, name)
		if dir == "" {
			path = "./" + name
		}
		switch err := executable(hc.Dir, path); {
		case err == nil:
			return path, nil
		case errors.Is(err, unix.EACCES):
			denied = err
		}
	}
	if denied != nil {
		return "", fmt.Errorf("%s: %w", name, unix.EACCES)
	}
	return "", notRunnable{127, name + ": not found"}
}

func executable(dir, path string) error {
	at := path
	if !filepath.IsAbs(at) {
		at = filepath.Join(dir, at)
	}
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return &os.PathError{Op: "exec", Path: path, Err: errors.Unwrap(err)}
	case info.IsDir():
		return notRunnable{126, path + ": is a directory"}
	case unix.Access(at, unix.X_OK) != nil:
		return &os.PathError{Op: "exec", Path: path, Err: unix.EACCES}
	}
	return nil
}

// cannotRun says why and returns the exit code: 127 for what is not there, 126 for what cannot be executed.
func (s *shell) cannotRun(hc interp.HandlerContext, err error) error {
	code := 126
	var known notRunnable
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		code = known.code
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR):
		code = 127
	case errors.Is(err, unix.EAGAIN):
		err = fmt.Errorf("cannot fork: %w (a limit on the number of processes?)", unix.EAGAIN)
	}
	fmt.Fprintf(hc.Stderr, "sh: %v\n", plain(err))
	return interp.ExitStatus(code)
}

// interpreterOf explains an ENOENT for a file that is there: what is missing is what the file names, an ELF
// interpreter or the program after "#!".
func interpreterOf(path string) error {
	interpreter, err := elfInterpreter(path)
	if err != nil {
		interpreter = shebang(path)
	}
	if interpreter == "" {
		return &os.PathError{Op: "exec", Path: path, Err: unix.ENOENT}
	}
	return notRunnable{127, fmt.Sprintf("%s: not found: it needs %s, which is not here", path, interpreter)}
}

func shebang(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256)
	n, _ := io.ReadFull(f, head) // a short file is fine
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	fields := strings.Fields(strings.TrimPrefix(line, "#!"))
	if !strings.HasPrefix(line, "#!") || len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// stdio turns the interpreter's streams into files. Only $(...) and the like write to memory: those get a pipe,
// which finish drains. finish is called once the process has been started, or not.
func (s *shell) stdio(hc interp.HandlerContext, j *job) (files [3]*os.File, finish func(started bool), err error) {
	var close, drain []func()
	finish = func(started bool) {
		for _, f := range close {
			f()
		}
		for _, f := range drain {
			if started {
				f()
			}
		}
	}
	in, isFile := hc.Stdin.(*os.File)
	if !isFile || in == nil || (in == os.Stdin && j.background && !s.control) {
		if in, err = nothing(); err != nil {
			return files, finish, err
		}
		close = append(close, func() { _ = in.Close() })
	}
	files[0] = in
	for i, w := range []io.Writer{hc.Stdout, hc.Stderr} {
		if f, isFile := w.(*os.File); isFile {
			files[i+1] = f
			continue
		}
		r, f, err := os.Pipe()
		if err != nil {
			finish(false)
			return files, finish, err
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = io.Copy(w, r) // w is memory or io.Discard
			_ = r.Close()
		})
		files[i+1] = f
		close = append(close, func() { _ = f.Close() })
		drain = append(drain, wg.Wait)
	}
	return files, finish, nil
}

// nothing is an input that is at its end: /dev/null, or in a root without devices an empty pipe.
func nothing() (*os.File, error) {
	if f, err := os.Open(os.DevNull); err == nil {
		return f, nil
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return r, w.Close()
}

func descriptors(files [3]*os.File) []uintptr {
	return []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()}
}

// replaceProcess is `exec`: the new program gets this process. It returns only if that fails.
func replaceProcess(path string, args, env []string, dir string, files [3]*os.File) error {
	if dir != "" {
		if err := os.Chdir(dir); err != nil {
			return err
		}
	}
	// Up first: a file may sit on the number that another is to get.
	var high [3]int
	for i, fd := range descriptors(files) {
		at, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 10)
		if err != nil {
			return fmt.Errorf("dup %d: %w", fd, err)
		}
		high[i] = at
	}
	for i, fd := range high {
		if err := unix.Dup3(fd, i, 0); err != nil {
			return fmt.Errorf("dup3 %d %d: %w", fd, i, err)
		}
	}
	return execError(path, args, syscall.Exec(path, args, env), func(path string, args []string) error {
		return syscall.Exec(path, args, env)
	})
}

// execError handles the two errors of execve(2) that have more to them. A file without a format that the kernel
// knows is a shell script without "#!": run is called once more, with a shell for it.
func execError(path string, args []string, err error, run func(path string, args []string) error) error {
	switch {
	case errors.Is(err, unix.ENOEXEC):
		return run("/proc/self/exe", append([]string{"sh", path}, args[1:]...))
	case errors.Is(err, unix.ENOENT):
		return interpreterOf(path)
	case err != nil:
		return &os.PathError{Op: "exec", Path: path, Err: err}
	}
	return nil
}
