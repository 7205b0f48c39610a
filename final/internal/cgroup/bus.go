//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// systemd is a connection to the service manager.
type systemd struct{ conn *connection }

const (
	service = "org.freedesktop.systemd1"
	manager = "org.freedesktop.systemd1.Manager"
	busPath = "/org/freedesktop/systemd1"
)

// jobPatience bounds the wait for a job of systemd.
const jobPatience = 30 * time.Second

// dialSystemd connects to systemd over the message bus, or where none runs, as early at boot, by systemd's
// own socket. Of a user who is not root it is the systemd of that user's session.
func dialSystemd() (s *systemd, err error) {
	bus, private := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"), "/run/systemd/private"
	if bus == "" {
		bus = "unix:path=/run/dbus/system_bus_socket"
	}
	if kernel.OfUser() {
		run := os.Getenv("XDG_RUNTIME_DIR")
		bus, private = os.Getenv("DBUS_SESSION_BUS_ADDRESS"), run+"/systemd/private"
		switch {
		case bus == "" && run == "":
			return nil, errors.New("connect to systemd: XDG_RUNTIME_DIR is not set: " +
				"it is of the user's session, and there is none")
		case bus == "":
			bus = "unix:path=" + run + "/bus"
		}
	}
	conn, err := dial(bus, true)
	if err != nil {
		var other error
		if conn, other = dial("unix:path="+private, false); other != nil {
			return nil, fmt.Errorf("connect to systemd: %w; %w", err, other)
		}
	}
	return &systemd{conn}, nil
}

func dial(address string, bus bool) (conn *connection, err error) {
	conn, err = dialBus(address, jobPatience)
	if err != nil || !bus {
		return conn, err
	}
	opened := conn // a return sets conn to nil before this runs
	defer func() {
		if err != nil {
			opened.Close()
		}
	}()
	const name = "org.freedesktop.DBus"
	if _, err := conn.call(name, "/org/freedesktop/DBus", name, "Hello"); err != nil {
		return nil, fmt.Errorf("hello %s: %w", address, err)
	}
	match := "type='signal',interface='" + manager + "',member='JobRemoved'"
	if _, err := conn.call(name, "/org/freedesktop/DBus", name, "AddMatch", match); err != nil {
		return nil, fmt.Errorf("match %s.JobRemoved: %w", manager, err)
	}
	// Or systemd sends no signals to the bus.
	if _, err := conn.call(service, busPath, manager, "Subscribe"); err != nil {
		return nil, fmt.Errorf("%s.Subscribe: %w", manager, err)
	}
	return conn, nil
}

// call calls a method of the manager; value says to people what with. What comes back, if anything, is a job.
func (s *systemd) call(door *kernel.Door, method, value string, args ...any) (job string, err error) {
	call := kernel.Call{Op: "systemd", Object: method, Value: value}
	switch method {
	case "StopUnit":
		call.Shell = "systemctl stop " + value
	case "ResetFailedUnit":
		call.Shell = "systemctl reset-failed " + value
	case "SetUnitProperties":
		call.Shell = "systemctl set-property --runtime " + value
	case "StartTransientUnit":
		call.Shell = "systemd-run --scope --unit=" + strings.ReplaceAll(value, " ", " -p ")
	}
	err = door.Do(call, func() error {
		reply, err := s.conn.call(service, busPath, manager, method, args...)
		if err == nil && reply.signature == "o" {
			job = reply.body.text()
		}
		return err
	})
	return job, err
}

// start starts a transient unit, and waits until it has.
func (s *systemd) start(door *kernel.Door, name string, properties []property) error {
	start := func() (job string, err error) {
		return s.call(door, "StartTransientUnit", words(name, properties), name, "replace", properties, noUnits{})
	}
	job, err := start()
	if isNamed(err, "org.freedesktop.systemd1.UnitExists") {
		// One of that name has failed, and lies there until somebody has looked.
		if _, err := s.call(door, "ResetFailedUnit", name, name); err != nil {
			return err
		}
		job, err = start()
	}
	if err != nil {
		return err
	}
	return s.wait(job, "StartTransientUnit "+name)
}

// stop stops a unit, and forgets that it failed if it did. One that systemd does not know has gone by itself.
func (s *systemd) stop(door *kernel.Door, name string) error {
	job, err := s.call(door, "StopUnit", name, name, "replace")
	if err == nil {
		err = s.wait(job, "StopUnit "+name)
	}
	if err == nil {
		_, err = s.call(door, "ResetFailedUnit", name, name)
	}
	if isNamed(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

func isNamed(err error, name string) bool {
	e, ok := errors.AsType[*busError](err)
	return ok && e.name == name
}

// wait waits for the signal that a job is done: JobRemoved(id, job, unit, result).
func (s *systemd) wait(job, what string) error {
	for deadline := time.Now().Add(jobPatience); time.Now().Before(deadline); {
		m, err := s.conn.signal()
		if err != nil {
			return fmt.Errorf("systemd %s: %w", what, err)
		}
		if m.iface != manager || m.member != "JobRemoved" || m.signature != "uoss" {
			continue
		}
		m.body.number()
		removed := m.body.text()
		m.body.text() // the unit
		result := m.body.text()
		switch {
		case removed != job: // somebody else's
		case result != "done":
			return fmt.Errorf("systemd %s: the job's result is %q", what, result)
		default:
			return nil
		}
	}
	return fmt.Errorf("systemd %s: %w after %v", what, unix.ETIMEDOUT, jobPatience)
}

// words are a unit and its properties as systemd-run takes them.
func words(name string, properties []property) string {
	text := []string{name}
	for _, p := range properties {
		text = append(text, p.Name+"="+strings.ReplaceAll(fmt.Sprint(p.Value), " ", ","))
	}
	return strings.Join(text, " ")
}
