//go:build linux

package lab

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/syntax"
)

// The interpreter runs `cmd &` in a goroutine of its own and does not tell its handlers which goroutine they
// are called from. Variables do: a subshell has its own. So before a statement runs, each
//
//	cmd &
//
// in it becomes
//
//	{ LAB_NEXT=$LAB_NEW_n; { LAB_JOB=$LAB_NEXT; (cmd) && LAB-end || LAB-end; } & }
//
// where $LAB_NEW_n makes a new job whose text is the n-th of s.sources and expands to the job's id. Whatever is
// executed below cmd sees LAB_JOB in its environment and joins that job. $! and $0 are the shell's, too.
const (
	varNewJob  = "LAB_NEW_"
	varNextJob = "LAB_NEXT"
	varJob     = "LAB_JOB"
	varLastPid = "LAB_LAST_PID"
	varArgv0   = "LAB_ARGV0"

	// Commands of the shell for itself. No file has such a name, and the parser reads it back.
	callEnd    = "lab:end"
	callPrefix = "lab:" // followed by the name of one of s.builtins
)

// rewrite changes a statement in place as described above.
func (s *shell) rewrite(st *syntax.Stmt) {
	done := map[*syntax.Stmt]bool{} // the statements that background made, which are in the background too
	syntax.Walk(st, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.ParamExp:
			switch {
			case node.Param == nil:
			case node.Param.Value == "!":
				node.Param.Value = varLastPid
			case node.Param.Value == "0":
				node.Param.Value = varArgv0
			}
		case *syntax.Stmt:
			if node.Background && node.Cmd != nil && !done[node] {
				done[s.background(node)] = true
			}
		}
		return true
	})
	markExec(st)
}

// background turns `cmd &` into the block above and returns the statement in it that goes to the background.
// Walk visits the block after this, so cmd itself may hold more of them.
func (s *shell) background(st *syntax.Stmt) *syntax.Stmt {
	inner := *st
	inner.Background = false
	var text strings.Builder
	if err := syntax.NewPrinter(syntax.SingleLine(true)).Print(&text, &inner); err != nil {
		text.Reset()
	}
	s.mu.Lock()
	n := len(s.sources)
	s.sources = append(s.sources, strings.TrimSpace(text.String()))
	s.mu.Unlock()

	end := func() *syntax.Stmt { return statementOf(&syntax.CallExpr{Args: []*syntax.Word{wordOf(callEnd)}}) }
	run := &syntax.BinaryCmd{
		Op: syntax.OrStmt,
		X: statementOf(&syntax.BinaryCmd{
			Op: syntax.AndStmt,
			X:  statementOf(&syntax.Subshell{Stmts: []*syntax.Stmt{&inner}}),
			Y:  end(),
		}),
		Y: end(),
	}
	job := statementOf(&syntax.Block{Stmts: []*syntax.Stmt{assign(varJob, varNextJob), statementOf(run)}})
	job.Background = true
	*st = syntax.Stmt{
		Position: st.Position,
		Cmd:      &syntax.Block{Stmts: []*syntax.Stmt{assign(varNextJob, varNewJob+strconv.Itoa(n)), job}},
	}
	return job
}

func statementOf(cmd syntax.Command) *syntax.Stmt { return &syntax.Stmt{Cmd: cmd} }

func wordOf(text string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: text}}}
}

// assign is the statement name=$from.
func assign(name, from string) *syntax.Stmt {
	value := &syntax.Word{Parts: []syntax.WordPart{&syntax.ParamExp{Short: true, Param: &syntax.Lit{Value: from}}}}
	return statementOf(&syntax.CallExpr{Assigns: []*syntax.Assign{{Name: &syntax.Lit{Value: name}, Value: value}}})
}

// markExec renames `exec CMD` to the shell's own where it replaces this shell, that is outside of subshells,
// pipes and functions: there the interpreter's way (run it, then leave) comes to the same.
func markExec(node syntax.Node) {
	syntax.Walk(node, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.Subshell, *syntax.CmdSubst, *syntax.ProcSubst, *syntax.FuncDecl:
			return false
		case *syntax.BinaryCmd:
			return node.Op == syntax.AndStmt || node.Op == syntax.OrStmt
		case *syntax.Stmt:
			return !node.Background && !hereDocument(node)
		case *syntax.CallExpr:
			if len(node.Args) > 1 && node.Args[0].Lit() == "exec" {
				node.Args[0] = wordOf(callPrefix + "exec")
			}
		}
		return true
	})
}

// hereDocument reports whether a statement's input comes from the shell itself, which must live to write it.
func hereDocument(st *syntax.Stmt) bool {
	return slices.ContainsFunc(st.Redirs, func(r *syntax.Redirect) bool {
		return r.Op == syntax.Hdoc || r.Op == syntax.DashHdoc || r.Op == syntax.WordHdoc
	})
}

// replaceable reports whether a statement is one simple command that may replace the shell, as other shells do
// with the last command of `sh -c`: a process and its memory less.
func replaceable(st *syntax.Stmt) bool {
	if _, simple := st.Cmd.(*syntax.CallExpr); !simple || st.Background || st.Negated {
		return false
	}
	plain := true
	syntax.Walk(st, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.CmdSubst, *syntax.ProcSubst:
			plain = false
		case *syntax.Stmt:
			plain = plain && !hereDocument(node)
		}
		return plain
	})
	return plain
}

// shellEnviron is the environment below the interpreter's variables: the process's, and the shell's own names.
type shellEnviron struct {
	s *shell
	expand.Environ
}

func (e shellEnviron) Get(name string) expand.Variable {
	value := ""
	switch {
	case !strings.HasPrefix(name, "LAB_"):
		return e.Environ.Get(name)
	case name == varLastPid:
		value = e.s.lastPid()
	case name == varArgv0:
		value = e.s.argv0
	case strings.HasPrefix(name, varNewJob):
		n, err := strconv.Atoi(strings.TrimPrefix(name, varNewJob))
		if err != nil {
			return e.Environ.Get(name)
		}
		value = strconv.Itoa(e.s.newJob(n))
	default:
		return e.Environ.Get(name)
	}
	return expand.Variable{Set: true, Kind: expand.String, Str: value}
}

// environment lists the exported variables for a new process. Each gives a name again when an inner scope has
// changed or unset it; the last one counts.
func environment(env expand.Environ) []string {
	last := map[string]expand.Variable{}
	var order []string
	env.Each(func(name string, v expand.Variable) bool {
		if _, seen := last[name]; !seen {
			order = append(order, name)
		}
		last[name] = v
		return true
	})
	var list []string
	for _, name := range order {
		if v := last[name]; v.IsSet() && v.Exported && v.Kind == expand.String {
			list = append(list, name+"="+v.Str)
		}
	}
	return list
}

// chdir keeps the process's working directory where the interpreter's is.
func (s *shell) chdir() {
	_ = os.Chdir(s.runner.Dir) // a directory that has gone: the interpreter says so when it is used
}
