//go:build linux && !engine

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/template"
	"unicode/utf8"

	"golang.org/x/term"
)

// The control sequences that a table is drawn over itself with (console_codes(4)).
const (
	hideCursor = "\x1b[?25l\x1b[?7l" // and cut lines off at the edge: a line more than was counted would scroll
	showCursor = "\x1b[?7h\x1b[?25h"
	home       = "\x1b[H"
	clearLine  = "\x1b[K" // to its end
	clearBelow = "\x1b[J"

	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
	dim    = "\x1b[2m"
	plain  = "\x1b[0m"
)

// writer is how rows are shown, by --format.
func (v *statsView) writer() (func([]statsRow) error, error) {
	switch v.format {
	case "table":
		return v.table, nil
	case "json":
		return func(rows []statsRow) error {
			out := json.NewEncoder(v.out)
			for _, row := range rows {
				if err := out.Encode(row); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}
	form, err := template.New("format").Parse(strings.TrimPrefix(v.format, "table "))
	if err != nil {
		return nil, fmt.Errorf("--format %q: %w", v.format, err)
	}
	return func(rows []statsRow) error {
		for _, row := range rows {
			text, err := fill(form, v.format, row)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(v.out, text+"\n"); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// A cell is text of one width, with colours that take none.
type cell struct {
	text  string
	width int
}

func word(text string) cell { return cell{text, utf8.RuneCountInString(text)} }

func (c cell) in(colour string) cell {
	if colour != "" {
		c.text = colour + c.text + plain
	}
	return c
}

// table draws the rows, over the ones before on a terminal.
func (v *statsView) table(rows []statsRow) error {
	width, height, drawn := 0, 0, v.terminal != nil && !v.once
	if v.terminal != nil {
		width, height, _ = term.GetSize(int(v.terminal.Fd())) // 0 if it cannot tell
	}
	lines := layOut(rows, width, v.terminal != nil)
	var text strings.Builder
	if drawn {
		if more := len(lines) - height; height > 2 && more > 0 {
			lines = append(lines[:height-1], fmt.Sprintf("%s… %d more%s", dim, more+1, plain))
		}
		text.WriteString(home)
	}
	for i, line := range lines {
		text.WriteString(line)
		if drawn {
			text.WriteString(clearLine)
		}
		if !drawn || i+1 < len(lines) || len(lines) < height { // a line's end at the bottom would scroll
			text.WriteByte('\n')
		}
	}
	if drawn {
		text.WriteString(clearBelow)
	}
	_, err := io.WriteString(v.out, text.String())
	return err
}

const gap = "   "

// layOut makes the lines of the table, and fills what is left of the width with plots.
func layOut(rows []statsRow, width int, colourful bool) []string {
	table := [][]cell{{
		word("CONTAINER"), word("CPU %"), word("MEM USAGE / LIMIT"), word("MEM %"),
		word("NET I/O"), word("BLOCK I/O"), word("PIDS"),
	}}
	for _, row := range rows {
		cells := []cell{
			word(row.Name), word(row.CPUPerc), word(row.MemUsage), word(row.MemPerc),
			word(row.NetIO), word(row.BlockIO), word(row.PIDs),
		}
		if colourful {
			cells[1], cells[3] = cells[1].in(row.history.cpuColour()), cells[3].in(row.history.memoryColour())
			if row.Figures != nil && row.Figures.Paused {
				cells[0] = cells[0].in(dim)
			}
		}
		table = append(table, cells)
	}
	widths := make([]int, len(table[0]))
	used := 0
	for i := range widths {
		for _, cells := range table {
			widths[i] = max(widths[i], cells[i].width)
		}
		used += widths[i] + len(gap)
	}
	plot := plotWidth(width - used)
	lines := make([]string, len(table))
	for n, cells := range table {
		var line strings.Builder
		for i, c := range cells {
			line.WriteString(c.text)
			if i+1 < len(cells) || plot > 0 {
				line.WriteString(strings.Repeat(" ", widths[i]-c.width) + gap)
			}
		}
		switch {
		case plot > 0 && n == 0:
			fmt.Fprintf(&line, "%-*s%s%s", plot, "CPU TO QUOTA", gap, "MEMORY TO LIMIT")
		case plot > 0:
			line.WriteString(rows[n-1].history.plotCPU(plot) + gap + rows[n-1].history.plotMemory(plot))
		}
		lines[n] = line.String()
	}
	if colourful {
		lines[0] = bold + lines[0] + plain
	}
	return lines
}

// plotWidth shares out what is left of a line between two plots; less than the headings want is too little.
func plotWidth(left int) int {
	if each := (left - len(gap)) / 2; each >= len("MEMORY TO LIMIT") {
		return min(each, remembered)
	}
	return 0
}
