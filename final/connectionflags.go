//go:build linux && !engine

package main

import (
	"github.com/spf13/pflag"

	"github.com/simple-container/simple-container/final/internal/engine"
)

// connectionFlags say how a container is connected, beside --network.
type connectionFlags struct{}

func (f *connectionFlags) add(flags *pflag.FlagSet) {}

func (f *connectionFlags) options(o *engine.CreateOptions) error { return nil }
