//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

var testFunction = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

// runOnce chooses the tests so that each file of tests is run in the first package that has it. The steps of
// the workshop carry the files of the steps before, and an emulated processor is slow.
func runOnce(packages []testProgram) error {
	seen := map[string]bool{}
	for i := range packages {
		files, err := filepath.Glob(filepath.Join(packages[i].Dir, "*_test.go"))
		if err != nil {
			return err
		}
		var tests []string
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if seen[string(text)] {
				continue
			}
			seen[string(text)] = true
			for _, match := range testFunction.FindAllStringSubmatch(string(text), -1) {
				if match[1] != "TestMain" {
					tests = append(tests, match[1])
				}
			}
		}
		packages[i].Run = "^(" + strings.Join(tests, "|") + ")$"
	}
	return nil
}
