//go:build linux

package confine

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	elastic "github.com/elastic/go-seccomp-bpf"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var elasticActions = map[specs.LinuxSeccompAction]elastic.Action{
	specs.ActKillProcess: elastic.ActionKillProcess, specs.ActKillThread: elastic.ActionKillThread,
	specs.ActTrap: elastic.ActionTrap, specs.ActTrace: elastic.ActionTrace | 1, specs.ActLog: elastic.ActionLog,
	specs.ActErrno: elastic.ActionErrno | 1, specs.ActAllow: elastic.ActionAllow,
}

var elasticOperations = map[specs.LinuxSeccompOperator]elastic.Operation{
	specs.OpEqualTo: elastic.Equal, specs.OpNotEqual: elastic.NotEqual, specs.OpGreaterThan: elastic.GreaterThan,
	specs.OpGreaterEqual: elastic.GreaterOrEqual, specs.OpLessThan: elastic.LessThan,
	specs.OpLessEqual: elastic.LessOrEqual,
}

// TestOtherCompiler compares filters with those of a compiler that others wrote, for what both know: one ABI,
// and no masks. It refuses a call that is named twice. In version 1.6.0, a condition that does not hold leaves
// half of an argument where the next comparison expects the number of the call: it must not look like one.
func TestOtherCompiler(t *testing.T) {
	m, err := thisMachine() // theirs is for no other
	if err != nil {
		t.Skip(err)
	}
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 4))
		profile, policy := twice(r, m[0])
		program, err := policy.Assemble()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := bpf.Assemble(program)
		if err != nil {
			t.Fatal(err)
		}
		var filters []unix.SockFilter
		for _, i := range raw {
			filters = append(filters, unix.SockFilter{Code: i.Op, Jt: i.Jt, Jf: i.Jf, K: i.K})
		}
		ours, theirs := vm(t, compile(t, m, profile).Program), vm(t, filters)
		for range 500 {
			d := data{Number: 1 + uint32(r.IntN(newest(m[0]))), Arch: abis[m[0]].audit}
			if c := lookup(pick(r, pick(r, profile.Syscalls...).Names...)); r.IntN(4) > 0 {
				d.Number = uint32(c.numbers[m[0]])
			}
			for i := range d.Args {
				d.Args[i] = large(r)
			}
			if got, want := ours(d), theirs(d); got != want {
				text, _ := json.Marshal(profile)
				t.Fatalf("seed %d: call %d%x: got %#x, theirs %#x\n%s", seed, d.Number, d.Args, got, want, text)
			}
		}
	}
}

// twice writes a random profile for both compilers.
func twice(r *rand.Rand, column int) (*specs.LinuxSeccomp, *elastic.Policy) {
	action := func() specs.LinuxSeccompAction {
		return pick(r, specs.ActKillProcess, specs.ActKillThread, specs.ActTrap, specs.ActTrace, specs.ActLog,
			specs.ActErrno, specs.ActAllow)
	}
	profile := &specs.LinuxSeccomp{
		DefaultAction: pick(r, specs.ActKillProcess, specs.ActTrap, specs.ActLog, specs.ActAllow),
	}
	policy := &elastic.Policy{DefaultAction: elasticActions[profile.DefaultAction]}
	named := map[string]bool{"newfstatat": true} // theirs has the name for x86_64 only
	add := func(names ...string) {
		entry := specs.LinuxSyscall{Names: names, Action: action()}
		group := elastic.SyscallGroup{Action: elasticActions[entry.Action]}
		var conditions elastic.ArgumentConditions
		for index := range uint(6) {
			if r.IntN(4) == 0 {
				arg := specs.LinuxSeccompArg{Index: index, Value: large(r), Op: pick(r, operatorNames[:]...)}
				entry.Args = append(entry.Args, arg)
				conditions = append(conditions, elastic.Condition{
					Argument: uint32(index), Operation: elasticOperations[arg.Op], Value: arg.Value})
			}
		}
		for _, name := range names {
			if len(conditions) > 0 {
				group.NamesWithCondtions = append(group.NamesWithCondtions,
					elastic.NameWithConditions{Name: name, Conditions: conditions})
			} else {
				group.Names = append(group.Names, name)
			}
		}
		profile.Syscalls, policy.Syscalls = append(profile.Syscalls, entry), append(policy.Syscalls, group)
	}
	for range 1 + r.IntN(12) {
		var names []string
		for range 1 + r.IntN(5) {
			if c := pick(r, calls[:]...); c.numbers[column] > 0 && int(c.numbers[column]) < newest(column) && !named[c.name] {
				named[c.name] = true
				names = append(names, c.name)
			}
		}
		if len(names) > 0 {
			add(names...)
		}
	}
	add("statx")
	return profile, policy
}

// newest is a call that every profile here names: what is newer, they and we judge differently.
func newest(column int) int { return int(lookup("statx").numbers[column]) }

// large is a number without a half that is the number of a call.
func large(r *rand.Rand) uint64 {
	half := func() uint64 { return pick[uint64](r, 0, 1000, 1001, 1<<31-1, 1<<31, 1<<32-1) }
	return half()<<32 | half()
}
