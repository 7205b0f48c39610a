//go:build linux

// Package monitor is the small process that stays with a container for as long as it lives: it owns the other
// ends of its streams, writes its log, serves those who attach to it, keeps terminals that were left, and notes how it
// ended.
//
// It is this program again, recognised by its argv[0] in init, before heavier packages are initialised: there is
// one for each container, and it should be small. What it cannot do in a few lines it has done by others, two
// verbs of this program: `begin`, which makes the container, and `end`, which clears away what is left of it.
//
//	starter                       monitor                          final begin ID
//
//	Start ──── setsid, mounts ──▶ attach.sock
//	      ◀───────────── "ready"
//	clients attach
//	Go ────────────────── "go" ─▶ pipes, or a terminal's master
//	                              fork, exec ────────────────────▶ root, OCI create
//	                                          ◀──── "created PID"
//	                                                               network, OCI start
//	Wait  ◀───────── "started" ─┬───────────  ◀───── "started"    exit: the container is the monitor's child
//	   or ◀─ "failed CODE WHY" ─┘
//	                              log, clients, until its end
//	                              the file exit
//	                              fork, exec ──▶ final end ID
//
// A mount namespace of its own holds the container's root, so that even a kill -9 leaves no mount behind. It
// imports little more than package unix, for its size. The steps have no monitor: they stay in the foreground.
package monitor

import (
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Name is the argv[0] of a monitor; the container's id follows, for people who look at ps.
const Name = "simple-container monitor"

// The descriptors that a monitor gets beside its standard streams, and those that begin gets of it. None of them is
// ever closed from the start, but /dev/null: the Go runtime opens files before we run, and would get its number.
const (
	controlFD = 3 // to the starter
	lockFD    = 4 // a lock that lives as long as the monitor
	explainFD = 5 // where begin says the kernel calls; /dev/null if nobody listens

	ReportFD  = 3 // begin's: a pipe for what it has to say
	ConsoleFD = 4 // begin's: the socket for the terminal's master; /dev/null without
	NarrateFD = 5 // begin's: for --explain; /dev/null without
)

// Files in the container's directories.
const (
	LogFile    = "log"         // what it wrote, a JSON object a line
	ExitFile   = "exit"        // how it ended
	AttachFile = "attach.sock" // where one can attach to it
	ErrorsFile = "errors"      // what went wrong in the monitor and in end
)

func init() {
	if len(os.Args) < 5 || os.Args[0] != Name {
		return
	}
	runtime.GOMAXPROCS(1) // each processor of the Go runtime has caches
	debug.SetGCPercent(25)
	m := &monitor{id: os.Args[1], dir: os.Args[2], run: os.Args[3], streams: streams{modes: os.Args[4]}, program: os.Args[5:]}
	if err := m.live(); err != nil {
		_, _ = os.Stderr.WriteString(time.Now().UTC().Format(time.RFC3339) + " monitor: " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
}

// A monitor is the state of the process.
type monitor struct {
	id, dir, run string
	program      []string // argv of this program, up to the verb
	control      *os.File
	attach       *server
	streams

	pid  int    // of the container
	oom  string // the file that counts the kills for want of memory
	file *log
}

// live is the whole life, in its order.
func (m *monitor) live() error {
	for fd := controlFD; fd <= explainFD; fd++ {
		unix.CloseOnExec(fd)
	}
	m.control = os.NewFile(controlFD, "starter")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil { // orphans of begin are ours
		return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	server, err := serve(m.run, &m.streams)
	if err != nil {
		return err
	}
	m.attach = server
	defer server.close()
	if !m.agreed() {
		return m.end() // the starter has gone: nothing has begun
	}
	if m.file, err = openLog(m.dir); err != nil {
		return errors.Join(m.say("failed 125 "+err.Error()), m.end())
	}
	defer m.file.close()
	if err := m.begin(); err != nil {
		return errors.Join(m.say("failed 125 "+err.Error()), m.end())
	}
	if m.pid == 0 {
		return m.end() // begin has said why
	}
	shrink()
	exit := m.await()
	m.attach.hurry()
	m.drain()
	err = exit.write(m.dir)
	m.attach.tellExit(exit.Code)
	err = errors.Join(err, m.end())
	unix.Close(lockFD) // there may be clients that have not read all yet, for which nobody else is to wait
	return err
}

// agreed tells the starter that clients can attach, and waits for its word.
func (m *monitor) agreed() bool {
	if m.say("ready") != nil {
		return false
	}
	word := make([]byte, 16)
	n, err := m.control.Read(word)
	return err == nil && string(word[:n]) == "go"
}

// say sends the starter a message.
func (m *monitor) say(message string) error {
	const most = 8 << 10
	_, err := m.control.WriteString(message[:min(len(message), most)])
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil // it did not wait: it may have been killed, and the container lives on
	}
	return err
}

// begin has the container made, and passes on to the starter how that went.
func (m *monitor) begin() error {
	theirs, err := m.open()
	if err != nil {
		return err
	}
	defer theirs.close()
	report, reportEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer report.Close()
	pid, err := m.fork("begin", []uintptr{
		theirs.stdin.Fd(), theirs.stdout.Fd(), theirs.stderr.Fd(),
		ReportFD: reportEnd.Fd(), ConsoleFD: theirs.console.Fd(), NarrateFD: explainFD,
	})
	reportEnd.Close()
	unix.Close(explainFD)
	if err != nil {
		return err
	}
	theirs.close()
	m.carry(m.file, m.attach)
	return m.listen(pid, report)
}

// listen hears what begin has to say, until its end.
func (m *monitor) listen(pid int, report *os.File) error {
	said := ""
	lines := lineReader{file: report}
	for line := range lines.all {
		if rest, ok := strings.CutPrefix(line, "created "); ok {
			number, oom, _ := strings.Cut(rest, " ")
			m.pid, _ = strconv.Atoi(number)
			m.oom = oom
			continue
		}
		said = line
	}
	status := reap(pid)
	if said == "" {
		said = "failed 125 begin: ended by " + status.words()
	}
	if said != "started" {
		m.abandon()
	}
	err := m.say(said)
	m.control.Close()
	return err
}

// abandon ends a container that was made and could not be started.
func (m *monitor) abandon() {
	if m.pid != 0 && isChild(m.pid) { // begin may have ended and reaped it
		_ = unix.Kill(m.pid, unix.SIGKILL) // not reaped, so the pid is its own
		reap(m.pid)
	}
	m.pid = 0
}

// end has what is left of the container cleared away.
func (m *monitor) end() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	pid, err := m.fork("end", []uintptr{null.Fd(), null.Fd(), 2})
	if err != nil {
		return err
	}
	if status := reap(pid); status.Code != 0 {
		return errors.New("end: ended by " + status.words())
	}
	return nil
}

// fork starts a verb of this program with the container's id.
func (m *monitor) fork(verb string, files []uintptr) (pid int, err error) {
	argv := append(append([]string{}, m.program...), verb, m.id)
	pid, err = syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{Env: os.Environ(), Files: files})
	if err != nil {
		return 0, errors.New(verb + ": fork: " + err.Error())
	}
	return pid, nil
}
