//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/simple-container/simple-container/final/internal/runtime"
)

var specVerb = verb{"spec", "Write a config.json to begin with", 0, 0,
	func(flags *flagSet) func(*session, []string) error {
		bundle := flags.StringP("bundle", "b", "", "directory to write it to (default the working directory)")
		rootless := flags.Bool("rootless", false, "for a user namespace whose root is the user who calls")
		return func(*session, []string) error {
			path := filepath.Join(*bundle, "config.json")
			text, err := json.MarshalIndent(runtime.ExampleSpec(*rootless), "", "\t")
			if err != nil {
				return err
			}
			file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
			if errors.Is(err, fs.ErrExist) {
				return errors.New(path + ": it exists; remove it first")
			}
			if err != nil {
				return err
			}
			_, err = file.Write(append(text, '\n'))
			return errors.Join(err, file.Close())
		}
	}}
