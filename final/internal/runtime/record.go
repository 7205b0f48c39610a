//go:build linux

package runtime

import (
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/simple-container/simple-container/final/internal/decode"
)

// record is what state.json remembers. What can be asked of the kernel is not in it.
type record struct {
	ID      string            `json:"id"`
	Bundle  string            `json:"bundle"`
	Rootfs  string            `json:"rootfs"`
	Created time.Time         `json:"created"`
	Pid     int               `json:"pid"`  // of the container's first process; 0 before it exists
	Born    uint64            `json:"born"` // when that began (kernel.ProcessStat): then the pid is still its own
	Cgroups map[string]string `json:"cgroups"`
	Beneath uint64            `json:"beneath,omitempty"` // what its mounts are on (mount.go)
	Systemd string            `json:"systemd,omitempty"` // the unit, if systemd made the cgroup
	Late    Late              `json:"late"`

	NoNewKeyring bool `json:"noNewKeyring,omitempty"` // its processes keep their caller's

	// Of the spec, what start, state, kill and delete need: to read the whole takes longer than all they do.
	Annotations map[string]string `json:"annotations,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"`
	Bare        bool              `json:"bare,omitempty"`   // no process: it can be created, and not started
	NewPID      bool              `json:"newPID,omitempty"` // a PID namespace, which ends with its first process

	Complete bool `json:"complete"` // create has come to its end
}

// recordFields are those of a record, for package decode: start and delete do little else than to read it.
var recordFields = decode.Fields[record]{
	{Name: "id", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.ID) }},
	{Name: "bundle", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Bundle) }},
	{Name: "rootfs", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Rootfs) }},
	{Name: "created", Read: func(r *decode.Reader, v *record) { readTime(r, &v.Created) }},
	{Name: "pid", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Pid) }},
	{Name: "born", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Born) }},
	{Name: "cgroups", Read: func(r *decode.Reader, v *record) { decode.Map(r, &v.Cgroups, decode.Text) }},
	{Name: "beneath", Read: func(r *decode.Reader, v *record) { decode.Number(r, &v.Beneath) }},
	{Name: "systemd", Read: func(r *decode.Reader, v *record) { decode.Text(r, &v.Systemd) }},
	{Name: "late", Read: func(r *decode.Reader, v *record) { lateFields.Read(r, &v.Late) }},
	{Name: "noNewKeyring", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.NoNewKeyring) }},
	{Name: "annotations", Read: func(r *decode.Reader, v *record) { decode.Map(r, &v.Annotations, decode.Text) }},
	{Name: "hooks", Read: func(r *decode.Reader, v *record) { decode.Pointer(r, &v.Hooks, decode.Hooks.Read) }},
	{Name: "bare", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.Bare) }},
	{Name: "newPID", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.NewPID) }},
	{Name: "complete", Read: func(r *decode.Reader, v *record) { decode.Bool(r, &v.Complete) }},
}

var lateFields = decode.Fields[Late]{
	{Name: "ops", Read: func(r *decode.Reader, v *Late) { decode.Number(r, &v.Ops) }},
	{Name: "words", Read: func(r *decode.Reader, v *Late) { decode.List(r, &v.Words, decode.Text) }},
	{Name: "shell", Read: func(r *decode.Reader, v *Late) { decode.List(r, &v.Shell, decode.Text) }},
}

func readTime(r *decode.Reader, v *time.Time) {
	var text string
	decode.Text(r, &text)
	if err := v.UnmarshalText([]byte(text)); err != nil {
		r.Unsure()
	}
}

// Late is what start must know of the plan: what it means if an op fails that comes after the wait for start.
type Late struct {
	Ops   int      `json:"ops"`   // that the plan has
	Words []string `json:"words"` // of the last ones
	Shell []string `json:"shell"` // the commands that would do the same, for --explain
}

// json is the record as encoding/json writes it, to the byte, but for the reflection: to learn the type would take
// longer than all else about the file, and create writes it three times.
func (r *record) json() ([]byte, error) {
	w := &object{text: make([]byte, 0, 2048)}
	w.string("id", r.ID)
	w.string("bundle", r.Bundle)
	w.string("rootfs", r.Rootfs)
	w.string("created", r.Created.Format(time.RFC3339Nano))
	w.number("pid", uint64(r.Pid))
	w.number("born", r.Born)
	w.strings("cgroups", r.Cgroups)
	if r.Beneath != 0 {
		w.number("beneath", r.Beneath)
	}
	if r.Systemd != "" {
		w.string("systemd", r.Systemd)
	}
	w.object("late", func() {
		w.number("ops", uint64(r.Late.Ops))
		w.list("words", r.Late.Words)
		w.list("shell", r.Late.Shell)
	})
	w.flag("noNewKeyring", r.NoNewKeyring)
	if len(r.Annotations) > 0 {
		w.strings("annotations", r.Annotations)
	}
	if r.Hooks != nil { // few have any
		w.any("hooks", r.Hooks)
	}
	w.flag("bare", r.Bare)
	w.flag("newPID", r.NewPID)
	w.name("complete")
	w.text = strconv.AppendBool(w.text, r.Complete)
	return append(w.text, '}'), w.err
}
