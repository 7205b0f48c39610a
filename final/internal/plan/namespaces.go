//go:build linux

package plan

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/op"
)

// A Kind is a kind of namespace (namespaces(7)).
type Kind struct {
	Type    specs.LinuxNamespaceType
	File    string // in /proc/PID/ns
	Flag    uintptr
	Unshare string // option of unshare(1)
}

// Kinds are the kinds of namespaces. The user namespace is first: who is in it may do more in the others.
var Kinds = []Kind{
	{specs.UserNamespace, "user", unix.CLONE_NEWUSER, "--user"},
	{specs.PIDNamespace, "pid", unix.CLONE_NEWPID, "--pid --fork"},
	{specs.MountNamespace, "mnt", unix.CLONE_NEWNS, "--mount"},
	{specs.NetworkNamespace, "net", unix.CLONE_NEWNET, "--net"},
	{specs.IPCNamespace, "ipc", unix.CLONE_NEWIPC, "--ipc"},
	{specs.UTSNamespace, "uts", unix.CLONE_NEWUTS, "--uts"},
	{specs.CgroupNamespace, "cgroup", unix.CLONE_NEWCGROUP, "--cgroup"},
	{specs.TimeNamespace, "time", unix.CLONE_NEWTIME, "--time"},
}

// KindOf returns the kind that the specification calls t.
func KindOf(t specs.LinuxNamespaceType) (k Kind, ok bool) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Type == t })
	if i < 0 {
		return k, false
	}
	return Kinds[i], true
}

// FlagNames names the CLONE_NEW* flags, as in C.
func FlagNames(flags uintptr) string { return op.Flags(flags, op.CloneFlags).String() }

// UnshareCommand is the shell command that starts a process in new namespaces.
func UnshareCommand(flags uintptr) string { return "unshare " + strings.Join(options(flags), " ") }

// option is that of nsenter(1).
func (k Kind) option() string {
	option, _, _ := strings.Cut(k.Unshare, " ")
	return option
}

// JoinedInside tells whether the container side joins a namespace that the spec gives by path, not a thread of the
// parent before the clone: some kinds only a process with one thread may join, and who is not root has to be that of a
// user namespace before he may join any.
func JoinedInside(s *specs.Spec, t specs.LinuxNamespaceType, rootless bool) bool {
	return joinedAlone(t) || rootless && !NewUser(s)
}

func joinedAlone(t specs.LinuxNamespaceType) bool {
	return t == specs.UserNamespace || t == specs.MountNamespace || t == specs.TimeNamespace
}

func whoMayJoin(t specs.LinuxNamespaceType) string {
	if joinedAlone(t) {
		return "only a process with one thread may join"
	}
	return "only the root of its user namespace may join"
}

// namespaces are those of a spec, by kind.
type namespaces map[specs.LinuxNamespaceType]specs.LinuxNamespace

func namespacesOf(s *specs.Spec) namespaces {
	set := namespaces{}
	if s.Linux != nil {
		for _, n := range s.Linux.Namespaces {
			set[n.Type] = n
		}
	}
	return set
}

// Has tells whether the spec asks for a namespace of this kind, a new one or one that there is.
func Has(s *specs.Spec, t specs.LinuxNamespaceType) bool {
	_, ok := namespacesOf(s)[t]
	return ok
}

func (set namespaces) new(t specs.LinuxNamespaceType) bool {
	n, ok := set[t]
	return ok && n.Path == ""
}

func (set namespaces) joined(t specs.LinuxNamespaceType) bool { return set[t].Path != "" }

// news is the set of CLONE_NEW* flags of the namespaces that are to be new.
func (set namespaces) news() (flags uintptr) {
	for _, k := range Kinds {
		if set.new(k.Type) {
			flags |= k.Flag
		}
	}
	return flags
}

// late are the namespaces that are not made by a clone. A cgroup namespace has the cgroup as its root that its
// maker is in, and the clone into a cgroup makes it too early; a file system of queues belongs to the maker of its IPC
// namespace, who is to be the root of the user namespace; of time see twice.
func (set namespaces) late() (flags uintptr) {
	flags = unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME
	if _, ok := set[specs.UserNamespace]; ok {
		flags |= unix.CLONE_NEWIPC
	}
	return flags
}

// twice tells whether one clone is not enough, and the process that was started has to make another one in its
// place. It has to execute a program first, this one, and whoever is nobody in a user namespace loses all
// capabilities by that, until its ids are mapped. One that joins a user namespace is in it only then, and what
// is to belong to it must be made after that. And whoever makes a time namespace stays in the old one; so that
// clocks never jump, its children begin in the new.
func (set namespaces) twice() bool {
	return set.new(specs.UserNamespace) || set.new(specs.TimeNamespace) || set.alone()
}

// alone tells whether the spec gives a namespace by path that only a process with one thread may join.
func (set namespaces) alone() bool {
	return set.joined(specs.UserNamespace) || set.joined(specs.MountNamespace) || set.joined(specs.TimeNamespace)
}

// CloneFlags are those of the namespaces that the container side begins in.
func CloneFlags(s *specs.Spec) uintptr {
	set := namespacesOf(s)
	if set.twice() {
		return 0
	}
	return set.news() &^ set.late()
}

// NewPID tells whether the container has a PID namespace of its own, and ends with its first process.
func NewPID(s *specs.Spec) bool { return namespacesOf(s).new(specs.PIDNamespace) }

// NewCgroup tells whether the container has a cgroup namespace of its own.
func NewCgroup(s *specs.Spec) bool { return namespacesOf(s).new(specs.CgroupNamespace) }

// NewUser tells whether the container has a new user namespace, whose ids are to be mapped.
func NewUser(s *specs.Spec) bool { return namespacesOf(s).new(specs.UserNamespace) }

// enterNamespaces joins the namespaces that are left, the clone having made most, and the parent's thread
// having joined others before that.
func (c *create) enterNamespaces() error {
	set := namespacesOf(c.spec)
	if set.alone() {
		c.haveOneThread()
	}
	kinds := slices.Clone(Kinds)
	if !c.o.Rootless { // root may join all of them, until it is only that of a user namespace which may not own the others
		slices.Reverse(kinds)
	}
	for _, k := range kinds {
		if number := c.o.Joins[k.Type]; number != 0 {
			setns := op.Setns(op.Int(number), int(k.Flag))
			setns.Why = "the " + string(k.Type) + " namespace of the spec, which " + whoMayJoin(k.Type)
			setns.Means = "linux.namespaces: join " + string(k.Type)
			setns.Shell = "nsenter " + k.option() + "=" + set[k.Type].Path
			if k.Type == specs.UserNamespace {
				setns.Instead = map[unix.Errno]string{
					unix.EPERM:  "operation not permitted: it is another user's",
					unix.EINVAL: "it is the caller's own: leave it out",
				}
			}
			c.Add(setns)
		}
	}
	news := set.news()
	if set.new(specs.TimeNamespace) {
		if c.o.Rootless && set.new(specs.UserNamespace) {
			c.cloneAgain(unix.CLONE_NEWUSER, "the root of a user namespace, who may make a time namespace")
			news &^= unix.CLONE_NEWUSER
		}
		c.unshare(unix.CLONE_NEWTIME, "for the children; the clocks of a process never jump")
		c.setClocks()
	}
	if set.twice() {
		c.cloneAgain(news&^set.late(), "a child in the namespaces goes on, from here; this process is done")
	}
	return nil
}

// takeOver is the first act as the root of the namespaces.
func (c *create) takeOver() error {
	set := namespacesOf(c.spec)
	if _, ok := set[specs.UserNamespace]; ok {
		c.becomeRoot()
		c.unshare(set.news()&unix.CLONE_NEWIPC, "now, so that its queues are this root's")
	}
	if set.new(specs.CgroupNamespace) {
		c.unshare(unix.CLONE_NEWCGROUP, "now, because its root is the cgroup that this process is in")
	}
	return nil
}

func (c *create) unshare(flags uintptr, why string) {
	if flags == 0 {
		return
	}
	c.Add(op.Op{Name: "unshare", Nr: unix.SYS_UNSHARE, Args: []op.Arg{op.Flags(flags, op.CloneFlags)},
		Shell: UnshareCommand(flags), Why: why})
}

// options are the options of unshare(1) for flags.
func options(flags uintptr) (list []string) {
	for _, k := range Kinds {
		if flags&k.Flag != 0 {
			list = append(list, k.Unshare)
		}
	}
	return list
}

// cloneAgain makes a child that goes on in this process's place, as another child of the parent's.
func (c *create) cloneAgain(flags uintptr, why string) {
	c.cloned = true
	names := append([]op.Flag{{Value: uint64(unix.SIGCHLD), Name: "SIGCHLD"}}, op.CloneFlags...)
	clone := op.Op{Name: "clone", Nr: unix.SYS_CLONE, Positive: "replaced", Args: []op.Arg{
		op.Flags(flags|unix.CLONE_PARENT|uintptr(unix.SIGCHLD), names), op.Null(), op.Null(), op.Null(), op.Null(),
	}, Why: why}
	if flags != 0 {
		clone.Shell = UnshareCommand(flags)
	}
	c.Add(clone)
	c.tell(Born, "the parent needs to know the child")
}

// becomeRoot takes the ids that a user namespace has for its root.
func (c *create) becomeRoot() {
	for _, call := range []struct {
		name string
		nr   int
		maps string
	}{{"setresgid", unix.SYS_SETRESGID, "gidMappings"}, {"setresuid", unix.SYS_SETRESUID, "uidMappings"}} {
		c.Add(op.Op{Name: call.name, Nr: call.nr, Args: []op.Arg{op.Int(0), op.Int(0), op.Int(0)},
			Why: "root of the user namespace", Means: "linux." + call.maps + ": want container id 0 among them"})
	}
}
