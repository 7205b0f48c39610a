//go:build linux

package cgroup

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// OOM calls tell each time processes of the group have met the limit of memory and one had to die, until the
// context is done or the group is gone; neither is an error.
//
// On v2 the kernel marks memory.events as changed, for inotify(7), and the count of oom_kill says whether it
// was that. On v1 an eventfd(2) is registered in cgroup.event_control.
func (g *Group) OOM(ctx context.Context, door *kernel.Door, tell func()) error {
	p := g.part("memory")
	if p == nil {
		return errors.New("watch cgroup: no memory controller is mounted")
	}
	if p.Version == 1 {
		return p.watchV1(ctx, door, "memory.oom_control", "", tell)
	}
	f := &Files{dir: p.dir}
	kills := f.table("memory.events")["oom_kill"]
	return p.watchV2(ctx, []string{"memory.events", "cgroup.events"}, func() bool {
		now := f.table("memory.events")["oom_kill"]
		for ; kills < now; kills++ {
			tell()
		}
		return f.err == nil && unix.Access(p.dir, unix.F_OK) == nil && !f.emptied()
	})
}

// emptied tells whether the last process has gone: memory.events will not change any more.
func (f *Files) emptied() bool {
	populated, ok := f.table("cgroup.events")["populated"]
	return ok && populated == 0
}

// A Level of memory pressure.
type Level string

const (
	Low      Level = "low"      // the kernel looks for pages to take back
	Medium   Level = "medium"   // it swaps, and drops files that are in use
	Critical Level = "critical" // it is about to kill
)

// triggers are what comes near to v1's levels in v2's terms: that some, or all, processes had to wait for
// memory so many microseconds of one second (Documentation/accounting/psi.rst).
var triggers = map[Level]string{
	Low: "some 100000 1000000", Medium: "some 500000 1000000", Critical: "full 500000 1000000",
}

// Pressure calls tell each time the group is short of memory, until the context is done or the group is gone.
func (g *Group) Pressure(ctx context.Context, door *kernel.Door, level Level, tell func()) error {
	trigger, ok := triggers[level]
	if !ok {
		return fmt.Errorf("memory pressure %q: want low, medium or critical", level)
	}
	p := g.part("memory")
	if p == nil {
		return errors.New("watch cgroup: no memory controller is mounted")
	}
	if p.Version == 1 {
		return p.watchV1(ctx, door, "memory.pressure_level", " "+string(level), tell)
	}
	return p.watchPSI(ctx, trigger, tell)
}

// watchV1 waits for an event of a v1 file: "EVENTFD FILE ARGUMENTS" in cgroup.event_control subscribes to it
// (Documentation/admin-guide/cgroup-v1/cgroups.rst). The end of the group is an event too.
func (p *part) watchV1(ctx context.Context, door *kernel.Door, name, arguments string, tell func()) error {
	file, err := os.Open(p.dir + "/" + name)
	if err != nil {
		return goneIsEnd(err)
	}
	defer file.Close()
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	events := os.NewFile(uintptr(fd), "eventfd")
	defer events.Close()
	control := p.dir + "/cgroup.event_control"
	if err := door.Write(control, fmt.Sprintf("%d %d%s", fd, file.Fd(), arguments)); err != nil {
		return goneIsEnd(err)
	}
	buf := make([]byte, 8) // how many there were since the last read
	return wait(ctx, events, buf, func() bool {
		if unix.Access(control, unix.F_OK) != nil {
			return false
		}
		for range binary.NativeEndian.Uint64(buf) {
			tell()
		}
		return true
	})
}

// watchV2 waits for changes of files, and asks after each whether to go on.
func (p *part) watchV2(ctx context.Context, names []string, changed func() bool) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("inotify_init1: %w", err)
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	for _, name := range names {
		if _, err := unix.InotifyAddWatch(fd, p.dir+"/"+name, unix.IN_MODIFY|unix.IN_DELETE_SELF); err != nil {
			return goneIsEnd(fmt.Errorf("inotify_add_watch %s/%s: %w", p.dir, name, err))
		}
	}
	if !changed() { // before the watch was there
		return nil
	}
	return wait(ctx, events, make([]byte, 4096), changed)
}

// wait reads from a descriptor and asks after each read whether to go on, and each second: cgroup2 puts off an event that
// follows another within 10 ms, and drops it if the group is removed before. The end of the context ends the read.
func wait(ctx context.Context, events *os.File, buf []byte, happened func() bool) error {
	stop := context.AfterFunc(ctx, func() { _ = events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		_ = events.SetReadDeadline(time.Now().Add(time.Second)) // both kinds of file have deadlines
		_, err := events.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			clear(buf) // nothing has been counted
		case err != nil:
			return fmt.Errorf("read %s: %w", events.Name(), err)
		}
		if !happened() {
			return nil
		}
	}
}

// watchPSI waits for a trigger: it is written to the file, and poll(2) then says POLLPRI at most once a
// window, and POLLERR when the group is gone. A poll that lasts no longer than the window looks at the context.
func (p *part) watchPSI(ctx context.Context, trigger string, tell func()) error {
	path := p.dir + "/memory.pressure"
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return goneIsEnd(fmt.Errorf("open %s: %w", path, err))
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, append([]byte(trigger), 0)); err != nil {
		return goneIsEnd(fmt.Errorf("write %s %q: %w", path, trigger, err))
	}
	for ctx.Err() == nil {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}
		n, err := unix.Poll(poll, 500)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("poll %s: %w", path, err)
		case n > 0 && poll[0].Revents&unix.POLLERR != 0:
			return nil
		case n > 0 && poll[0].Revents&unix.POLLPRI != 0:
			tell()
		}
	}
	return nil
}

// goneIsEnd makes no error of a group that has been removed.
func goneIsEnd(err error) error {
	if gone(err) {
		return nil
	}
	return err
}
