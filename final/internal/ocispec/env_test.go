//go:build linux

package ocispec

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func lookUp(name string) (string, bool) { return "ours", name == "OURS" }

func TestParseEnv(t *testing.T) {
	parse := func(text string) (string, error) { return ParseEnv(text, lookUp) }
	parses(t, parse, []parsing[string]{
		{"A=b=c", "A=b=c", ""}, {"A=", "A=", ""}, {"OURS", "OURS=ours", ""}, {"OURS=x", "OURS=x", ""}, {"NONE", "NONE", ""},
		{"=x", "", "want NAME=VALUE"}, {"", "", "want NAME=VALUE"},
	})
}

func TestParseEnvFile(t *testing.T) {
	got, err := ParseEnvFile(strings.NewReader("\xef\xbb\xbfA=1\n# B=2\n\n  C = \"3\" \nOURS\nNONE\r\nD=\n"), lookUp)
	if err == nil || !strings.Contains(err.Error(), `line 4: variable "C ": its name has white space`) {
		t.Errorf("white space in a name: %v, %v", got, err)
	}
	got, err = ParseEnvFile(strings.NewReader("\xef\xbb\xbfA=1\n# B=2\n\n  C=\"3\" \nOURS\nNONE\nD="), lookUp)
	if diff := cmp.Diff([]string{"A=1", `C="3" `, "OURS=ours", "D="}, got); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
	for text, want := range map[string]string{
		"A=1\n=2": "line 2", "A=\xff": "line 1: not UTF-8", strings.Repeat("x", 1<<17): "a line of more than",
	} {
		if _, err := ParseEnvFile(strings.NewReader(text), lookUp); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.10q: %v, want %q", text, err, want)
		}
	}
}

// TestManyVariables: an image with very many keeps nobody busy.
func TestManyVariables(t *testing.T) {
	var image []string
	for i := range 200_000 {
		image = append(image, fmt.Sprintf("V%d=x", i))
	}
	m := maker{spec: &specs.Spec{Process: &specs.Process{}}, config: Options{Env: []string{"V7=y", "V9"}}.Over(Config{Env: image})}
	if err := m.environment(); err != nil {
		t.Fatal(err)
	}
	env := m.spec.Process.Env
	if len(env) != len(image)-1+3 || !slices.Contains(env, "V7=y") || slices.Contains(env, "V9=x") {
		t.Errorf("%d variables of %d", len(env), len(image))
	}
}

// TestEnvironment: the order is Docker's, and a name alone takes a variable away.
func TestEnvironment(t *testing.T) {
	o := Options{Env: []string{"B=mine", "PATH", "C=1", "C=2", "TERM=vt100", "GONE"}, Terminal: true}
	image := Config{Cmd: []string{"x"}, Env: []string{"A=image", "B=image", "GONE=image", "HOME=/h"}}
	s, err := Spec(o, image, prepared(t, o, image), host())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"HOSTNAME=3f0c8d6b1a2e", "TERM=vt100", "B=mine", "C=2", "A=image", "HOME=/h"}
	if diff := cmp.Diff(want, s.Process.Env); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestLabelFile(t *testing.T) {
	labels := map[string]string{"a": "old"}
	err := ParseLabelFile(strings.NewReader("a=1\n#x\n\nb\nc=d=e\n"), labels)
	if diff := cmp.Diff(map[string]string{"a": "1", "b": "", "c": "d=e"}, labels); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
	if err := ParseLabelFile(strings.NewReader("a=1\n =2\n"), labels); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a label without a name: %v", err)
	}
}
