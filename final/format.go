//go:build linux && !engine

package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
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
		return printTable(strings.TrimSpace(text), columns, rows)
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
		line, err := fill(t, format, row)
		if err != nil {
			return err
		}
		fmt.Println(line)
	}
	return nil
}

// fill is a template with a row's values. A line that cannot be whole is none.
func fill(t *template.Template, format string, row any) (string, error) {
	var line strings.Builder
	err := t.Execute(&line, row)
	if err == nil {
		return line.String(), nil
	}
	if _, after, ok := strings.Cut(err.Error(), "can't evaluate field "); ok {
		field, _, _ := strings.Cut(after, " ") // what follows is a type of Go's
		return "", fmt.Errorf("--format %q: there is no %s: --format json shows all that is", format, field)
	}
	return "", fmt.Errorf("--format %q: %w", format, err)
}

// printTable prints a template's values in columns, with their titles above.
func printTable[T any](format string, columns []column[T], rows []T) error {
	t, err := parseTemplate(format)
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	id := "ID"
	for _, c := range columns {
		if strings.HasSuffix(c.title, " ID") {
			id = c.title
		}
	}
	fmt.Fprintln(out, titlesOf(format, id))
	for _, row := range rows {
		line, err := fill(t, format, row)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, line)
	}
	return out.Flush()
}

// titles are those of fields that are not called so, as Docker has them.
var titles = map[string]string{
	"CreatedAt": "CREATED AT", "CreatedSince": "CREATED", "RunningFor": "CREATED", "LocalVolumes": "LOCAL VOLUMES",
}

// actions finds {{.Names}}, {{ upper .Names }} and {{.Label "part"}} in a template.
var actions = regexp.MustCompile(`{{[^}]*?\.(\w+)(?: "([^"]*)")?[^}]*}}`)

// titlesOf makes "CONTAINER ID\tCREATED" of "{{.ID}}\t{{.RunningFor}}".
func titlesOf(format, id string) string {
	line := actions.ReplaceAllStringFunc(format, func(action string) string {
		found := actions.FindStringSubmatch(action)
		name, label := found[1], found[2]
		title, special := titles[name]
		switch {
		case label != "":
			return label
		case name == "ID":
			return id
		case special:
			return title
		}
		return strings.ToUpper(name)
	})
	return strings.ReplaceAll(line, `\t`, "\t")
}

// joinLabels writes labels as NAME=VALUE,NAME=VALUE.
func joinLabels(labels map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		list = append(list, name+"="+labels[name])
	}
	return strings.Join(list, ",")
}
