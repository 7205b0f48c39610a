//go:build linux

package cgroup

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"golang.org/x/sys/unix"
)

// systemd is a connection to the service manager.
type systemd struct {
	conn    *dbus.Conn
	signals chan *dbus.Signal
}

const (
	manager    = "org.freedesktop.systemd1.Manager"
	jobRemoved = manager + ".JobRemoved"
	busPath    = "/org/freedesktop/systemd1"
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
	if os.Geteuid() != 0 {
		run := os.Getenv("XDG_RUNTIME_DIR")
		bus, private = os.Getenv("DBUS_SESSION_BUS_ADDRESS"), run+"/systemd/private"
		if bus == "" {
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
	s = &systemd{conn: conn, signals: make(chan *dbus.Signal, 16)}
	conn.Signal(s.signals)
	return s, nil
}

func dial(address string, bus bool) (conn *dbus.Conn, err error) {
	conn, err = dbus.Dial(address)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(fmt.Sprint(os.Geteuid()))}); err != nil {
		return nil, fmt.Errorf("authenticate at %s: %w", address, err)
	}
	if !bus {
		return conn, nil
	}
	if err := conn.Hello(); err != nil {
		return nil, fmt.Errorf("hello %s: %w", address, err)
	}
	if err := conn.AddMatchSignal(dbus.WithMatchInterface(manager), dbus.WithMatchMember("JobRemoved")); err != nil {
		return nil, fmt.Errorf("match %s: %w", jobRemoved, err)
	}
	object := conn.Object("org.freedesktop.systemd1", busPath)
	if err := object.Call(manager+".Subscribe", 0).Err; err != nil { // or systemd sends no signals to the bus
		return nil, fmt.Errorf("%s.Subscribe: %w", manager, err)
	}
	return conn, nil
}

// call calls a method of the manager; value says to people what with.
func (s *systemd) call(door *kernel.Door, method, value string, result any, args ...any) error {
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
	return door.Do(call, func() error {
		reply := s.conn.Object("org.freedesktop.systemd1", busPath).Call(manager+"."+method, 0, args...)
		if reply.Err != nil || result == nil {
			return reply.Err
		}
		return reply.Store(result)
	})
}

// start starts a transient unit, and waits until it has.
func (s *systemd) start(door *kernel.Door, name string, properties []property) error {
	auxiliary := []struct {
		Name       string
		Properties []property
	}{}
	var job dbus.ObjectPath
	err := s.call(door, "StartTransientUnit", words(name, properties), &job, name, "replace", properties, auxiliary)
	if isNamed(err, "org.freedesktop.systemd1.UnitExists") {
		// One of that name has failed, and lies there until somebody has looked.
		if err := s.call(door, "ResetFailedUnit", name, nil, name); err != nil {
			return err
		}
		err = s.call(door, "StartTransientUnit", words(name, properties), &job, name, "replace", properties, auxiliary)
	}
	if err != nil {
		return err
	}
	return s.wait(job, "StartTransientUnit "+name)
}

// stop stops a unit, and forgets that it failed if it did. One that systemd does not know has gone by itself.
func (s *systemd) stop(door *kernel.Door, name string) error {
	var job dbus.ObjectPath
	err := s.call(door, "StopUnit", name, &job, name, "replace")
	if err == nil {
		err = s.wait(job, "StopUnit "+name)
	}
	if err == nil {
		err = s.call(door, "ResetFailedUnit", name, nil, name)
	}
	if isNamed(err, "org.freedesktop.systemd1.NoSuchUnit") {
		return nil
	}
	return err
}

func isNamed(err error, name string) bool {
	e, ok := errors.AsType[dbus.Error](err)
	return ok && e.Name == name
}

// wait waits for the signal that a job is done: JobRemoved(id, job, unit, result).
func (s *systemd) wait(job dbus.ObjectPath, what string) error {
	timeout := time.After(jobPatience)
	for {
		select {
		case <-timeout:
			return fmt.Errorf("systemd %s: %w after %v", what, unix.ETIMEDOUT, jobPatience)
		case signal, ok := <-s.signals:
			if !ok {
				return fmt.Errorf("systemd %s: the connection ended", what)
			}
			var id uint32
			var removed dbus.ObjectPath
			var unit, result string
			if signal.Name != jobRemoved || dbus.Store(signal.Body, &id, &removed, &unit, &result) != nil {
				continue
			}
			if removed != job {
				continue // somebody else's
			}
			if result != "done" {
				return fmt.Errorf("systemd %s: the job's result is %q", what, result)
			}
			return nil
		}
	}
}

// words are a unit and its properties as systemd-run takes them.
func words(name string, properties []property) string {
	text := []string{name}
	for _, p := range properties {
		text = append(text, p.Name+"="+strings.ReplaceAll(fmt.Sprint(p.Value.Value()), " ", ","))
	}
	return strings.Join(text, " ")
}
