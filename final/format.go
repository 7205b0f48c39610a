//go:build linux && !engine

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"text/template"
)

// --format is the same for all verbs that list something: table, json, a template, or table and a template.

// A column is one of a table.
type column[T any] struct {
	title string
	value func(T) string
}

// printRows prints what a verb lists.
func printRows[T any](format string, columns []column[T], rows []T) error {
	text, isTable := strings.CutPrefix(format, "table")
	switch {
	case format == "json":
		for _, row := range rows {
			if err := json.NewEncoder(os.Stdout).Encode(row); err != nil {
				return err
			}
		}
		return nil
	case isTable && text != "" && text[0] != ' ' && text[0] != '\t':
		return fmt.Errorf("--format %q: want table, json or a template, as {{.ID}}", format)
	case isTable && strings.TrimSpace(text) != "":
		return printTable(strings.TrimSpace(text), rows)
	case format != "" && !isTable:
		return printTemplate(format, rows)
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	titles := make([]string, len(columns))
	for i, c := range columns {
		titles[i] = c.title
	}
	fmt.Fprintln(out, strings.Join(titles, "\t"))
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, c := range columns {
			cells[i] = c.value(row)
		}
		fmt.Fprintln(out, strings.Join(cells, "\t"))
	}
	return out.Flush()
}

// functions are those of Docker's templates.
var functions = template.FuncMap{
	"json":  toJSON,
	"join":  strings.Join,
	"lower": strings.ToLower,
	"upper": strings.ToUpper,
	"split": strings.Split,
	"println": func(values ...any) string {
		return fmt.Sprintln(values...)
	},
}

func toJSON(value any) (string, error) {
	text, err := json.Marshal(value)
	return string(text), err
}

// parseTemplate reads a template. \t and \n are written so on a command line.
func parseTemplate(text string) (*template.Template, error) {
	t, err := template.New("--format").Funcs(functions).Parse(strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text))
	if err != nil {
		return nil, fmt.Errorf("--format %q: %w", text, err)
	}
	return t, nil
}

func printTemplate[T any](format string, rows []T) error {
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := t.Execute(os.Stdout, row); err != nil {
			return fmt.Errorf("--format %q: %w", format, err)
		}
		fmt.Println()
	}
	return nil
}

// printTable prints a template's values in columns, with their names above.
func printTable[T any](format string, rows []T) error {
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, titlesOf(format))
	for _, row := range rows {
		if err := t.Execute(out, row); err != nil {
			return fmt.Errorf("--format %q: %w", format, err)
		}
		fmt.Fprintln(out)
	}
	return out.Flush()
}

// titlesOf makes "NAMES\tSTATUS" of "{{.Names}}\t{{.Status}}".
func titlesOf(format string) string {
	return strings.ToUpper(strings.NewReplacer("{{.", "", "{{ .", "", "}}", "", `\t`, "\t").Replace(format))
}

// joinLabels writes labels as NAME=VALUE,NAME=VALUE.
func joinLabels(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, name+"="+labels[name])
	}
	return strings.Join(list, ",")
}
