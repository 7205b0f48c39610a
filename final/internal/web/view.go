//go:build linux

package web

import (
	"bytes"
	"context"
	"time"
)

// A view makes what a page needs to show one side of a container: who fills the feed, and what a reader gets at
// first, if that is not the last message.
type view func(id string) (fill filler, greet func() []byte)

func (s *Server) views() map[string]view {
	return map[string]view{
		"figures":    s.figures,
		"files":      look(s, "files", s.source.Files),
		"namespaces": look(s, "namespaces", s.source.Namespaces),
		"mounts":     look(s, "mounts", s.source.Mounts),
		"processes":  look(s, "processes", s.source.Processes),
		"path":       look(s, "path", s.source.Path),
		"calls":      s.calls,
	}
}

// figures are published by the sampler, which runs anyway.
func (s *Server) figures(id string) (filler, func() []byte) {
	return nil, func() []byte { return message("history", s.book.past(id)) }
}

// look is a view that looks anew once in a while, and says what has changed.
func look[T any](s *Server, name string, at func(id string) (T, error)) view {
	return func(id string) (filler, func() []byte) {
		return func(ctx context.Context, publish func([]byte)) {
			tick := time.NewTicker(s.every)
			defer tick.Stop()
			for last := []byte(nil); ; {
				now := []byte(nil)
				if value, err := at(id); err != nil {
					now = message("problem", err.Error())
				} else {
					now = message(name, value)
				}
				if !bytes.Equal(now, last) {
					publish(now)
					last = now
				}
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		}, nil
	}
}
