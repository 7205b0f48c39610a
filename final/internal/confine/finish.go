//go:build linux

package confine

import (
	"encoding/binary"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// Finish takes the last step before execve: the filter, which is in force from there on. p, h and f are those of
// Identity.
//
// What follows must be execve, and nothing that a profile might not allow. With a listener, a write that says
// which descriptor it is and a read that waits for the parent come in between: Compile sees to it that the
// write is not one of the calls that wait for an agent.
func Finish(l *op.List, p *specs.Process, h Host, f *Filter) error {
	s, _, err := setsOf(p, h)
	if err != nil {
		return err
	}
	if f == nil {
		return nil
	}
	f.load(l)
	// Execve takes away the CAP_SYS_ADMIN of withAdmin, as everything that is not in the bounding set. Where
	// it is there, execve would give it to root anyway, unless no_new_privs is set: by the caller, then.
	if !p.NoNewPrivileges && s.withAdmin(h) != s && (s.bounding | s.inheritable).has(unix.CAP_SYS_ADMIN) {
		capset(l, s, "CAP_SYS_ADMIN was for the filter")
	}
	return nil
}

// load loads the filter (seccomp(2)).
func (f *Filter) load(l *op.List) {
	code := &op.Data{Bytes: make([]byte, 0, 8*len(f.Program))}
	for _, i := range f.Program { // struct sock_filter
		code.Bytes = binary.NativeEndian.AppendUint16(code.Bytes, i.Code)
		code.Bytes = append(code.Bytes, i.Jt, i.Jf)
		code.Bytes = binary.NativeEndian.AppendUint32(code.Bytes, i.K)
	}
	program := op.Words(0, 0) // struct sock_fprog: the number of instructions, in 2 bytes, and where they are
	binary.NativeEndian.PutUint16(program.Bytes, uint16(len(f.Program)))
	program.Pointers = []op.Pointer{{Offset: 8, To: code}}
	program.Text = fmt.Sprintf("[%d instructions]", len(f.Program))
	l.Add(op.Op{
		Name: "seccomp", Nr: unix.SYS_SECCOMP, Result: f.Listener,
		Args: []op.Arg{
			op.Int(unix.SECCOMP_SET_MODE_FILTER).As("SECCOMP_SET_MODE_FILTER"),
			op.Flags(f.Flags, flagNames), op.Ref(program),
		},
		Means: "linux.seccomp: load the filter", Why: "system calls that the profile forbids are refused from here on",
	})
}
