//go:build linux

package op

import "strings"

// Shell writes a command down so that it can be pasted into a shell. Empty words are left out: an option that
// is not needed.
func Shell(words ...string) string {
	var quoted []string
	for _, word := range words {
		if word != "" {
			quoted = append(quoted, quote(word))
		}
	}
	return strings.Join(quoted, " ")
}

func quote(word string) string {
	special := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:=,@%", r))
	}
	if strings.IndexFunc(word, special) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
