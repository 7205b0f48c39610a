//go:build linux

package runtime

import (
	"fmt"
	"io"

	"github.com/simple-container/simple-container/final/internal/op"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// explain says the calls that the container side makes between two messages, each with the command that would
// do the same. The parent says its own calls through the door; together they are in the order they happen.
func (s *side) explain(out io.Writer, until string) {
	if out == nil {
		return
	}
	end := plan.After(s.list, s.said, until)
	fmt.Fprintln(out, "in the container:")
	for _, o := range s.list.Ops[s.said:end] {
		explainOp(out, o)
	}
	s.said = end
}

func explainOp(out io.Writer, o op.Op) {
	if o.Why != "" {
		fmt.Fprintf(out, "    # %s\n", o.Why)
	}
	fmt.Fprintf(out, "    %s\n", o)
	if o.Shell != "" {
		fmt.Fprintf(out, "      $ %s\n", o.Shell)
	}
}
