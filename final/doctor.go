//go:build linux && !engine

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func doctorCommand() *cobra.Command {
	d := &doctor{door: &kernel.Door{}, root: os.Geteuid() == 0}
	var asJSON bool
	command := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run the workshop, and say what to do if not",
		Long: `Check whether this machine can run the workshop, and say what to do if not.

ok is as it should be, a note is worth knowing, fail stops a step and ends with the command that fixes
it. Nothing on the machine is changed. The exit code is 1 if anything fails.`,
		Args: noArguments,
		RunE: func(command *cobra.Command, _ []string) error {
			findings := d.examine()
			write := writeTable
			if asJSON {
				write = writeJSON
			}
			if err := write(command.OutOrStdout(), findings); err != nil {
				return fmt.Errorf("doctor: %w", err)
			}
			if count(findings, fail) > 0 {
				return exitError(1)
			}
			return nil
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print an array of {name, status, detail, fix}")
	command.Flags().StringVar(&d.rootfs, "rootfs", "rootfs", "the `directory` that the steps take their root file system from")
	command.Flags().StringVar(&d.metrics, "metrics", "127.0.0.1:9101", "the `address` that step 05 serves metrics on")
	return command
}

// A doctor looks at the machine. It never changes it: what has to be tried is tried in namespaces that end
// with the thread that made them.
type doctor struct {
	door    *kernel.Door
	root    bool // we are root
	rootfs  string
	metrics string
}

// checks is what there is to look at: the machine first, then what each step needs, in their order.
func (d *doctor) checks() []check {
	return []check{
		{"root", d.privileges},
		{"capabilities", d.capabilities},
		{"architecture", d.architecture},
		{"kernel", d.kernelVersion},
		{"features", d.features},
		{"wsl", d.wsl},
		{"container", d.nested},
		{"go", d.goVersion},
		{"disk", d.disk},
		{"memory", d.memory},
		{"namespaces", d.namespaces},
		{"user namespaces", d.userNamespaces},
		{"rootfs", d.rootfsDirectory},
		{"overlay", d.overlay},
		{"cgroup", d.cgroupMode},
		{"controllers", d.controllers},
		{"swap", d.swap},
		{"iptables", d.iptables},
		{"rule sets", d.ruleSets},
		{"forwarding", d.forwarding},
		{"forward policy", d.forwardPolicy},
		{"subnet", d.subnet},
		{"dns", d.nameServers},
		{"metrics address", d.metricsAddress},
		{"ptrace", d.ptrace},
		{"seccomp", d.seccomp},
		{"security modules", d.securityModules},
		{"leftovers", d.leftovers},
	}
}

type check struct {
	name string
	run  func() result
}

type status string

const (
	ok   status = "ok"   // as it should be
	note status = "note" // worth knowing; the workshop works
	fail status = "fail" // a step will not work
)

// A result is what a check found.
type result struct {
	Status status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix"` // a command; every fail has one
}

type finding struct {
	Name string `json:"name"`
	result
}

func (d *doctor) examine() (findings []finding) {
	for _, c := range d.checks() {
		findings = append(findings, finding{c.name, c.run()})
	}
	return findings
}

func good(format string, args ...any) result { return result{ok, fmt.Sprintf(format, args...), ""} }

// needsRoot is the answer of a check that only root can make.
var needsRoot = result{Status: note, Detail: "only root can tell"}

func count(findings []finding, s status) (n int) {
	for _, f := range findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// colours are for terminals; a file or a pipe gets plain text.
var colours = map[status]string{ok: "\x1b[32m", note: "\x1b[33m", fail: "\x1b[31;1m"}

func writeTable(out io.Writer, findings []finding) error {
	file, isFile := out.(*os.File)
	colourful := isFile && term.IsTerminal(int(file.Fd()))
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Name))
	}
	var text strings.Builder
	for _, f := range findings {
		mark := fmt.Sprintf("%-4s", f.Status)
		if colourful {
			mark = colours[f.Status] + mark + "\x1b[0m"
		}
		fmt.Fprintf(&text, "%s  %-*s  %s", mark, width, f.Name, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(&text, "; fix: %s", f.Fix)
		}
		text.WriteByte('\n')
	}
	fmt.Fprintf(&text, "%d ok, %d to note, %d failed\n", count(findings, ok), count(findings, note), count(findings, fail))
	_, err := io.WriteString(out, text.String())
	return err
}

func writeJSON(out io.Writer, findings []finding) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // commands have > and & in them
	return encoder.Encode(findings)
}

// firstLine returns the text of a small file of /proc or /sys without the line's end, and "" for one that
// this kernel does not have.
func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// field returns the value of "key: value" or "key:\tvalue" in a file such as /proc/self/status.
func field(text, key string) string {
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok && name == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
