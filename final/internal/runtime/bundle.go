//go:build linux

package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/simple-container/simple-container/final/internal/decode"
	"github.com/simple-container/simple-container/final/internal/kernel"
	"github.com/simple-container/simple-container/final/internal/plan"
)

// A bundle is what an engine hands over: a directory with a config.json, and as a rule the root file system (bundle.md).

// config is the path of its config.json, or of what is to be read in place of that.
func (o CreateOptions) config() string { return cmp.Or(o.Config, filepath.Join(o.Bundle, configFile)) }

// readConfig reads a config.json and checks it.
func readConfig(path string) (text []byte, s *specs.Spec, err error) {
	text, err = kernel.Contents(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w: a bundle has a config.json (`final spec` writes one)", err)
	}
	if err != nil {
		return nil, nil, err
	}
	s = &specs.Spec{}
	if err := decode.Decode(text, s); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", path, err)
	}
	err = plan.Validate(s)
	if err == nil {
		err = checkChanges(s)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Process == nil {
		s.Process = nobody()
	}
	return text, s, nil
}

// nobody is the process of a container without one: it can be created, and not started (runtime.md).
func nobody() *specs.Process { return &specs.Process{Cwd: "/"} }

// rootOf is where the container's root file system is.
func rootOf(s *specs.Spec, bundle string) (string, error) {
	path := s.Root.Path
	if !filepath.IsAbs(path) {
		path = filepath.Join(bundle, path)
	}
	root, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("root.path: %w (`final rootfs %s` makes one)", err, path)
	}
	if err != nil {
		return "", fmt.Errorf("root.path: %w", err)
	}
	dir, err := os.OpenFile(root, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", fmt.Errorf("root.path: %w", err)
	}
	return root, dir.Close()
}

// WantsTerminal tells whether the command of a bundle is to have a terminal.
func WantsTerminal(o CreateOptions) (bool, error) {
	_, s, err := readConfig(o.config())
	if err != nil {
		return false, err
	}
	return s.Process.Terminal, nil
}
