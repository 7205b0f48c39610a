//go:build linux

package ocispec

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"strings"
)

// ParseLabel reads --label: NAME[=VALUE]. It is --annotation's way, too.
func ParseLabel(flag, text string) (name, value string, err error) {
	name, value, _ = strings.Cut(text, "=")
	if strings.TrimSpace(name) == "" {
		return "", "", refuse(flag, text, "want NAME=VALUE")
	}
	return name, value, nil
}

// ParseLabelFile reads the file of --label-file into labels: a label a line, comments behind a # in front.
func ParseLabelFile(file io.Reader, labels map[string]string) error {
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if strings.TrimSpace(name) == "" {
			return fmt.Errorf("line %d: %q: want NAME=VALUE", n, line)
		}
		labels[name] = value
	}
	return lines.Err()
}

// mergeLabels returns those of both; the second win.
func mergeLabels(first, second map[string]string) map[string]string {
	if len(first)+len(second) == 0 {
		return nil
	}
	all := map[string]string{}
	maps.Copy(all, first)
	maps.Copy(all, second)
	return all
}
