//go:build linux

package web

import (
	"context"
	"time"
)

// A Source is where the facts on the page come from: the machine (Machine), or a test. Its functions only look.
// They may be called at the same time. A container that is gone meanwhile is an error of its function, whose
// text the page shows.
type Source struct {
	Containers func() ([]Container, error)

	// The views of one container. What they return is sent as it is, as JSON.
	Files      func(id string) ([]File, error)
	Namespaces func(id string) ([]Namespace, error)
	Mounts     func(id string) (Mounts, error)
	Processes  func(id string) (Processes, error)
	Path       func(id string) (Path, error)

	// Calls follows the system calls of a container until the context is done or the container has ended, and tells
	// once in a while what there was.
	Calls func(ctx context.Context, id string, tell func(Calls)) error

	// Blind says what cannot be seen, and what to do about it; nothing if all can.
	Blind []string

	// Hint is what to type to get a container, a command a line.
	Hint []string
}

// A Container is a line of the list.
type Container struct {
	ID     string    `json:"id"`
	Name   string    `json:"name"` // the id, where it has no better one
	Image  string    `json:"image"`
	Status string    `json:"status"` // creating, created, running, paused, stopped
	Since  time.Time `json:"since"`
	Pid    int       `json:"pid"` // of its first process, on the host; 0 if there is none

	Figures *Figures `json:"-"` // nil if nothing can be measured
}

// Figures are what a container has used since it was made, and what it may use. A limit of 0 is none.
type Figures struct {
	CPU       time.Duration
	CPULimit  float64 // processors
	Periods   uint64  // in which there was a quota
	Throttled uint64  // in how many of them it was used up

	Memory      uint64 // bytes that cannot be taken back at will: the working set, as Kubernetes has it
	MemoryLimit uint64
	OOMKills    uint64

	Pids      uint64 // tasks: processes and their threads
	PidsLimit uint64

	Received, Sent uint64 // bytes, on all links but the loopback
}

// A File is one that a figure is read from.
type File struct {
	Figure string   `json:"figure"` // cpu, memory, pids, network
	Path   string   `json:"path"`
	Text   string   `json:"text"`
	Keys   []string `json:"keys,omitempty"` // of the lines that count; none: all
	Means  string   `json:"means"`
}

// A Namespace is one kind, as the container and as the host has it.
type Namespace struct {
	Kind      string `json:"kind"` // as in /proc/PID/ns
	Holds     string `json:"holds"`
	Container string `json:"container"` // inode number
	Host      string `json:"host"`
	Same      bool   `json:"same"`
}

// Mounts are those of a container, each behind the one it is on.
type Mounts struct {
	Mounts []Mount `json:"mounts"`
	More   int     `json:"more"` // that are left out
}

// A Mount is one line of /proc/PID/mountinfo.
type Mount struct {
	Depth   int      `json:"depth"`
	Target  string   `json:"target"`
	Type    string   `json:"type"`
	Source  string   `json:"source"`
	Options []string `json:"options"`
	Layers  []Layer  `json:"layers,omitempty"` // of an overlay, the uppermost first
}

// A Layer is one directory of an overlay.
type Layer struct {
	Kind string `json:"kind"` // upper, lower
	Dir  string `json:"dir"`
}

// Processes are those of a container, each behind its parent.
type Processes struct {
	Processes []Process `json:"processes"`
	More      int       `json:"more"` // that are left out
}

// A Process has a number in every PID namespace from the host's to its own.
type Process struct {
	Depth   int    `json:"depth"`
	Host    int    `json:"host"`
	Inside  int    `json:"inside"`
	State   string `json:"state"` // R, S, D, T, Z, ...
	User    int    `json:"user"`  // the host's number
	Threads int    `json:"threads"`
	Command string `json:"command"`
}

// A Path is the way of a packet out of a container.
type Path struct {
	Shared bool   `json:"shared"` // the container has the host's network
	Ends   string `json:"ends"`   // why it goes no further, if it does not
	Hops   []Hop  `json:"hops"`
}

// A Hop is one station of it.
type Hop struct {
	Kind      string   `json:"kind"` // link, peer, bridge, rules, uplink
	Name      string   `json:"name"`
	Inside    bool     `json:"inside"` // the container's network namespace
	Up        bool     `json:"up"`
	Addresses []string `json:"addresses,omitempty"`
	Facts     []string `json:"facts,omitempty"`
	Counted   bool     `json:"counted"` // the next two are
	Received  uint64   `json:"received"`
	Sent      uint64   `json:"sent"`
}

// Calls are the system calls of a container since somebody looks.
type Calls struct {
	Engine  string // that traces
	Why     string // why it is not a better one
	Counts  []Count
	Recent  []Call // the last ones, not more than mostRecent
	Unsaid  uint64 // since the last time, that are counted, and not among the recent
	Dropped uint64 // that are missing everywhere
}

// A Count is what there was of one call.
type Count struct {
	Name    string  `json:"name"`
	Calls   uint64  `json:"calls"`
	Failed  uint64  `json:"failed"`
	Seconds float64 `json:"seconds"` // spent in it
}

// A Call is a system call that has returned.
type Call struct {
	Pid     int     `json:"pid"`  // in the container's numbers, if they are known
	Text    string  `json:"text"` // openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3
	Failed  bool    `json:"failed"`
	Seconds float64 `json:"seconds"`
}
