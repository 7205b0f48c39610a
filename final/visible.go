//go:build linux

package main

import (
	"strconv"
	"strings"
	"unicode"
)

// visible writes out control characters, as \x1b. Names in a container, and what a registry answers, are other people's:
// they have no say over the terminal. Lines stay lines.
func visible(text string) string {
	isHidden := func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }
	if !strings.ContainsFunc(text, isHidden) {
		return text
	}
	var shown strings.Builder
	for _, r := range text {
		if isHidden(r) {
			quoted := strconv.QuoteRune(r)
			shown.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		shown.WriteRune(r)
	}
	return shown.String()
}
