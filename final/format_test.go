//go:build linux && !engine

package main

import "testing"

func TestFill(t *testing.T) {
	row := struct{ ID string }{"cafe"}
	for format, want := range map[string]string{
		"{{.ID}} {{upper .ID}}": "cafe CAFE",
		"{{.Nope}}":             `--format "{{.Nope}}": there is no Nope: --format json shows all that is`,
	} {
		form, err := parseTemplate(format)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fill(form, format, row)
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}
