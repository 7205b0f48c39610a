//go:build linux

package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/executor"
	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// A side is a container side that has been started, and our end of the sync socket.
type side struct {
	*executor.Process
	list *op.List
	sync *os.File
	born bool // in its v2 cgroup
	said int  // how many of its calls have been explained
}

// syncPair returns the two ends of the wire to a container side. It keeps messages apart, and tells who sent
// one (unix(7): SOCK_SEQPACKET, SO_PASSCRED).
func syncPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "sync"), os.NewFile(uintptr(fds[1]), "sync")
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		ours.Close()
		theirs.Close()
		return nil, nil, fmt.Errorf("setsockopt SO_PASSCRED: %w", err)
	}
	return ours, theirs, nil
}

// errEnded says that a container side has closed its end without a report.
var errEnded = errors.New("the container side has ended")

// errUnread says it of one that has not read all that we sent.
var errUnread = fmt.Errorf("%w, and has not read what it was to do", errEnded)

// receive waits for a message: the container side's, or the error that it reports. pid is the sender's.
func receive(from *os.File, list *op.List) (message string, pid int, err error) {
	return receiveNow(from, list, 0)
}

// receiveNow is receive with flags of recvmsg(2): with MSG_DONTWAIT it is EAGAIN if there is no message yet.
func receiveNow(from *os.File, list *op.List, flags int) (message string, pid int, err error) {
	message, controls, err := receiveAll(from, list, flags, unix.CmsgSpace(unix.SizeofUcred))
	if len(controls) == 1 {
		if who, err := unix.ParseUnixCredentials(&controls[0]); err == nil {
			pid = int(who.Pid)
		}
	}
	return message, pid, err
}

// receiveAll is receiveNow, with what comes beside the message (cmsg(3)), for which there is so much room.
func receiveAll(
	from *os.File, list *op.List, flags, room int,
) (message string, beside []unix.SocketControlMessage, err error) {
	buffer, control := make([]byte, op.ReportSize+1), make([]byte, room)
	var n, controls int
	ended := errEnded
	for {
		n, controls, _, _, err = unix.Recvmsg(int(from.Fd()), buffer, control, flags|unix.MSG_CMSG_CLOEXEC)
		if errors.Is(err, unix.ECONNRESET) { // which the kernel says once, and before it hands out what was sent to us
			ended = errUnread
		} else if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if n == 0 && err == nil {
		return "", nil, ended
	}
	if err != nil {
		return "", nil, fmt.Errorf("recvmsg sync: %w", err)
	}
	if controls > 0 {
		if beside, err = unix.ParseSocketControlMessage(control[:controls]); err != nil {
			return "", nil, fmt.Errorf("recvmsg sync: %w", err)
		}
	}
	if n == op.ReportSize {
		index, errno, err := op.ParseReport(buffer[:n], len(list.Ops))
		if err != nil {
			return "", beside, err
		}
		return "", beside, list.Ops[index].Failed(errno)
	}
	return string(buffer[:n]), beside, nil
}

// send sends a message to a container side. One that is gone is EPIPE, and no signal (MSG_NOSIGNAL).
func send(to *os.File, message string) error {
	if err := unix.Sendto(int(to.Fd()), []byte(message), unix.MSG_NOSIGNAL, nil); err != nil {
		return fmt.Errorf("send %q to the container side: %w", message, err)
	}
	return nil
}

func (s *side) close() {
	s.sync.Close()
	s.Pidfd.Close()
}

// end kills the container side and waits for its end.
func (s *side) end() (status unix.WaitStatus) {
	s.kill()
	status, _ = s.Wait() // it may have been waited for
	return status
}

func (s *side) kill() {
	_ = unix.PidfdSendSignal(int(s.Pidfd.Fd()), unix.SIGKILL, nil, 0) // it may have ended by itself
}

// waitWithin waits for the container side's end, and kills it when its time is over.
func (s *side) waitWithin(ctx context.Context) (status unix.WaitStatus, err error) {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		s.kill()
		close(killed)
	})
	status, err = s.Wait()
	if !stop() {
		<-killed // it needs the pidfd until then
	}
	return status, err
}

// neverBegan is the exit code of a child of Go's that could neither execute nor tell why (syscall/exec_linux.go):
// in cgroup v2 a pipe's memory is its writer's as well.
const neverBegan = 253

// why words the end of a container side that reported nothing.
func (s *side) why(status unix.WaitStatus) error {
	how := fmt.Sprintf("ended with code %d before the command", status.ExitStatus())
	switch {
	case status.Signaled():
		how = "was ended by " + unix.SignalName(status.Signal()) + outOfMemory
	case status.ExitStatus() == neverBegan:
		how = "could not begin" + outOfMemory
	}
	return errors.New("the container side " + how)
}

const outOfMemory = " (out of memory, if the limit is very low)"

// replace waits for all processes that the container side puts in its place, as our children. The last is the
// container side.
func (s *side) replace() error {
	for range plan.Births(s.list) {
		if err := s.replaceOnce(); err != nil {
			return err
		}
	}
	return nil
}

func (s *side) replaceOnce() error {
	message, pid, err := receive(s.sync, s.list)
	if err != nil {
		return s.report(err)
	}
	if message != plan.Born || pid == 0 {
		return fmt.Errorf("the container side says %q, as process %d: want %q", message, pid, plan.Born)
	}
	_, _ = s.Wait() // the first one ends by itself, and how is no matter
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("pidfd_open %d: %w", pid, err)
	}
	s.Pidfd.Close()
	s.Pid, s.Pidfd = pid, os.NewFile(uintptr(fd), "pidfd")
	return nil
}
