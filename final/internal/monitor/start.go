//go:build linux

package monitor

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Options say what a monitor is to do.
type Options struct {
	ID       string
	Dir      string   // the container's: for the log, and for how it ended
	Run      string   // for the attach socket; an empty directory
	Terminal bool     // the container has one
	Stdin    bool     // it has a standard input, which clients type; else that is /dev/null
	Once     bool     // that ends with the first client
	Program  []string // the argv of this program before the verbs begin and end
	Lock     *os.File // is held as long as the monitor lives
	Explain  *os.File // where begin says the kernel calls; nil for nowhere
}

// A Starter is a monitor that waits for the word to begin.
type Starter struct {
	Pid     int
	control *os.File
}

// Start starts a monitor and waits until clients can attach to it.
func Start(o Options) (s *Starter, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	s = &Starter{control: os.NewFile(uintptr(pair[0]), "monitor")}
	theirs := os.NewFile(uintptr(pair[1]), "starter")
	defer theirs.Close()
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	errs, err := os.OpenFile(o.Dir+"/"+ErrorsFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer errs.Close()
	argv := append([]string{Name, o.ID, o.Dir, o.Run, o.modes()}, o.Program...)
	explain := o.Explain
	if explain == nil {
		explain = null
	}
	files := []uintptr{
		null.Fd(), null.Fd(), errs.Fd(), controlFD: theirs.Fd(), lockFD: o.Lock.Fd(), explainFD: explain.Fd(),
	}
	// Cloneflags, not Unshareflags, for which package syscall would make all mounts private: volumes could not
	// be shared any more.
	s.Pid, err = syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Cloneflags: unix.CLONE_NEWNS},
	})
	if err != nil {
		return nil, fmt.Errorf("start the monitor: %w", err)
	}
	theirs.Close()
	go reap(s.Pid) // in a program that lives longer than the container, it would stay as a zombie
	if message, err := s.receive(); err != nil || message != "ready" {
		return nil, fmt.Errorf("start the monitor: %q: %w (see %s/%s)", message, errors.Join(err, errGone), o.Dir, ErrorsFile)
	}
	return s, nil
}

func (o Options) modes() string {
	modes := "-" // an argument that is never empty
	for mode, on := range map[string]bool{modeTerminal: o.Terminal, modeStdin: o.Stdin, modeOnce: o.Once} {
		if on {
			modes += mode
		}
	}
	return modes
}

var errGone = errors.New("the monitor has ended")

// Go has the container made and started.
func (s *Starter) Go() error {
	if _, err := s.control.WriteString("go"); err != nil {
		return fmt.Errorf("monitor: %w", err)
	}
	return nil
}

// A Failure is why a container was not started.
type Failure struct {
	Code int // the exit code for whoever wanted to run it
	Why  string
}

func (f *Failure) Error() string { return f.Why }

// Wait waits until the container has been started; a *Failure says why it was not.
func (s *Starter) Wait() error {
	message, err := s.receive()
	if err != nil {
		return err
	}
	if message == "started" {
		return nil
	}
	rest, _ := strings.CutPrefix(message, "failed ")
	number, why, _ := strings.Cut(rest, " ")
	code, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("monitor: %q: not understood", message)
	}
	return &Failure{code, why}
}

func (s *Starter) receive() (string, error) {
	buffer := make([]byte, 16<<10)
	n, err := s.control.Read(buffer)
	if n == 0 {
		return "", errGone
	}
	return string(buffer[:n]), err
}

// Close ends what we have to do with the monitor. One that was not told to begin goes away.
func (s *Starter) Close() error { return s.control.Close() }
