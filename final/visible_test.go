//go:build linux

package main

import "testing"

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü\n\tlines":     "plain äöü\n\tlines",
		"a\x1b]0;title\x07b\r\n": `a\x1b]0;title\ab\r` + "\n",
		"c\u009b31m":             `c\u009b31m`,
	} {
		if got := visible(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
